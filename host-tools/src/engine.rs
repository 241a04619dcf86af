//! Engine setup on a PC: kernel set, context length, prefill block and thread pool.

use std::path::Path;

use attoformer::image::{Architecture, Config};
use attoformer::kernels::{self, Kernels};
use attoformer::{Image, Plan, Session, arena_bytes};
use attoformer::{Inline, Parallel};

use crate::error::Error;
use crate::files::AlignedBytes;

/// Tokens that a prefill on a PC processes together: enough to read each weight once for many tokens, and for tiles of queries on two threads.
const PREFILL_BLOCK: u32 = 128;

/// An open image with its file, which errors name.
#[derive(Clone, Copy, Debug)]
pub struct OpenImage<'a> {
    /// The image.
    pub image: &'a Image<'a>,
    /// Its file, or the file it was made from.
    pub path: &'a Path,
}

/// Setup of a session. It affects speed and memory, never results.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Kernel set.
    pub kernels: &'static Kernels,
    /// Context length in tokens; the image's unless given.
    pub context: Option<u32>,
    /// Tokens that a prefill processes together.
    pub block: Option<u32>,
    /// Thread pool that shares the work on one sequence.
    pub parallel: &'static dyn Parallel,
}

impl Default for Setup {
    fn default() -> Self {
        Setup { kernels: kernels::best(), context: None, block: None, parallel: &Inline }
    }
}

impl Setup {
    /// The session plan for a model.
    pub fn plan(&self, config: &Config) -> Plan {
        let context = self.context.unwrap_or(config.context);
        Plan::packed(config).with_context(context).with_block(self.block.unwrap_or(PREFILL_BLOCK).min(config.context))
    }

    /// Bytes for the logits of a block's tokens, which a decoder computes together when a text is scored.
    fn logit_bytes(&self, config: &Config) -> usize {
        match config.architecture {
            Architecture::Encoder => 0,
            _ => (self.plan(config).block as usize).saturating_mul(config.vocab as usize).saturating_mul(size_of::<f32>()),
        }
    }

    /// Allocates the memory of a session with a model: its arena, then that of logits, of which no page is touched unless a text is scored.
    /// Errors name `path`.
    ///
    /// # Errors
    /// [`attoformer::Error::Context`] for a context beyond the image's, [`Error::Memory`].
    pub fn arena(&self, config: &Config, path: &Path) -> Result<AlignedBytes, Error> {
        let plan = self.plan(config);
        if plan.context > config.context {
            let (asked, packed) = (plan.context as usize, config.context as usize);
            return Err(Error::engine(path)(attoformer::Error::Context { asked, packed }));
        }
        let bytes = arena_bytes(config, plan).saturating_add(self.logit_bytes(config));
        AlignedBytes::try_zeroed(bytes).ok_or_else(|| Error::Memory { path: path.to_owned(), bytes })
    }

    /// Runs `work` with a session in an arena of its own.
    ///
    /// # Errors
    /// Those of [`Setup::arena`] and [`Setup::session`], and what `work` returns.
    pub fn with_session<T>(&self, open: OpenImage<'_>, work: impl FnOnce(&mut Session<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let mut arena = self.arena(open.image.config(), open.path)?;
        work(&mut self.session(open.image, &mut arena).map_err(Error::engine(open.path))?)
    }

    /// Creates a session in an arena from [`Setup::arena`].
    ///
    /// # Errors
    /// See [`Session::with_plan`].
    pub fn session<'a>(&self, image: &Image<'a>, arena: &'a mut [u8]) -> Result<Session<'a>, attoformer::Error> {
        let plan = self.plan(image.config());
        let (arena, logits) = arena.split_at_mut(arena_bytes(image.config(), plan).min(arena.len()));
        let session = Session::with_kernels(image, arena, plan, self.kernels)?;
        Ok(session.with_parallel(self.parallel).with_logit_memory(logits))
    }
}

/// Kernels or threads that this machine cannot provide.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The kernel set does not exist, or this CPU lacks its instructions.
    #[error("no kernel set \"{name}\" for this CPU; available: {available}")]
    Kernels {
        /// The name that was given.
        name: String,
        /// Kernel sets of this CPU.
        available: String,
    },
    /// The operating system refuses to start the threads.
    #[error("cannot start {count} threads: {source}; use fewer --threads")]
    Threads {
        /// Threads that were requested.
        count: u32,
        /// Error of the thread pool.
        source: rayon::ThreadPoolBuildError,
    },
}

/// Selects a kernel set by name, or the fastest of this CPU.
///
/// # Errors
/// [`EngineError::Kernels`] with the available names.
pub fn select_kernels(name: Option<&str>) -> Result<&'static Kernels, Error> {
    let Some(name) = name else { return Ok(kernels::best()) };
    kernels::by_name(name).ok_or_else(|| {
        let available = kernels::all().map(|kernels| kernels.name()).collect::<Vec<_>>().join(", ");
        Error::request(EngineError::Kernels { name: name.to_owned(), available })
    })
}

/// A thread pool that includes the thread that created it.
#[derive(Debug)]
struct ThreadPool(rayon::ThreadPool);

impl Parallel for ThreadPool {
    fn threads(&self) -> usize {
        self.0.current_num_threads()
    }

    fn join(&self, a: &mut (dyn FnMut() + Send), b: &mut (dyn FnMut() + Send)) {
        self.0.join(a, b);
    }
}

/// Starts a thread pool for the work on one sequence; the calling thread is one of its `count` threads. It lives as long as the process.
///
/// # Errors
/// [`EngineError::Threads`] if the system refuses to start them.
pub fn thread_pool(count: u32) -> Result<&'static dyn Parallel, Error> {
    if count == 1 {
        return Ok(&Inline);
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(count as usize).use_current_thread().build();
    let pool = pool.map_err(|source| Error::request(EngineError::Threads { count, source }))?;
    Ok(Box::leak(Box::new(ThreadPool(pool))))
}

/// Rayon's pool of the calling thread.
#[derive(Debug)]
struct SharedPool;

impl Parallel for SharedPool {
    fn threads(&self) -> usize {
        rayon::current_num_threads()
    }

    fn join(&self, a: &mut (dyn FnMut() + Send), b: &mut (dyn FnMut() + Send)) {
        rayon::join(a, b);
    }
}

/// The thread pool that parallel iterators use, too. It is quick on the pool's own threads, where [`rayon::scope`] runs its closure.
pub fn shared_pool() -> &'static dyn Parallel {
    &SharedPool
}
