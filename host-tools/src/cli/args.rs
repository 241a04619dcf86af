//! What commands that work on many inputs run on.

use attoformer_tools::Error;
use attoformer_tools::engine::{Setup, select_kernels};
use attoformer_tools::threads::all_cores;

/// Threads and kernels; no result depends on them.
#[derive(clap::Args)]
pub struct Workers {
    /// Threads, which change no result [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=super::THREADS_MAX))]
    threads: Option<u32>,
    /// The loops to run, such as scalar or avx2 [default: the fastest of this CPU]
    #[arg(long, value_name = "NAME")]
    kernels: Option<String>,
}

impl Workers {
    /// How each one's session is set up.
    pub fn setup(&self) -> Result<Setup, Error> {
        Ok(Setup { kernels: select_kernels(self.kernels.as_deref())?, ..Setup::default() })
    }

    /// How many they are.
    pub fn threads(&self) -> usize {
        self.threads.map_or_else(all_cores, |threads| threads as usize)
    }
}
