//! Options that several subcommands share.

use attoformer::Sampler;
use attoformer_tools::Error;
use attoformer_tools::device::requests::Sampling;
use attoformer_tools::engine::{Setup, select_kernels, thread_pool};
use attoformer_tools::threads::all_cores;

/// Most threads that an option accepts; more would only wait for each other.
const THREADS_MAX: i64 = 256;

/// Kernel set of the engine.
#[derive(clap::Args)]
pub struct KernelArgs {
    /// Kernel set: scalar, avx2, ... [default: the fastest that this CPU supports]
    #[arg(long, value_name = "NAME")]
    kernels: Option<String>,
}

impl KernelArgs {
    /// The session setup with this kernel set.
    pub fn setup(&self) -> Result<Setup, Error> {
        Ok(Setup { kernels: select_kernels(self.kernels.as_deref())?, ..Setup::default() })
    }
}

/// Threads and kernels for one sequence at a time.
#[derive(clap::Args)]
pub struct EngineArgs {
    /// Threads that share the work on a sequence (never change a result; small models gain nothing)
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=THREADS_MAX))]
    threads: u32,
    #[command(flatten)]
    kernels: KernelArgs,
}

impl EngineArgs {
    /// The session setup with this thread pool and kernel set.
    pub fn setup(&self) -> Result<Setup, Error> {
        Ok(Setup { parallel: thread_pool(self.threads)?, ..self.kernels.setup()? })
    }

    /// The session setup with this kernel set and one thread.
    pub fn single_threaded(&self) -> Result<Setup, Error> {
        self.kernels.setup()
    }
}

/// Threads and kernels for many independent inputs.
#[derive(clap::Args)]
pub struct WorkerArgs {
    /// Threads, each with a session of its own (never change a result) [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=THREADS_MAX))]
    threads: Option<u32>,
    #[command(flatten)]
    kernels: KernelArgs,
}

impl WorkerArgs {
    /// The setup of each thread's session.
    pub fn setup(&self) -> Result<Setup, Error> {
        self.kernels.setup()
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.threads.map_or_else(all_cores, |threads| threads as usize)
    }
}

/// Sampling options. They are validated while they are parsed, so that an invalid value is a usage error that names its option.
#[derive(clap::Args)]
pub struct SamplingArgs {
    /// Sampling temperature (0 = greedy)
    #[arg(long, default_value_t = 0.0, value_name = "T", allow_hyphen_values = true, value_parser = temperature)]
    temperature: f32,
    /// Sample from the K most likely tokens only
    #[arg(long, value_name = "K", allow_hyphen_values = true, value_parser = clap::value_parser!(u32).range(1..))]
    top_k: Option<u32>,
    /// Nucleus sampling: sample from the fewest tokens with this total probability
    #[arg(long, value_name = "P", allow_hyphen_values = true, value_parser = top_p)]
    top_p: Option<f32>,
    /// Divide the logits of tokens that already occurred (1 = off)
    #[arg(long, default_value_t = 1.0, value_name = "R", allow_hyphen_values = true, value_parser = repetition_penalty)]
    repetition_penalty: f32,
    /// Random seed
    #[arg(long, default_value_t = 0, value_name = "S")]
    seed: u64,
}

impl SamplingArgs {
    /// The same parameters for a board, which runs the sampler itself.
    pub fn on_board(&self, limit: Option<u32>) -> Sampling {
        Sampling {
            limit: limit.unwrap_or(u32::MAX),
            temperature: self.temperature,
            top_k: self.top_k.unwrap_or(0),
            top_p: self.top_p.unwrap_or(1.0),
            repetition_penalty: self.repetition_penalty,
            seed: self.seed,
        }
    }

    /// The sampler with these options.
    pub fn sampler(&self) -> Result<Sampler, attoformer::Error> {
        let mut sampler = Sampler::new(self.seed).with_temperature(self.temperature)?.with_repetition_penalty(self.repetition_penalty)?;
        if let Some(top_k) = self.top_k {
            sampler = sampler.with_top_k(top_k)?;
        }
        if let Some(top_p) = self.top_p {
            sampler = sampler.with_top_p(top_p)?;
        }
        Ok(sampler)
    }
}

/// A number outside the range of its option.
#[derive(Clone, Debug, thiserror::Error)]
#[error("expected {0}")]
struct RangeError(&'static str);

fn temperature(text: &str) -> Result<f32, RangeError> {
    number(text, Sampler::with_temperature, "a number of at least 0")
}

fn top_p(text: &str) -> Result<f32, RangeError> {
    number(text, Sampler::with_top_p, "a number above 0 and at most 1")
}

fn repetition_penalty(text: &str) -> Result<f32, RangeError> {
    number(text, Sampler::with_repetition_penalty, "a number above 0")
}

/// A number that the sampler accepts.
fn number(text: &str, set: fn(Sampler, f32) -> Result<Sampler, attoformer::Error>, range: &'static str) -> Result<f32, RangeError> {
    let number = text.trim().parse().ok().filter(|&number| set(Sampler::greedy(), number).is_ok());
    number.ok_or(RangeError(range))
}
