//! `cargo xtask demo`: the default model tells a story on an emulated Cortex-M4F, and this computer computes the same bits.

use std::{
    fs,
    io::{Write, stdout},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use attoformer_protocol::{Frame, Generate, Prompt, Sampling, Source, Task};
use serde::Deserialize;
use xtask::{
    answer::Report,
    emulator, firmware,
    machines::{self, Machine},
    process::{capture, cargo, root, run as execute},
};

use super::setup;

const MACHINE: &str = "mps2-an386";
/// Where the default model lies.
const MODEL: &str = "models/tales";

#[derive(clap::Args)]
pub struct Arguments {
    /// How the story begins
    #[arg(long, default_value = "Once upon a time")]
    prompt: String,
    /// Tokens to write at most
    #[arg(short = 'n', default_value_t = 150)]
    tokens: u32,
    /// Run a program with the image built in instead: story, or words, which has a heap
    #[arg(long, value_parser = ["story", "words"])]
    program: Option<String>,
    /// Another image instead of the default model
    #[arg(long)]
    image: Option<PathBuf>,
}

impl Arguments {
    /// A demo that is over soon.
    pub fn short(program: Option<&str>) -> Self {
        Self { prompt: "Once upon a time".to_owned(), tokens: 24, program: program.map(str::to_owned), image: None }
    }
}

/// Whether the repository carries its model.
pub fn has_default_model() -> bool {
    root().join(MODEL).join("model.bin").is_file()
}

/// What `atto run --json` says, as far as it is compared.
#[derive(Deserialize)]
struct OnThisComputer {
    tokens: Vec<u32>,
    output_hash: String,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let machine = machines::find(MACHINE).context("the demo's machine is not in the table")?;
    setup::for_demo()?;
    say("building the host tool");
    let atto = build_atto()?;
    let image = match &arguments.image {
        Some(image) => image.clone(),
        None => pack_default(&atto)?,
    };
    say("building the firmware");
    if let Some(program) = &arguments.program {
        let elf = firmware::build_demo(&machine, program, &image)?;
        return emulator::run_plain(&machine, &elf);
    }
    let elf = firmware::build(&machine)?;

    println!("\n{} on an emulated {} writes:\n", machine.name, machine.core);
    let device = on_device(&machine, &elf, &image, arguments)?;
    println!("\n\n{}\n", table(&device));
    let pc = on_this_computer(&atto, &image, arguments)?;
    if pc.output_hash != device.output_hash || pc.tokens != device.tokens {
        bail!("this computer got other bits: hash {} instead of {}", pc.output_hash, device.output_hash);
    }
    println!("This computer got the same bits: {}", pc.output_hash);
    Ok(())
}

fn say(what: &str) {
    eprintln!("demo: {what}");
}

fn build_atto() -> Result<PathBuf> {
    execute(cargo().current_dir(root()).args(["build", "--quiet", "--release", "--package", "attoformer-tools", "--bin", "atto"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("release/atto"))
}

/// Packs the model that the repository carries.
fn pack_default(atto: &Path) -> Result<PathBuf> {
    say(&format!("packing {MODEL}"));
    let model = root().join(MODEL);
    let folder = firmware::target_dir();
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let image = folder.join("tales.atto");
    let mut pack = Command::new(atto);
    pack.arg("pack").arg(model.join("model.bin")).arg("--tokenizer").arg(model.join("tokenizer.bin"));
    capture(pack.arg("-o").arg(&image))?;
    Ok(image)
}

fn on_device(machine: &Machine, elf: &Path, image: &Path, arguments: &Arguments) -> Result<Report> {
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

fn on_this_computer(atto: &Path, image: &Path, arguments: &Arguments) -> Result<OnThisComputer> {
    let mut command = Command::new(atto);
    command.arg("run").arg(image).arg("--prompt").arg(&arguments.prompt).arg("-n").arg(arguments.tokens.to_string()).arg("--json");
    let said = capture(&mut command)?;
    serde_json::from_str(&said).context("`atto run` did not print the JSON that it promises")
}

fn table(report: &Report) -> String {
    let steps = &report.instructions_per_token;
    let mean = steps.iter().sum::<u64>() / steps.len().max(1) as u64;
    let rows = [
        ("instructions, whole prompt", format!("{} ({} tokens)", report.instructions_prefill, report.prompt_tokens)),
        ("instructions a token", format!("{mean} on average, {} at most", steps.iter().max().copied().unwrap_or_default())),
        ("flash, program", format!("{} bytes", report.flash_bytes_code)),
        ("flash, model", format!("{} bytes", report.flash_bytes_model)),
        ("RAM, arena", format!("{} bytes", report.ram_bytes_arena)),
        ("RAM, statics", format!("{} bytes", report.ram_bytes_static)),
        ("RAM, stack", format!("{} bytes at the deepest point", report.stack_high_water)),
    ];
    let lines: Vec<String> = rows.iter().map(|(name, value)| format!("  {name:<28}{value}")).collect();
    format!("{}\n  (the emulator counts instructions; they are not cycles)", lines.join("\n"))
}
