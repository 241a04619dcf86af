//! Threads, which come from outside: the core cuts work in two, again and again, and hands both halves over.
//!
//! Only what no sum runs across is cut (tokens, outputs of a matrix, queries), so that no result depends on how many threads there are.

use core::fmt::Debug;

/// Work below which cutting costs more than it gains, in multiply-accumulates.
const WORTH_CUTTING: usize = 1 << 19;

/// Someone who runs two pieces of work at once, such as a thread pool.
///
/// ```
/// use attoformer::Parallel;
///
/// #[derive(Debug)]
/// struct TwoThreads;
///
/// impl Parallel for TwoThreads {
///     fn threads(&self) -> usize {
///         2
///     }
///     fn join(&self, a: &mut (dyn FnMut() + Send), b: &mut (dyn FnMut() + Send)) {
///         std::thread::scope(|scope| {
///             scope.spawn(a);
///             b();
///         });
///     }
/// }
/// ```
pub trait Parallel: Sync + Debug {
    /// Pieces of work that run at once.
    fn threads(&self) -> usize;

    /// Runs both, in any order or at once, and returns when both have ended.
    fn join(&self, a: &mut (dyn FnMut() + Send), b: &mut (dyn FnMut() + Send));
}

/// One piece after the other, on the caller's thread: what a session does by itself.
#[derive(Clone, Copy, Debug)]
pub struct Inline;

impl Parallel for Inline {
    fn threads(&self) -> usize {
        1
    }

    fn join(&self, a: &mut (dyn FnMut() + Send), b: &mut (dyn FnMut() + Send)) {
        a();
        b();
    }
}

/// Parts into which work of so many multiply-accumulates is cut.
#[inline]
pub(crate) fn parts(parallel: &dyn Parallel, work: usize) -> usize {
    // Without an operating system there is one thread, and nothing of this is linked.
    if cfg!(target_os = "none") || work < 2 * WORTH_CUTTING { 1 } else { parallel.threads().min(work / WORTH_CUTTING) }
}

/// Where `all` things are cut for the first `left` of `parts` parts: a multiple of `unit`, but not 0.
pub(crate) fn cut(all: usize, left: usize, parts: usize, unit: usize) -> usize {
    let unit = unit.max(1);
    (all * left / parts.max(1) / unit).max(1) * unit
}
