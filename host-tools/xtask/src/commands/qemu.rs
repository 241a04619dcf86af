//! `cargo xtask qemu`: runs an image on an emulated machine.

use std::{
    io::{Write, stderr, stdout},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use attoformer_protocol::job::{Frame, Generate, MAX_PROMPT, Prompt, Sampling, Source, Task};
use serde_json::json;
use xtask::{
    answer::Report,
    emulator, firmware,
    machines::{self, MACHINES, Machine},
    output::Output,
    process::cargo,
};

/// Instructions that `--calibrate` runs: enough for a 24-bit counter of 50 instructions per tick to wrap.
const CALIBRATION: u32 = 900_000_000;
/// Allowed error of the count: two ticks of the coarsest counter.
const TOLERANCE: u64 = 100;

#[derive(clap::Args)]
pub struct Arguments {
    /// The machine: mps2-an385-m0, mps2-an385, mps2-an386, mps2-an500, mps2-an505, mps3-an547,
    /// riscv32imc-virt, riscv32-virt or riscv32imafc-virt
    #[arg(long)]
    machine: String,
    /// Build for this target instead of the machine's own (thumbv6m-none-eabi on mps2-an385)
    #[arg(long)]
    target: Option<String>,
    /// The image to run
    #[arg(long, required_unless_present = "calibrate")]
    image: Option<PathBuf>,
    /// Prompt text
    #[arg(long, conflicts_with = "tokens_in", required_unless_present_any = ["tokens_in", "calibrate", "source_tokens", "features", "sound"])]
    prompt: Option<String>,
    /// Prompt tokens, separated by commas
    #[arg(long, value_delimiter = ',')]
    tokens_in: Option<Vec<u32>>,
    /// Input tokens of the model's encoder, separated by commas
    #[arg(long, value_delimiter = ',', conflicts_with = "features")]
    source_tokens: Option<Vec<u32>>,
    /// Feature rows for the model's encoder: a file of f32, little-endian
    #[arg(long, conflicts_with = "sound")]
    features: Option<PathBuf>,
    /// Audio for the image's front end: a file of 16-bit little-endian samples without a header, at the model's sample rate
    #[arg(long)]
    sound: Option<PathBuf>,
    /// Number of tokens to generate
    #[arg(short = 'n', default_value_t = 32)]
    generate: u32,
    /// Context length to plan for, instead of the packed one
    #[arg(long)]
    context: Option<u32>,
    /// Prefill block: tokens per pass over the weights
    #[arg(long)]
    block: Option<u32>,
    /// Feed the prompt in chunks of this many tokens
    #[arg(long)]
    chunk: Option<u32>,
    /// Size of the arena in bytes, instead of the plan's
    #[arg(long)]
    arena_bytes: Option<u32>,
    /// Sampling temperature (0 = greedy)
    #[arg(long, default_value_t = 0.0, allow_hyphen_values = true, value_parser = temperature)]
    temperature: f32,
    /// Sample from the K most likely tokens (0 = all)
    #[arg(long, default_value_t = 0)]
    top_k: u32,
    /// Sample from the most likely tokens that reach this cumulative probability (nucleus sampling)
    #[arg(long, default_value_t = 1.0, allow_hyphen_values = true, value_parser = top_p)]
    top_p: f32,
    /// Random seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write the logits of every position, f32 little-endian
    #[arg(long)]
    logits: Option<PathBuf>,
    /// Print one JSON object instead of the text
    #[arg(long)]
    json: bool,
    /// Count a loop of known length instead of running an image
    #[arg(long)]
    calibrate: bool,
    /// Show the firmware's log on standard error
    #[arg(long)]
    logs: bool,
}

/// Parses a temperature as the sampler accepts it, so that an error names the option before anything is built.
fn temperature(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|number: &f32| number.is_finite() && *number >= 0.0).ok_or("must be 0 or greater".to_owned())
}

