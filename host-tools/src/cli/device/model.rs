//! `atto device run`, `embed`, `classify` and `attention`.

use std::path::{Path, PathBuf};

use attoformer_tools::Error;
use attoformer_tools::device::requests::{InputData, Slot};
use attoformer_tools::run::classify::{InputError, ranked};
use attoformer_tools::run::{audio, features};
use serde::Serialize;
use serde_json::json;

use super::super::args::SamplingArgs;
use super::super::output::{print, print_json, print_unless_closed};
use super::Board;

/// Generate text on the board
#[derive(clap::Args)]
pub struct RunArgs {
    #[command(flatten)]
    prompt: PromptArgs,
    /// Tokens to generate at most [default: until the context is full]
    #[arg(short, value_name = "N")]
    number: Option<u32>,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// Print a JSON object instead of the text
    #[arg(long)]
    json: bool,
}

/// A prompt: text or tokens.
#[derive(clap::Args)]
pub struct PromptArgs {
    /// Prompt text; BOS is added if the model expects it
    #[arg(long, required_unless_present = "tokens_in", conflicts_with = "tokens_in", allow_hyphen_values = true)]
    prompt: Option<String>,
    /// Prompt tokens, such as 1,403,407; nothing is added
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    tokens_in: Vec<u32>,
}

impl PromptArgs {
    fn data(&self) -> InputData<'_> {
        self.prompt.as_deref().map_or(InputData::Tokens(&self.tokens_in), InputData::Text)
    }
}

