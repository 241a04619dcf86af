//! Parallelism is supplied by the caller, for example as a thread pool: the core splits work in two, again and again, and passes both
//! halves to [`Parallel::join`].
//!
//! Matrix products are split by tokens, or by outputs (rows of the matrix) if there is one token; softmax attention is split by queries, in blocks
//! that have scratch for a tile of queries on each thread. Norms and activations run on the calling thread. No sum is split, so no result depends
//! on the number of threads.

use core::fmt;

/// Work, in multiply-accumulates, below which a split costs more than it gains.
const MIN_WORK: usize = 1 << 19;

/// Runs two pieces of work, possibly in parallel; for example, on a thread pool.
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
pub trait Parallel: Sync {
    /// Pieces of work that can run at the same time.
    fn threads(&self) -> usize;

    /// Runs both pieces, in any order or at the same time, and returns when both have ended.
    fn join(&self, a: &mut (dyn FnMut() + Send), b: &mut (dyn FnMut() + Send));
}

// Not a supertrait, which every implementation's table of methods would carry into programs that print nothing.
impl fmt::Debug for dyn Parallel + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parallel")
    }
}

/// Runs one piece after the other on the caller's thread: the default of a session.
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

/// The number of parts into which `work` multiply-accumulates are split.
#[inline]
pub(crate) fn parts(parallel: &dyn Parallel, work: usize) -> usize {
    // Without an operating system there is one thread, and none of this is linked.
    if cfg!(target_os = "none") || work < 2 * MIN_WORK { 1 } else { parallel.threads().min(work / MIN_WORK) }
}

/// How many of `all` items the first `left` of `parts` parts get: a multiple of `unit`, at least one unit.
pub(crate) fn split_point(all: usize, left: usize, parts: usize, unit: usize) -> usize {
    let unit = unit.max(1);
    (all * left / parts.max(1) / unit).max(1) * unit
}