/// Parses a cumulative probability as the sampler accepts it.
fn top_p(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|number| *number > 0.0 && *number <= 1.0).ok_or("must be greater than 0 and at most 1".to_owned())
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let Some(machine) = machines::find_for(&arguments.machine, arguments.target.as_deref()) else {
        let names = MACHINES.map(|machine| machine.name).join(", ");
        let target = arguments.target.as_ref().map_or(String::new(), |target| format!(" for {target}"));
        bail!("unknown machine {}{target}; the machines are {names}", arguments.machine);
    };
    if arguments.logs && !cfg!(feature = "logs") {
        return rerun_with_logs();
    }
    let elf = if arguments.logs { firmware::build_with_logs(&machine)? } else { firmware::build(&machine)? };
    let log = log_printer(arguments, &elf)?;
    if arguments.calibrate {
        return calibrate(&machine, &elf, arguments.json);
    }
    let tokens: Vec<u8> = arguments.tokens_in.iter().flatten().flat_map(|token| token.to_le_bytes()).collect();
    if tokens.len() > 4 * MAX_PROMPT {
        bail!("the prompt has {} tokens, the firmware accepts at most {MAX_PROMPT}", tokens.len() / 4);
    }
    let (kind, source) = source(arguments)?;
    let task = Task::Generate(Generate {
        source: kind,
        prompt: arguments.prompt.as_deref().map_or(Prompt::Tokens(&tokens), Prompt::Text),
        generate: arguments.generate,
        context: arguments.context,
        block: arguments.block,
        chunk: arguments.chunk,
        arena_bytes: arguments.arena_bytes,
        sampling: Sampling { temperature: arguments.temperature, top_k: arguments.top_k, top_p: arguments.top_p, seed: arguments.seed },
        logits: arguments.logits.is_some(),
    });
    let image = arguments.image.as_deref();
    let logits = arguments.logits.as_deref().map(|path| Output::create(path, image)).transpose()?;
    let mut report = Report::new(machine.name);
    emulator::run(&machine, &elf, image, &source, task, |frame| {
        match *frame {
            Frame::Text(text) => show(text, arguments.json)?,
            Frame::Log(bytes) => log(bytes),
            _ => {}
        }
        report.add(frame);
        Ok(())
    })?;
    if let Some(logits) = logits {
        logits.finish(&report.logits)?;
    }
    if arguments.json {
        eprintln!();
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("\n\n{}", summary(&report));
    }
    Ok(())
}

/// Input of the encoder.
fn source(arguments: &Arguments) -> Result<(Source, Vec<u8>)> {
    for (path, kind) in [(&arguments.features, Source::Features), (&arguments.sound, Source::Samples)] {
        if let Some(path) = path {
            return Ok((kind, std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?));
        }
    }
    match &arguments.source_tokens {
        Some(tokens) => Ok((Source::Tokens, tokens.iter().flat_map(|token| token.to_le_bytes()).collect())),
        None => Ok((Source::Nothing, Vec::new())),
    }
}

/// Runs this command again in a build that can decode logs. The decoder is a third of the build, so the usual build omits it.
fn rerun_with_logs() -> Result<()> {
    eprintln!("qemu: building the log decoder (only the first time)");
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "xtask", "--features", "logs", "--"]).args(std::env::args_os().skip(1));
    let status = command.status().context("cannot start cargo")?;
    std::process::exit(status.code().unwrap_or(1))
}

#[cfg(feature = "logs")]
fn log_printer(arguments: &Arguments, elf: &Path) -> Result<impl Fn(&[u8])> {
    let logs = arguments.logs.then(|| xtask::logs::Logs::open(elf)).transpose()?;
    Ok(move |frame: &[u8]| logs.iter().for_each(|logs| eprintln!("{}", logs.line(frame))))
}

#[cfg(not(feature = "logs"))]
fn log_printer(_: &Arguments, _: &Path) -> Result<impl Fn(&[u8])> {
    Ok(|_: &[u8]| {})
}

/// Shows text as it is generated: on standard output, or on standard error if standard output is reserved for JSON.
fn show(text: &str, json: bool) -> Result<()> {
    if json {
        write!(stderr(), "{text}")?;
    } else {
        write!(stdout(), "{text}")?;
        stdout().flush()?;
    }
    Ok(())
}

fn summary(report: &Report) -> String {
    let most = report.instructions_per_token.iter().max().map_or(String::new(), |most| format!(", at most {most} per token"));
    format!(
        "{}: {} tokens after {}, hash {}\ninstructions: {} for the prompt{} (counted by the emulator, not cycles)\n\
         flash: {} code + {} model bytes\nRAM: {} arena ({} used) + {} static + {} stack bytes",
        report.machine,
        report.tokens.len(),
        report.prompt_tokens,
        report.output_hash,
        report.instructions_prefill,
        most,
        report.flash_bytes_code,
        report.flash_bytes_model,
        report.ram_bytes_arena,
        report.arena_high_water,
        report.ram_bytes_static,
        report.stack_high_water,
    )
}

fn calibrate(machine: &Machine, elf: &Path, json: bool) -> Result<()> {
    let mut result = (0, 0);
    emulator::run(machine, elf, None, &[], Task::Calibrate { instructions: CALIBRATION }, |frame| {
        if let Frame::Calibrated { counted, overhead } = *frame {
            result = (counted, overhead);
        }
        Ok(())
    })?;
    let (counted, overhead) = result;
    if counted.abs_diff(u64::from(CALIBRATION)) > TOLERANCE {
        bail!("{}: a loop of {CALIBRATION} instructions was counted as {counted}: the counter runs at another rate", machine.name);
    }
    if json {
        println!("{}", json!({ "machine": machine.name, "executed": CALIBRATION, "counted": counted, "empty": overhead }));
    } else {
        println!("{}: a loop of {CALIBRATION} instructions was counted as {counted}, an empty region as {overhead}", machine.name);
    }
    Ok(())
}
