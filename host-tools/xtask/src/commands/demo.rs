//! `cargo xtask demo`: the default model generates a story on an emulated Cortex-M4F, and this computer computes the same bits.

use std::{
    fs,
    io::{Write, stdout},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use attoformer_protocol::job::{Frame, Generate, Prompt, Sampling, Source, Task};
use serde::Deserialize;
use xtask::{
    answer::Report,
    emulator, firmware,
    machines::{self, Machine},
    process::{capture, cargo, root, run as execute},
};

use super::setup;

const MACHINE: &str = "mps2-an386";
/// Folder of the default model.
const MODEL: &str = "models/tales";

#[derive(clap::Args)]
pub struct Arguments {
    /// The text that the story continues
    #[arg(long, default_value = "Once upon a time")]
    prompt: String,
    /// Maximum number of tokens to generate
    #[arg(short = 'n', default_value_t = 150)]
    tokens: u32,
    /// Run a program with the image built in instead: story, words (with a heap) or tokens (token ids only)
    #[arg(long, value_parser = ["story", "words", "tokens"])]
    program: Option<String>,
    /// Another image instead of the default model
    #[arg(long)]
    image: Option<PathBuf>,
    /// Use this `atto` instead of building a small one
    #[arg(long, hide = true)]
    atto: Option<PathBuf>,
}

impl Arguments {
    /// A short demo with an `atto` that is already built.
    pub fn short(program: Option<&str>, atto: PathBuf) -> Self {
        let prompt = "Once upon a time".to_owned();
        Self { prompt, tokens: 24, program: program.map(str::to_owned), image: None, atto: Some(atto) }
    }
}

/// Whether the repository contains its default model.
pub fn has_default_model() -> bool {
    root().join(MODEL).join("model.bin").is_file()
}

/// The compared fields of `atto run --json`.
#[derive(Deserialize)]
struct HostReport {
    tokens: Vec<u32>,
    output_hash: String,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let progress = Progress(Instant::now());
    let machine = machines::find(MACHINE).context("the demo's machine is not in the table")?;
    setup::for_demo()?;
    let atto = match &arguments.atto {
        Some(atto) => atto.clone(),
        None => {
            progress.show("building `atto`, the host tool");
            build_atto()?
        }
    };
    let image = match &arguments.image {
        Some(image) => image.clone(),
        None => {
            progress.show("packing models/tales into an image");
            pack_default(&atto)?
        }
    };
    progress.show("building the firmware");
    if let Some(program) = &arguments.program {
        let features = if program == "tokens" { "minimal" } else { "default" };
        let elf = firmware::build_demo(&machine, program, &image, features, &[])?;
        progress.show("starting the emulator");
        return emulator::run_plain(&machine, &elf);
    }
    let elf = firmware::build(&machine)?;
    progress.show("starting the emulator");

    println!("\n{} on an emulated {} writes:\n", machine.name, machine.core);
    let device = run_on_device(&machine, &elf, &image, arguments)?;
    println!("\n\n{}\n", table(&device));
    let host = run_on_host(&atto, &image, arguments)?;
    if host.output_hash != device.output_hash || host.tokens != device.tokens {
        bail!("this computer computed other bits: hash {} instead of {}", host.output_hash, device.output_hash);
    }
    println!("This computer got the same bits: {}", host.output_hash);
    Ok(())
}

/// Progress lines with the seconds since the start.
struct Progress(Instant);

impl Progress {
    fn show(&self, step: &str) {
        eprintln!("demo: {:>3} s  {step}", self.0.elapsed().as_secs());
    }
}

/// Builds `atto` with no more than the demo needs, in the profile of `cargo xtask` itself, whose dependencies are built already.
pub fn build_atto() -> Result<PathBuf> {
    let mut command = cargo();
    command.current_dir(root()).args(["build", "--package", "attoformer-tools", "--bin", "atto", "--no-default-features"]);
    execute(&mut command)?;
    Ok(target_dir().join("debug/atto"))
}

/// Target folder of the root workspace.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Packs the model of the repository.
fn pack_default(atto: &Path) -> Result<PathBuf> {
    let model = root().join(MODEL);
    let folder = firmware::target_dir();
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let image = folder.join("tales.atto");
    let mut pack = Command::new(atto);
    pack.arg("pack").arg(model.join("model.bin")).arg("--tokenizer").arg(model.join("tokenizer.bin"));
    capture(pack.arg("-o").arg(&image))?;
    Ok(image)
}

fn run_on_device(machine: &Machine, elf: &Path, image: &Path, arguments: &Arguments) -> Result<Report> {
    let task = Task::Generate(Generate {
        source: Source::Nothing,
        prompt: Prompt::Text(&arguments.prompt),
        generate: arguments.tokens,
        context: None,
        block: None,
        chunk: None,
        arena_bytes: None,
        sampling: Sampling::GREEDY,
        logits: false,
    });
    let mut report = Report::new(machine.name);
    let mut output = stdout();
    write!(output, "{}", arguments.prompt)?;
    emulator::run(machine, elf, Some(image), &[], task, |frame| {
        if let Frame::Text(text) = *frame {
            write!(output, "{text}")?;
            output.flush()?;
        }
        report.add(frame);
        Ok(())
    })?;
    Ok(report)
}

fn run_on_host(atto: &Path, image: &Path, arguments: &Arguments) -> Result<HostReport> {
    let mut command = Command::new(atto);
    command.arg("run").arg(image).arg("--prompt").arg(&arguments.prompt).arg("-n").arg(arguments.tokens.to_string()).arg("--json");
    let json = capture(&mut command)?;
    serde_json::from_str(&json).context("`atto run --json` did not print the promised JSON")
}

fn table(report: &Report) -> String {
    let steps = &report.instructions_per_token;
    let mean = steps.iter().sum::<u64>() / steps.len().max(1) as u64;
    let rows = [
        ("instructions, whole prompt", format!("{} ({} tokens)", report.instructions_prefill, report.prompt_tokens)),
        ("instructions per token", format!("{mean} on average, {} at most", steps.iter().max().copied().unwrap_or_default())),
        ("flash, program", format!("{} bytes", report.flash_bytes_code)),
        ("flash, model", format!("{} bytes", report.flash_bytes_model)),
        ("RAM, arena", format!("{} bytes", report.ram_bytes_arena)),
        ("RAM, statics", format!("{} bytes", report.ram_bytes_static)),
        ("RAM, stack", format!("{} bytes at the deepest point", report.stack_high_water)),
    ];
    let lines: Vec<String> = rows.iter().map(|(name, value)| format!("  {name:<28}{value}")).collect();
    format!("{}\n  (the emulator counts instructions; they are not cycles)", lines.join("\n"))
}
