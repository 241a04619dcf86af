//! Setting up the engine on a PC: which kernels, how long a sequence, how large a block.

use std::path::Path;

use attoformer::image::header::Config;
use attoformer::kernels::{self, Kernels};
use attoformer::{Image, Plan, Session, arena_bytes};

use crate::error::Error;
use crate::files::AlignedBytes;

/// Tokens that a prefill on a PC processes together: enough to read each weight once for many of them.
const BLOCK: u32 = 64;

/// How a session is set up. It changes speed and memory, never results.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The loops to run.
    pub kernels: &'static Kernels,
    /// Longest sequence; the packed one unless given.
    pub context: Option<u32>,
    /// Tokens processed together.
    pub block: Option<u32>,
}

impl Default for Setup {
    fn default() -> Self {
        Setup { kernels: kernels::best(), context: None, block: None }
    }
}

impl Setup {
    /// The plan for a model.
    pub fn plan(&self, config: &Config) -> Plan {
        let context = self.context.unwrap_or(config.context);
        Plan { context, block: self.block.unwrap_or(BLOCK).min(config.context) }
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

    /// A session in an arena made by [`Setup::arena`].
    ///
    /// # Errors
    /// See [`Session::with_plan`].
    pub fn session<'a>(&self, image: &Image<'a>, arena: &'a mut [u8]) -> Result<Session<'a>, attoformer::Error> {
        Session::with_kernels(image, arena, self.plan(image.config()), self.kernels)
    }
}

/// Kernels by name, or the best of this CPU.
///
/// # Errors
/// [`Error::Request`] with the names there are.
pub fn kernels_named(name: Option<&str>) -> Result<&'static Kernels, Error> {
    let Some(name) = name else { return Ok(kernels::best()) };
    kernels::by_name(name).ok_or_else(|| {
        let there = kernels::all().map(|kernels| kernels.name).collect::<Vec<_>>().join(", ");
        Error::Request(format!("there are no kernels {name} for this CPU, only {there}"))
    })
}
