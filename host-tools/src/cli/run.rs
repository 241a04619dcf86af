//! `atto run`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use attoformer::generate::End;
use attoformer::{Image, Sampler};
use attoformer_tools::bench::rate;
use attoformer_tools::engine::{Setup, select_kernels, thread_pool};
use attoformer_tools::run::generate::{self, Observer, Outcome, Request};
use attoformer_tools::{Error, files};
use serde::Serialize;

use super::sampling;

/// Write on from a prompt
#[derive(clap::Args)]
pub struct Args {
    /// The image
    file: PathBuf,
    /// Text to write on from; the begin token is put before it
    #[arg(long, required_unless_present = "tokens_in", conflicts_with = "tokens_in", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// Tokens to feed as they are, such as 1,403,407
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    tokens_in: Vec<u32>,
    /// Tokens to generate at most [default: what the context holds]
    #[arg(short, value_name = "N")]
    number: Option<usize>,
    /// Longest sequence in tokens, at most the packed one
    #[arg(long, value_name = "N")]
    context: Option<u32>,
    /// Text that ends the generation and is not shown (repeatable)
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    stop: Vec<String>,
    /// 0 takes the likeliest token; higher is bolder
    #[arg(long, default_value_t = 0.0, value_name = "T", allow_hyphen_values = true, value_parser = sampling::temperature)]
    temperature: f32,
    /// Draw from the K likeliest tokens only
    #[arg(long, value_name = "K", allow_hyphen_values = true, value_parser = clap::value_parser!(u32).range(1..))]
    top_k: Option<u32>,
    /// Draw from the fewest tokens that hold this share of the probability
    #[arg(long, value_name = "P", allow_hyphen_values = true, value_parser = sampling::top_p)]
    top_p: Option<f32>,
    /// Divide the logits of tokens that were there already
    #[arg(long, default_value_t = 1.0, value_name = "R", allow_hyphen_values = true, value_parser = sampling::repetition_penalty)]
    repetition_penalty: f32,
    /// The random numbers follow from it
    #[arg(long, default_value_t = 0, value_name = "S")]
    seed: u64,
    /// Threads, which change no result; small models gain nothing
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=super::THREADS_MAX))]
    threads: u32,
    /// The loops to run, such as scalar or avx2 [default: the fastest of this CPU]
    #[arg(long, value_name = "NAME")]
    kernels: Option<String>,
    /// Prompt tokens processed together
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    chunk: Option<u32>,
    /// Write the logits of every position as f32, little-endian, (positions, vocab)
    #[arg(long, value_name = "OUT.f32")]
    logits: Option<PathBuf>,
    /// Print one JSON object instead of the text
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'r> {
    tokens: &'r [u32],
    text: &'r str,
    prompt_tokens: usize,
    /// `null` where nothing was fed, so that there was nothing to measure.
    prefill_tokens_per_s: Option<f64>,
    /// The same of tokens fed one by one.
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
    let setup = Setup {
        kernels: select_kernels(args.kernels.as_deref())?,
        context: args.context,
        block: args.chunk,
        parallel: thread_pool(args.threads)?,
    };
    let mut arena = setup.arena(image.config(), &args.file)?;
    let arena_bytes = arena.len();
    let mut session = setup.session(&image, &mut arena).map_err(refuse)?;
    let prompt = match &args.prompt {
        Some(text) => generate::encode(&image, text).map_err(refuse)?,
        None => args.tokens_in.clone(),
    };
    let stops: Vec<&str> = args.stop.iter().map(String::as_str).collect();
    let request = Request { prompt: &prompt, limit: args.number, stops: &stops, sampler: sampler(&args).map_err(refuse)? };

    let mut write = |logits: Option<(&Path, &mut BufWriter<&File>)>| {
        let mut output = Output { stream: !args.json, logits };
        generate::generate(&mut session, &request, &mut output, refuse)
    };
    let outcome = match &args.logits {
        Some(path) => files::write_whole(path, |file| write(Some((path, file))))?,
        None => write(None)?,
    };
    if !args.json {
        super::print("\n")?;
        eprintln!("{}", summary(&outcome, prompt.len()));
        return Ok(());
    }
    super::print_json(&Report {
        tokens: &outcome.tokens,
        text: &outcome.text,
        prompt_tokens: prompt.len(),
        prefill_tokens_per_s: rate(prompt.len(), outcome.prefill),
        decode_tokens_per_s: rate(outcome.steps, outcome.decode),
        kernels: setup.kernels.name(),
        threads: setup.parallel.threads(),
        arena_bytes,
        output_hash: format!("{:08x}", outcome.output_hash),
        end: end_name(outcome.end),
    })
}

fn sampler(args: &Args) -> Result<Sampler, attoformer::Error> {
    let mut sampler = Sampler::new(args.seed).with_temperature(args.temperature)?.with_repetition_penalty(args.repetition_penalty)?;
    if let Some(top_k) = args.top_k {
        sampler = sampler.with_top_k(top_k)?;
    }
    if let Some(top_p) = args.top_p {
        sampler = sampler.with_top_p(top_p)?;
    }
    Ok(sampler)
}

fn end_name(end: End) -> &'static str {
    match end {
        End::EndOfText => "end_of_text",
        End::Stop => "stop",
        End::Limit => "limit",
        End::ContextFull => "context_full",
    }
}

fn summary(outcome: &Outcome, prompt: usize) -> String {
    let at = |rate: Option<f64>| rate.map_or(String::new(), |rate| format!(" at {rate:.0} tokens/s"));
    format!(
        "{prompt} tokens read{}, {} written{}, ended by {}, hash {:08x}",
        at(rate(prompt, outcome.prefill)),
        outcome.tokens.len(),
        at(rate(outcome.steps, outcome.decode)),
        end_name(outcome.end),
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
        if self.stream && !text.is_empty() { super::print(text) } else { Ok(()) }
    }

    fn logits(&mut self, logits: &[f32]) -> Result<(), Error> {
        let Some((path, file)) = &mut self.logits else { return Ok(()) };
        logits.iter().try_for_each(|logit| file.write_all(&logit.to_le_bytes())).map_err(Error::io(path))
    }

    fn wants_logits(&self) -> bool {
        self.logits.is_some()
    }
}
