//! Work that many threads share, whose answers come back in the order of its items.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Items that wait before a thread, and answers behind it.
const QUEUE_DEPTH: usize = 2;

/// As many threads as this computer runs at once.
pub fn all_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Gives the items to workers on at most `threads` threads, one each in turn, and hands their answers to `take` in the order of the items.
/// Returns how many threads there was work for.
///
/// A worker takes items from the iterator it is given and calls the function it is given with an answer for each, until that says `false`.
/// It may keep a state of its own from one item to the next. Items are asked for as they are needed, on the calling thread. With one thread that
/// thread does the work.
///
/// # Errors
/// The first that `take` returns; it ends the work.
pub fn map_in_order<T: Send, R: Send, E>(
    threads: usize,
    items: impl Iterator<Item = T>,
    worker: impl Fn(&mut dyn Iterator<Item = T>, &mut dyn FnMut(R) -> bool) + Sync,
    mut take: impl FnMut(R) -> Result<(), E>,
) -> Result<usize, E> {
    let mut items = items.fuse();
    if threads <= 1 {
        let mut taken = Ok(());
        worker(&mut items, &mut |answer| {
            taken = take(answer);
            taken.is_ok()
        });
        return taken.map(|()| 1);
    }
    let worker = &worker;
    std::thread::scope(|scope| {
        let mut workers: Vec<Worker<T, R>> = Vec::new();
        // Every thread has its items in turn, so the oldest answer not taken yet is always the next one of a known thread.
        let (mut given, mut answered) = (0, 0);
        loop {
            let room = given - answered < threads * QUEUE_DEPTH;
            if let Some(item) = room.then(|| items.next()).flatten() {
                if workers.len() < threads {
                    workers.push(Worker::new(scope, worker));
                }
                workers[given % threads].give(item);
                given += 1;
                continue;
            }
            if answered == given {
                return Ok(workers.len());
            }
            match workers[answered % threads].answers.recv() {
                Ok(answer) => take(answer)?,
                // The worker has panicked, which the scope passes on, or has ended before its items did.
                Err(_) => return Ok(workers.len()),
            }
            answered += 1;
        }
    })
}

/// The calling thread's ends of one worker's two queues.
struct Worker<T, R> {
    items: SyncSender<T>,
    answers: Receiver<R>,
}

impl<T: Send, R: Send> Worker<T, R> {
    fn new<'s, 'e, W>(scope: &'s std::thread::Scope<'s, 'e>, worker: &'e W) -> Self
    where
        T: 'e,
        R: 'e,
        W: Fn(&mut dyn Iterator<Item = T>, &mut dyn FnMut(R) -> bool) + Sync,
    {
        // Both queues hold all that may be under way, so that no sender ever waits.
        let (items, incoming) = sync_channel(QUEUE_DEPTH);
        let (outgoing, answers) = sync_channel(QUEUE_DEPTH);
        scope.spawn(move || worker(&mut incoming.into_iter(), &mut |answer| outgoing.send(answer).is_ok()));
        Worker { items, answers }
    }

    fn give(&self, item: T) {
        // A worker that has ended left an answer that says why.
        let _ = self.items.send(item);
    }
}

#[cfg(test)]
mod tests {
    use super::map_in_order;
    use std::cell::Cell;
    use std::time::Duration;

    /// Doubles numbers, some of them slowly; also counts what each worker saw.
    fn double(items: &mut dyn Iterator<Item = u64>, give: &mut dyn FnMut(u64) -> bool) {
        for item in items {
            std::thread::sleep(Duration::from_micros(item * 7919 % 300));
            if !give(2 * item) {
                return;
            }
        }
    }

    #[test]
    fn answers_come_in_the_order_of_the_items() {
        for threads in [1, 2, 3, 7] {
            for count in [0, 1, 2, 50] {
                let mut found = Vec::new();
                let take = |answer| -> Result<(), ()> {
                    found.push(answer);
                    Ok(())
                };
                let used = map_in_order(threads, 0..count, double, take).unwrap();
                assert_eq!(found, (0..count).map(|item| 2 * item).collect::<Vec<_>>());
                assert_eq!(used, threads.min((count as usize).max(usize::from(threads == 1))));
            }
        }
    }

    /// Items are not read far ahead of the answers: a long file never lies in memory.
    #[test]
    fn items_are_asked_for_as_they_are_needed() {
        let asked = Cell::new(0u64);
        let mut answered = 0;
        let items = (0..200).inspect(|_| asked.set(asked.get() + 1));
        let take = |_| -> Result<(), ()> {
            answered += 1;
            assert!(asked.get() - answered <= 3 * 2, "{} asked for, {answered} answered", asked.get());
            Ok(())
        };
        map_in_order(3, items, double, take).unwrap();
        assert_eq!(answered, 200);
    }

    #[test]
    fn an_error_ends_the_work() {
        for threads in [1, 3] {
            let mut taken = 0;
            let take = |answer| {
                taken += 1;
                if answer == 20 { Err("enough") } else { Ok(()) }
            };
            assert_eq!(map_in_order(threads, 0.., double, take), Err("enough"));
            assert_eq!(taken, 11);
        }
    }

    /// A worker that cannot begin gives one answer, which is the last.
    #[test]
    fn a_worker_that_gives_up_is_the_last_answer() {
        let worker = |_: &mut dyn Iterator<Item = u64>, give: &mut dyn FnMut(Result<u64, &'static str>) -> bool| {
            give(Err("no memory"));
        };
        for threads in [1, 2] {
            assert_eq!(map_in_order(threads, 0..9, worker, |answer| answer.map(|_| ())), Err("no memory"));
        }
    }
}
