//! `cargo xtask qemu`: an image on an emulated machine.

use std::{
    io::{Write, stderr, stdout},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use attoformer_protocol::{Frame, Generate, MAX_PROMPT, Prompt, Sampling, Source, Task};
use serde_json::json;
use xtask::{
    answer::Report,
    emulator, firmware,
    machines::{self, MACHINES, Machine},
    output::Output,
    process::cargo,
};

/// Instructions that `--calibrate` runs: enough for a 24-bit counter of 50 instructions a tick to wrap.
const CALIBRATION: u32 = 900_000_000;
/// How far off the count may be: two ticks of the coarsest counter.
const TOLERANCE: u64 = 100;

#[derive(clap::Args)]
pub struct Arguments {
    /// The machine: mps2-an385-m0, mps2-an385, mps2-an386, mps2-an500, mps2-an505, mps3-an547 or riscv32-virt
    #[arg(long)]
    machine: String,
    /// Build for this target instead of the machine's own (thumbv6m-none-eabi on mps2-an385)
    #[arg(long)]
    target: Option<String>,
    /// The image to run
    #[arg(long, required_unless_present = "calibrate")]
    image: Option<PathBuf>,
    /// The text to go on from
    #[arg(long, conflicts_with = "tokens_in", required_unless_present_any = ["tokens_in", "calibrate", "source_tokens", "features", "sound"])]
    prompt: Option<String>,
    /// The tokens to go on from, separated by commas
    #[arg(long, value_delimiter = ',')]
    tokens_in: Option<Vec<u32>>,
    /// Tokens for the model's encoder, separated by commas
    #[arg(long, value_delimiter = ',', conflicts_with = "features")]
    source_tokens: Option<Vec<u32>>,
    /// Rows of features for the model's encoder: a file of f32, little-endian
    #[arg(long, conflicts_with = "sound")]
    features: Option<PathBuf>,
    /// Sound for the image's front end: a file of 16-bit samples, little-endian, without a header, at the model's rate
    #[arg(long)]
    sound: Option<PathBuf>,
    /// Tokens to generate
    #[arg(short = 'n', default_value_t = 32)]
    generate: u32,
    /// Plan for this context instead of the packed one
    #[arg(long)]
    context: Option<u32>,
    /// Tokens that one read of the weights serves while the prompt is read
    #[arg(long)]
    block: Option<u32>,
    /// Feed the prompt in pieces of this many tokens
    #[arg(long)]
    chunk: Option<u32>,
    /// Give the engine this many bytes of arena instead of what the plan asks for
    #[arg(long)]
    arena_bytes: Option<u32>,
    /// Divide the logits by this before choosing; 0 takes the likeliest token
    #[arg(long, default_value_t = 0.0, allow_hyphen_values = true, value_parser = temperature)]
    temperature: f32,
    /// Choose among this many tokens; 0 for all
    #[arg(long, default_value_t = 0)]
    top_k: u32,
    /// Choose among the likeliest tokens that reach this probability together
    #[arg(long, default_value_t = 1.0, allow_hyphen_values = true, value_parser = top_p)]
    top_p: f32,
    /// Seed of the choice
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write the logits of every position fed, f32 little-endian
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

/// What the sampler takes, so that a fault names the option before anything is built.
fn temperature(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|number: &f32| number.is_finite() && *number >= 0.0).ok_or("it must be 0 or a number above it".to_owned())
}

/// The same.
fn top_p(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|number| *number > 0.0 && *number <= 1.0).ok_or("it must be above 0 and at most 1".to_owned())
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let Some(machine) = machines::find_for(&arguments.machine, arguments.target.as_deref()) else {
        let names = MACHINES.map(|machine| machine.name).join(", ");
        let target = arguments.target.as_ref().map_or(String::new(), |target| format!(" for {target}"));
        bail!("there is no machine {}{target}; the machines are {names}", arguments.machine);
    };
    if arguments.logs && !cfg!(feature = "logs") {
        return again_with_logs();
    }
    let elf = if arguments.logs { firmware::build_logging(&machine)? } else { firmware::build(&machine)? };
    let log = log_printer(arguments, &elf)?;
    if arguments.calibrate {
        return calibrate(&machine, &elf, arguments.json);
    }
    let tokens: Vec<u8> = arguments.tokens_in.iter().flatten().flat_map(|token| token.to_le_bytes()).collect();
    if tokens.len() > 4 * MAX_PROMPT {
        bail!("the prompt has {} tokens, the firmware takes {MAX_PROMPT}", tokens.len() / 4);
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
    let logits = arguments.logits.as_deref().map(|path| Output::beside(path, image)).transpose()?;
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

/// What the encoder is to read.
fn source(arguments: &Arguments) -> Result<(Source, Vec<u8>)> {
    for (path, kind) in [(&arguments.features, Source::Features), (&arguments.sound, Source::Samples)] {
        if let Some(path) = path {
            return Ok((kind, std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?));
        }
    }
    match &arguments.source_tokens {
        Some(tokens) => Ok((Source::Tokens, tokens.iter().flat_map(|token| token.to_le_bytes()).collect())),
        None => Ok((Source::Nothing, Vec::new())),
    }
}

/// Runs this command again in a build that can decode logs: the decoder is a third of the whole build, so it is left out otherwise.
fn again_with_logs() -> Result<()> {
    eprintln!("qemu: building the log decoder, which takes a while the first time");
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "xtask", "--features", "logs", "--"]).args(std::env::args_os().skip(1));
    let status = command.status().context("cargo could not be started")?;
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

/// Text goes to standard output as it is written, or to standard error when that is kept for JSON.
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
    let dearest = report.instructions_per_token.iter().max().map_or(String::new(), |dearest| format!(", at most {dearest} a token"));
    format!(
        "{}: {} tokens after {}, hash {}\ninstructions: {} for the prompt{} (counted by the emulator, not cycles)\n\
         flash: {} code + {} model bytes\nRAM: {} arena ({} touched) + {} static + {} stack bytes",
        report.machine,
        report.tokens.len(),
        report.prompt_tokens,
        report.output_hash,
        report.instructions_prefill,
        dearest,
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
        bail!("{}: a loop of {CALIBRATION} instructions was counted as {counted}: its counter runs at another rate", machine.name);
    }
    if json {
        println!("{}", json!({ "machine": machine.name, "executed": CALIBRATION, "counted": counted, "empty": overhead }));
    } else {
        println!("{}: a loop of {CALIBRATION} instructions was counted as {counted}, an empty region as {overhead}", machine.name);
    }
    Ok(())
}
