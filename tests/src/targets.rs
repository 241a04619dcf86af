//! Runs an image on every target: this CPU, other CPUs in emulators, a wasm interpreter, emulated boards.

use anyhow::{Context, Result, bail};
use attoformer::kernels::Kernels;
use attoformer_protocol::job::{self as protocol, Generate, Prompt, Sampling, Task};
use attoformer_replay::{Job, Source, replay};
use std::path::Path;
use std::process::Command;
use wasmi::{Engine, Linker, Memory, Module, Store, TypedFunc};
use xtask::answer::Report;
use xtask::machines::Machine;
use xtask::process::{capture, cargo, root, run};
use xtask::{emulator, firmware};

/// Hash of one job on this CPU.
///
/// # Errors
/// The engine's errors.
pub fn on_this_cpu(image: &[u8], kernels: &'static Kernels, job: Job<'_>) -> Result<u32> {
    Ok(replay(image, kernels, job)?)
}

/// Report of one job on an emulated board, in chunks of `job.chunk`; `arena_bytes` overrides the plan's arena size.
///
/// # Errors
/// The program does not build, start or finish.
pub fn on_board(machine: &Machine, image: &Path, job: Job<'_>, arena_bytes: Option<u32>) -> Result<Report> {
    let elf = firmware::build(machine)?;
    let tokens: Vec<u8> = job.prompt.iter().flat_map(|token| token.to_le_bytes()).collect();
    let (kind, source) = match job.source {
        Source::Nothing => (protocol::Source::Nothing, Vec::new()),
        Source::Tokens(tokens) => (protocol::Source::Tokens, tokens.iter().flat_map(|token| token.to_le_bytes()).collect()),
        Source::Samples(samples) => (protocol::Source::Samples, samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()),
        Source::Features(rows) => (protocol::Source::Features, rows.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()),
    };
    let task = Task::Generate(Generate {
        source: kind,
        prompt: Prompt::Tokens(&tokens),
        generate: job.generate,
        context: None,
        block: None,
        chunk: Some(job.chunk as u32),
        arena_bytes,
        sampling: Sampling::GREEDY,
        logits: false,
    });
    let mut report = Report::new(machine.name);
    emulator::run(machine, &elf, Some(image), &source, task, |frame| {
        report.add(frame);
        Ok(())
    })?;
    Ok(report)
}

/// Builds the replay program for `target` and returns its folder.
fn build_replay(target: &str, kind: &str) -> Result<std::path::PathBuf> {
    let folder = root().join("target/replay");
    let mut command = cargo();
    command.current_dir(root()).args(["build", "--quiet", "--release", "--package", "attoformer-replay", kind]);
    run(command.args(["--target", target, "--target-dir"]).arg(&folder))?;
    Ok(folder.join(target).join("release"))
}

/// Hashes of all prompts on an emulated AArch64 CPU.
///
/// # Errors
/// The program does not build or run.
pub fn on_aarch64(image: &Path, prompts: &[Vec<u32>], generate: u32, chunk: usize) -> Result<Vec<u32>> {
    let program = build_replay("aarch64-unknown-linux-gnu", "--bins")?.join("attoformer-replay");
    let mut command = Command::new("qemu-aarch64");
    command.args(["-L", "/usr/aarch64-linux-gnu", "-cpu", "max"]).arg(program).arg(image);
    command.arg(generate.to_string()).arg(chunk.to_string()).args(prompts.iter().map(|prompt| spelled(prompt)));
    let said = capture(&mut command)?;
    said.lines().map(|line| u32::from_str_radix(line, 16).with_context(|| format!("{line} is not a hash"))).collect()
}

/// Hash of a generated clip's features on an emulated AArch64 CPU; `section` is the file of the front-end section.
///
/// # Errors
/// The program does not build or run.
pub fn features_on_aarch64(section: &Path) -> Result<u32> {
    let program = build_replay("aarch64-unknown-linux-gnu", "--bins")?.join("attoformer-replay");
    let mut command = Command::new("qemu-aarch64");
    let said = capture(command.args(["-L", "/usr/aarch64-linux-gnu", "-cpu", "max"]).arg(program).arg("--features").arg(section))?;
    u32::from_str_radix(said.trim(), 16).with_context(|| format!("{said} is not a hash"))
}

/// Tokens separated by commas.
fn spelled(tokens: &[u32]) -> String {
    tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// A wasm interpreter with the engine and an image.
pub struct Wasm {
    store: Store<()>,
    memory: Memory,
    reserve: TypedFunc<u32, u32>,
    run: TypedFunc<(u32, u32, u32, u32, u32, u32), u64>,
    features: TypedFunc<(u32, u32), u64>,
    image: (u32, u32),
}

impl Wasm {
    /// Builds the module and loads the image into it.
    ///
    /// # Errors
    /// The module does not build or start.
    pub fn new(image: &[u8]) -> Result<Self> {
        let module = build_replay("wasm32-unknown-unknown", "--lib")?.join("attoformer_replay.wasm");
        let engine = Engine::default();
        let module = Module::new(&engine, std::fs::read(module)?)?;
        let mut store = Store::new(&engine, ());
        let instance = Linker::new(&engine).instantiate_and_start(&mut store, &module)?;
        let memory = instance.get_memory(&store, "memory").context("the module exports no memory")?;
        let reserve = instance.get_typed_func(&store, "reserve")?;
        let run = instance.get_typed_func(&store, "run")?;
        let features = instance.get_typed_func(&store, "features")?;
        let mut wasm = Wasm { store, memory, reserve, run, features, image: (0, image.len() as u32) };
        wasm.image.0 = wasm.put(image)?;
        Ok(wasm)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<u32> {
        let at = self.reserve.call(&mut self.store, bytes.len() as u32)?;
        self.memory.write(&mut self.store, at as usize, bytes)?;
        Ok(at)
    }

    /// Returns the hash of a generated clip's features.
    ///
    /// # Errors
    /// The engine refuses the section.
    pub fn features_hash(&mut self, section: &[u8]) -> Result<u32> {
        let at = self.put(section)?;
        match self.features.call(&mut self.store, (at, section.len() as u32))? {
            hash if hash >> 32 == 0 => Ok(hash as u32),
            _ => bail!("the engine in the wasm module refused the front end"),
        }
    }

    /// Returns the hash of one job.
    ///
    /// # Errors
    /// The engine refuses the job.
    pub fn hash(&mut self, job: Job<'_>) -> Result<u32> {
        let bytes: Vec<u8> = job.prompt.iter().flat_map(|token| token.to_le_bytes()).collect();
        let prompt = self.put(&bytes)?;
        let (image, image_bytes) = self.image;
        let arguments = (image, image_bytes, prompt, job.prompt.len() as u32, job.generate, job.chunk as u32);
        match self.run.call(&mut self.store, arguments)? {
            hash if hash >> 32 == 0 => Ok(hash as u32),
            _ => bail!("the engine in the wasm module refused the job"),
        }
    }
}
