//! Ordered parallel map: many threads share the items, and the answers come back in the order of the items.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Items queued for a worker, and answers queued from it.
const QUEUE_DEPTH: usize = 2;

/// Number of threads that this computer runs at once.
pub fn all_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Distributes the items round-robin to workers on at most `threads` threads and passes their answers to `take` in the order of the items.
/// Returns the number of threads that received work.
///
/// A worker takes items from its iterator and passes one answer per item to its callback, until the callback returns `false`.
/// It can keep state from one item to the next. Items are pulled on demand on the calling thread. With one thread the calling thread
/// is the worker.
///
/// # Errors
/// The first error of `take`; it ends the work.
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
        // Items are distributed round-robin, so the worker of the next answer is always known.
        let (mut sent, mut answered) = (0, 0);
        loop {
            let has_capacity = sent - answered < threads * QUEUE_DEPTH;
            if let Some(item) = has_capacity.then(|| items.next()).flatten() {
                if workers.len() < threads {
                    workers.push(Worker::new(scope, worker));
                }
                workers[sent % threads].send(item);
                sent += 1;
                continue;
            }
            if answered == sent {
                return Ok(workers.len());
            }
            match workers[answered % threads].answers.recv() {
                Ok(answer) => take(answer)?,
                // The worker panicked, which the scope propagates, or ended before its items did.
                Err(_) => return Ok(workers.len()),
            }
            answered += 1;
        }
    })
}

/// The calling thread's ends of the two queues of one worker.
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
        // Each queue holds everything that can be in flight, so no sender ever blocks.
        let (items, incoming) = sync_channel(QUEUE_DEPTH);
        let (outgoing, answers) = sync_channel(QUEUE_DEPTH);
        scope.spawn(move || worker(&mut incoming.into_iter(), &mut |answer| outgoing.send(answer).is_ok()));
        Worker { items, answers }
    }

    fn send(&self, item: T) {
        // A worker that has ended left an answer with the reason.
        let _ = self.items.send(item);
    }
}

#[cfg(test)]
mod tests {
    use super::map_in_order;
    use std::cell::Cell;
    use std::time::Duration;

    /// Doubles numbers, some of them slowly.
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

    /// Items are not read far ahead of the answers: a long file is never in memory as a whole.
    #[test]
    fn items_are_pulled_on_demand() {
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

    /// A worker that cannot start gives one answer, which is the last.
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
