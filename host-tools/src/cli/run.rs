//! `atto run`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use attoformer::Image;
use attoformer_tools::bench::rate;
use attoformer_tools::engine::Setup;
use attoformer_tools::run::generate::{self, Observer, Outcome, Request};
use attoformer_tools::{Error, files};
use serde::Serialize;

use super::args::{EngineArgs, SamplingArgs};
use super::output::{print, print_json};

/// Generate text from a prompt
#[derive(clap::Args)]
pub struct Args {
    /// Image
    file: PathBuf,
    /// Prompt text; BOS is added if the model expects it
    #[arg(long, required_unless_present = "tokens_in", conflicts_with = "tokens_in", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// Prompt tokens, such as 1,403,407; nothing is added
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    tokens_in: Vec<u32>,
    /// Tokens to generate at most [default: until the context is full]
    #[arg(short, value_name = "N")]
    number: Option<usize>,
    /// Context length in tokens, at most the image's
    #[arg(long, value_name = "N")]
    context: Option<u32>,
    /// Stop sequence: ends the generation and is not printed (repeatable)
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    stop: Vec<String>,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    engine: EngineArgs,
    /// Prompt tokens per prefill block
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    chunk: Option<u32>,
    /// Write the logits of every position as little-endian f32, (positions, vocab)
    #[arg(long, value_name = "OUT.f32")]
    logits: Option<PathBuf>,
    /// Print a JSON object instead of the text
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'r> {
    tokens: &'r [u32],
    text: &'r str,
    prompt_tokens: usize,
    /// `null` if no token was fed.
    prefill_tokens_per_s: Option<f64>,
    /// `null` if no token was fed.
    decode_tokens_per_s: Option<f64>,
    kernels: &'static str,
    threads: usize,
    arena_bytes: usize,
    output_hash: String,
    end: &'static str,
}

/// Generates, and streams or reports.
pub fn run(args: Args) -> Result<(), Error> {
    let refuse = |error| Error::engine(&args.file)(error);
    let bytes = files::map(&args.file)?;
    if let Some(output) = &args.logits {
        files::check_distinct(output, &args.file)?;
    }
    let image = Image::new(&bytes).map_err(refuse)?;
    let setup = Setup { context: args.context, block: args.chunk, ..args.engine.setup()? };
    let mut arena = setup.arena(image.config(), &args.file)?;
    let arena_bytes = arena.len();
    let mut session = setup.session(&image, &mut arena).map_err(refuse)?;
    let prompt = match &args.prompt {
        Some(text) => generate::encode(&image, text).map_err(refuse)?,
        None => args.tokens_in.clone(),
    };
    let stops: Vec<&str> = args.stop.iter().map(String::as_str).collect();
    let request = Request { prompt: &prompt, limit: args.number, stops: &stops, sampler: args.sampling.sampler().map_err(refuse)? };

    let mut generate = |logits: Option<(&Path, &mut BufWriter<&File>)>| {
        let mut output = Output { stream: !args.json, logits };
        generate::generate(&mut session, &request, &mut output, refuse)
    };
    let outcome = match &args.logits {
        Some(path) => files::write_whole(path, |file| generate(Some((path, file))))?,
        None => generate(None)?,
    };
    if !args.json {
        print("\n")?;
        eprintln!("{}", summary(&outcome, prompt.len()));
        return Ok(());
    }
    print_json(&Report {
        tokens: &outcome.tokens,
        text: &outcome.text,
        prompt_tokens: prompt.len(),
        prefill_tokens_per_s: rate(prompt.len(), outcome.prefill),
        decode_tokens_per_s: rate(outcome.steps, outcome.decode),
        kernels: setup.kernels.name(),
        threads: setup.parallel.threads(),
        arena_bytes,
        output_hash: format!("{:08x}", outcome.output_hash),
        end: outcome.end.name(),
    })
}

fn summary(outcome: &Outcome, prompt: usize) -> String {
    let speed = |rate: Option<f64>| rate.map_or(String::new(), |rate| format!(" ({rate:.0} tokens/s)"));
    format!(
        "prompt {prompt} tokens{}, generated {} tokens{}, ended by {}, output hash {:08x}",
        speed(rate(prompt, outcome.prefill)),
        outcome.tokens.len(),
        speed(rate(outcome.steps, outcome.decode)),
        outcome.end.name(),
        outcome.output_hash
    )
}

/// Streams text to stdout and logits to their file.
struct Output<'o, 'f> {
    stream: bool,
    logits: Option<(&'o Path, &'o mut BufWriter<&'f File>)>,
}

impl Observer for Output<'_, '_> {
    fn text(&mut self, text: &str) -> Result<(), Error> {
        if self.stream && !text.is_empty() { print(text) } else { Ok(()) }
    }

    fn logits(&mut self, logits: &[f32]) -> Result<(), Error> {
        let Some((path, file)) = &mut self.logits else { return Ok(()) };
        logits.iter().try_for_each(|logit| file.write_all(&logit.to_le_bytes())).map_err(Error::io(path))
    }

    fn wants_logits(&self) -> bool {
        self.logits.is_some()
    }
}
