//! Setting up the engine on a PC: which kernels, how long a sequence, how large a block.

use std::path::Path;

use attoformer::image::header::Config;
use attoformer::kernels::{self, Kernels};
use attoformer::parallel::{Inline, Parallel};
use attoformer::{Image, Plan, Session, arena_bytes};

use crate::error::Error;
use crate::files::AlignedBytes;

/// Tokens that a prefill on a PC processes together: enough to read each weight once for many of them.
const PREFILL_BLOCK: u32 = 64;

/// An image, and the file that errors name.
#[derive(Clone, Copy, Debug)]
pub struct OpenImage<'a> {
    /// The image.
    pub image: &'a Image<'a>,
    /// Its file, or the one it was made from.
    pub path: &'a Path,
}

/// How a session is set up. It changes speed and memory, never results.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The loops to run.
    pub kernels: &'static Kernels,
    /// Longest sequence; the packed one unless given.
    pub context: Option<u32>,
    /// Tokens processed together.
    pub block: Option<u32>,
    /// Threads that share the work on one sequence.
    pub parallel: &'static dyn Parallel,
}

impl Default for Setup {
    fn default() -> Self {
        Setup { kernels: kernels::best(), context: None, block: None, parallel: &Inline }
    }
}

impl Setup {
    /// The plan for a model.
    pub fn plan(&self, config: &Config) -> Plan {
        let context = self.context.unwrap_or(config.context);
        Plan { context, block: self.block.unwrap_or(PREFILL_BLOCK).min(config.context) }
    }

    /// An arena for a model, whose file errors name.
    ///
    /// # Errors
    /// [`attoformer::Error::Context`] for a context beyond the packed one, [`Error::Memory`].
    pub fn arena(&self, config: &Config, path: &Path) -> Result<AlignedBytes, Error> {
        let plan = self.plan(config);
        if plan.context > config.context {
            let (asked, packed) = (plan.context as usize, config.context as usize);
            return Err(Error::engine(path)(attoformer::Error::Context { asked, packed }));
        }
        let bytes = arena_bytes(config, plan);
        AlignedBytes::try_zeroed(bytes).ok_or_else(|| Error::Memory { path: path.to_owned(), bytes })
    }

    /// Work with a session in an arena of its own.
    ///
    /// # Errors
    /// Those of [`Setup::arena`] and [`Setup::session`], and what the work returns.
    pub fn with_session<T>(&self, subject: OpenImage<'_>, work: impl FnOnce(&mut Session<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let mut arena = self.arena(subject.image.config(), subject.path)?;
        work(&mut self.session(subject.image, &mut arena).map_err(Error::engine(subject.path))?)
    }

    /// A session in an arena made by [`Setup::arena`].
    ///
    /// # Errors
    /// See [`Session::with_plan`].
    pub fn session<'a>(&self, image: &Image<'a>, arena: &'a mut [u8]) -> Result<Session<'a>, attoformer::Error> {
        Session::with_kernels(image, arena, self.plan(image.config()), self.kernels).map(|session| session.with_parallel(self.parallel))
    }
}

/// Kernels by name, or the best of this CPU.
///
/// # Errors
/// [`Error::Request`] with the names there are.
pub fn select_kernels(name: Option<&str>) -> Result<&'static Kernels, Error> {
    let Some(name) = name else { return Ok(kernels::best()) };
    kernels::by_name(name).ok_or_else(|| {
        let there = kernels::all().map(|kernels| kernels.name).collect::<Vec<_>>().join(", ");
        Error::Request(format!("there are no kernels {name} for this CPU, only {there}"))
    })
}

/// A pool of threads, the one that made it among them.
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

/// Threads for the work on one sequence, this one among them. They live as long as the process.
///
/// # Errors
/// [`Error::Request`] when the system does not give them.
pub fn thread_pool(count: u32) -> Result<&'static dyn Parallel, Error> {
    if count == 1 {
        return Ok(&Inline);
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(count as usize).use_current_thread().build();
    let pool = pool.map_err(|error| Error::Request(format!("{count} threads cannot be had: {error}; ask for fewer")))?;
    Ok(Box::leak(Box::new(ThreadPool(pool))))
}