/// Compute the embedding of a text on the board
#[derive(clap::Args)]
pub struct EmbedArgs {
    /// Text (repeatable)
    #[arg(long, required = true, allow_hyphen_values = true)]
    text: Vec<String>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Classify an audio clip, rows of features or a text on the board
#[derive(clap::Args)]
pub struct ClassifyArgs {
    /// Input file: X.wav, or rows of features as X.npy or X.csv
    #[arg(long, value_name = "FILE", required_unless_present = "text", conflicts_with = "text")]
    input: Option<PathBuf>,
    /// Input text
    #[arg(long, allow_hyphen_values = true)]
    text: Option<String>,
    /// Labels to show
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Show the attention weights of one head for a prompt
#[derive(clap::Args)]
pub struct AttentionArgs {
    #[command(flatten)]
    prompt: PromptArgs,
    /// Layer, from 0
    #[arg(long, value_name = "L")]
    layer: u32,
    /// Query head, from 0
    #[arg(long, value_name = "H")]
    head: u32,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// `atto device run`.
pub fn run(args: &RunArgs, board: &mut Board) -> Result<(), Error> {
    let sampling = args.sampling.on_board(args.number);
    let mut failed = None;
    let generated = board.generate(args.prompt.data(), &sampling, |text| {
        // A reader that is gone ends the generation on the board, too.
        let goes_on = args.json
            || print_unless_closed(text).unwrap_or_else(|error| {
                failed = Some(error);
                false
            });
        goes_on && failed.is_none()
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    let done = generated.done;
    let info = board.hello()?;
    let seconds = |ticks: u64| ticks as f64 / f64::from(info.ticks_per_second.max(1));
    if args.json {
        return print_json(&json!({
            "tokens": generated.tokens,
            "text": generated.text,
            "output_hash": format!("{:08x}", done.output_hash),
            "prompt_tokens": done.tokens,
            "prefill_s": seconds(done.ticks),
            "decode_s": seconds(done.ticks_decode),
            "counts": super::about::unit(info.counts),
            "prefill": done.ticks,
            "per_token": generated.ticks,
            "end": done.end.name(),
        }));
    }
    print("\n")?;
    let count = generated.tokens.len();
    eprintln!(
        "prompt {} tokens ({:.3} s), generated {count} tokens ({:.1} tokens/s), ended by {}, output hash {:08x}",
        done.tokens,
        seconds(done.ticks),
        count as f64 / seconds(done.ticks_decode).max(1e-9),
        done.end.name(),
        done.output_hash
    );
    Ok(())
}

/// The fields of `atto embed`. A struct prints f32 in its shortest form, as `atto embed` does.
#[derive(Serialize)]
struct EmbedReport {
    rows: usize,
    width: usize,
    tokens: Vec<u32>,
    #[serde(rename = "left_out")]
    truncated: Vec<u32>,
    embeddings: Vec<Vec<f32>>,
}

/// The attention weights of one query.
#[derive(Serialize)]
struct QueryReport {
    query: usize,
    keys: Vec<u32>,
    weights: Vec<f32>,
}

/// The attention weights of a head.
#[derive(Serialize)]
struct AttentionReport {
    layer: u32,
    head: u32,
    rows: Vec<QueryReport>,
}

/// `atto device embed`.
pub fn embed(args: &EmbedArgs, board: &mut Board) -> Result<(), Error> {
    let (mut rows, mut tokens, mut truncated) = (Vec::new(), Vec::new(), Vec::new());
    for text in &args.text {
        let (values, done) = board.encode(InputData::Text(text))?;
        rows.push(values);
        tokens.push(done.tokens);
        truncated.push(done.truncated);
    }
    let width = rows.first().map_or(0, Vec::len);
    if args.json {
        return print_json(&EmbedReport { rows: rows.len(), width, tokens, truncated, embeddings: rows });
    }
    let line = |row: &Vec<f32>| row.iter().map(f32::to_string).collect::<Vec<_>>().join(" ") + "\n";
    print(&rows.iter().map(line).collect::<String>())
}

/// The input file or the text of a request.
enum Loaded<'a> {
    Text(&'a str),
    Samples(Vec<i16>),
    Features(Vec<f32>),
}

/// Reads an input file for the model in a slot.
fn load(path: &Path, slot: &Slot) -> Result<Loaded<'static>, Error> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let width = slot.row_width as usize;
    let reads = |unit: &str, is_read: bool| match is_read {
        true => Ok(()),
        false => Err(Error::file(path)(format!("the board's model, {}, does not read {unit}", slot.name))),
    };
    match &*extension {
        "wav" => {
            reads("audio", slot.sample_rate > 0)?;
            let samples = audio::read_wav(path, slot.sample_rate)?;
            Ok(Loaded::Samples(samples.iter().map(|sample| (sample * 32_768.0).round() as i16).collect()))
        }
        #[cfg(feature = "npy")]
        "npy" => {
            reads("features", width > 0)?;
            features::read_npy(path, width).map(Loaded::Features)
        }
        "csv" => {
            reads("features", width > 0)?;
            features::read_csv(path, width).map(Loaded::Features)
        }
        _ => Err(Error::file(path)(InputError::Extension)),
    }
}

/// `atto device classify`.
pub fn classify(args: &ClassifyArgs, board: &mut Board) -> Result<(), Error> {
    let running = board.hello()?.running.unwrap_or(0);
    let slot = board.slot(running)?;
    let loaded = match &args.input {
        Some(path) => load(path, &slot)?,
        None => Loaded::Text(args.text.as_deref().unwrap_or_default()),
    };
    let (logits, done) = board.encode(match &loaded {
        Loaded::Text(text) => InputData::Text(text),
        Loaded::Samples(samples) => InputData::Samples(samples),
        Loaded::Features(rows) => InputData::Features(rows),
    })?;
    if slot.labels == 0 || logits.len() != slot.labels as usize {
        return Err(Error::request(format!("{}: the board's model, {}, does not classify whole inputs", board.port(), slot.name)));
    }
    let mut labels = ranked(board.labels(logits.len())?, &logits);
    labels.truncate(args.top as usize);
    if args.json {
        return print_json(&json!({ "labels": labels, "output_hash": format!("{:08x}", done.output_hash) }));
    }
    let width = labels.iter().map(|label| label.label.chars().count()).max().unwrap_or(0);
    print(&labels.iter().map(|label| format!("{:width$}  {:5.1} %\n", label.label, 100.0 * label.p)).collect::<String>())
}

/// `atto device attention`.
pub fn attention(args: &AttentionArgs, board: &mut Board) -> Result<(), Error> {
    let rows = board.attention(args.prompt.data(), args.layer, args.head)?;
    if args.json {
        let row = |(query, keys): (usize, &Vec<(u32, f32)>)| {
            let (keys, weights) = keys.iter().copied().unzip();
            QueryReport { query, keys, weights }
        };
        let rows = rows.iter().enumerate().map(row).collect();
        return print_json(&AttentionReport { layer: args.layer, head: args.head, rows });
    }
    let line = |(query, keys): (usize, &Vec<(u32, f32)>)| {
        let weights: String = keys.iter().map(|(_, weight)| format!(" {:3.0}", 100.0 * weight)).collect();
        format!("{query:4}:{weights}\n")
    };
    print(&rows.iter().enumerate().map(line).collect::<String>())
}
