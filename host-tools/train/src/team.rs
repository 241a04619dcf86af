//! Worker threads that share the work of a step.

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::TrainError;

/// Worker threads, each in a thread pool of its own: the tensor library splits its products among the threads of the pool it is called in, which
/// costs more than it gains on matrices this small.
pub(crate) struct Team(Vec<ThreadPool>);

impl Team {
    pub(crate) fn new(threads: usize) -> Result<Self, TrainError> {
        let pool = |_| ThreadPoolBuilder::new().num_threads(1).build();
        Ok(Self((0..threads).map(pool).collect::<Result<_, _>>()?))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Calls `work` once on every thread with its number; the results are in that order.
    pub(crate) fn run<T: Send>(&self, work: impl Fn(usize) -> Result<T, TrainError> + Sync) -> Result<Vec<T>, TrainError> {
        let work = &work;
        std::thread::scope(|scope| {
            let running: Vec<_> =
                self.0.iter().enumerate().map(|(number, pool)| scope.spawn(move || pool.install(|| work(number)))).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().expect("a thread of the team panicked");
            running.into_iter().map(join).collect()
        })
    }
}
