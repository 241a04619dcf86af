//! `atto pack`.

use std::path::{Path, PathBuf};

use attoformer::image::{Architecture, KvType};
use attoformer::internals::format::TensorOrder;
use attoformer_tools::import::Checkpoint;
use attoformer_tools::pack::calibrate;
use attoformer_tools::pack::layout::Target;
use attoformer_tools::quantize::{Format, FormatError};
use attoformer_tools::report::progress::Progress;
use attoformer_tools::report::summary::ImageSummary;
use attoformer_tools::{Error, files, import, pack};

use super::output::{print, print_json};

/// Pack a trained model into an image
#[derive(clap::Args)]
pub struct Args {
    /// Trained model: a Hugging Face directory, a GGUF file or a llama2.c checkpoint (.bin); see `atto import --list`
    source: PathBuf,
    /// Image to write
    #[arg(short, long, value_name = "OUT.atto")]
    output: PathBuf,
    /// Format of the matrices
    #[arg(long, default_value = "int8", value_name = "int8|int4|f16|f32")]
    weights: Format,
    /// Group size of int4: columns that share a scale [default: 32]
    #[arg(long, value_name = "32|64|128|row", value_parser = parse_group)]
    group: Option<u32>,
    /// Format of one tensor, such as layers.0.qkv=f16, embedding=int8, layers.*.mlp_down=int4:64 (repeatable)
    #[arg(long = "tensor", value_name = "NAME=FORMAT", value_parser = parse_override)]
    tensors: Vec<(String, Format)>,
    /// Format of the KV cache
    #[arg(long, default_value = "int8", value_name = "int8|f16|f32", value_parser = parse_kv)]
    kv: KvType,
    /// Version of the model, a number that `atto info` shows
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    model_version: u32,
    /// Context length in tokens [default: the trained one]
    #[arg(long, value_name = "N")]
    context: Option<u32>,
    /// Memory layout of the weights
    #[arg(long, default_value = "portable", value_name = "portable|cortex-m-dsp")]
    layout: Target,
    /// Tokenizer file [default: tokN.bin or tokenizer.bin in the folder of the model]
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// Calibration text (SmoothQuant), one sample per line, for int8 and int4 matrices; the counterpart of llama.cpp's
    /// importance matrix [default: built-in for encoders, none for decoders]
    #[arg(long, value_name = "FILE|built-in|none")]
    calibrate: Option<PathBuf>,
    /// Fail if the image is larger
    #[arg(long, value_name = "BYTES")]
    budget_flash: Option<u64>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// An option value that does not parse.
#[derive(Clone, Debug, thiserror::Error)]
enum OptionError {
    #[error("expected NAME=FORMAT, such as layers.0.qkv=f16")]
    Override,
    #[error(transparent)]
    Format(FormatError),
    #[error("unknown format \"{0}\"; use int8, f16 or f32")]
    Kv(String),
    #[error("the calibration text is blank")]
    NoText,
}

fn parse_group(text: &str) -> Result<u32, FormatError> {
    format!("int4:{text}").parse::<Format>().map(Format::group)
}

fn parse_override(text: &str) -> Result<(String, Format), OptionError> {
    let (name, format) = text.split_once('=').ok_or(OptionError::Override)?;
    Ok((name.to_owned(), format.parse().map_err(OptionError::Format)?))
}

fn parse_kv(text: &str) -> Result<KvType, OptionError> {
    match text {
        "int8" => Ok(KvType::Int8),
        "f16" => Ok(KvType::F16),
        "f32" => Ok(KvType::F32),
        _ => Err(OptionError::Kv(text.to_owned())),
    }
}

/// The calibration text. A model without a tokenizer cannot read the built-in one.
fn calibration(checkpoint: &Checkpoint, requested: Option<&Path>) -> Result<Option<String>, Error> {
    let built_in = || Ok(Some(calibrate::TEXT.to_owned()));
    let by_default = checkpoint.config.architecture == Architecture::Encoder && checkpoint.tokenizer.is_some();
    match requested {
        Some(path) if path.as_os_str() == "none" => Ok(None),
        Some(path) if path.as_os_str() == "built-in" => built_in(),
        Some(path) => match files::text(path)? {
            text if text.trim().is_empty() => Err(Error::file(path)(OptionError::NoText)),
            text => Ok(Some(text)),
        },
        None if by_default => built_in(),
        None => Ok(None),
    }
}

/// Packs and reports.
pub fn run(args: Args) -> Result<(), Error> {
    let checkpoint = import::open(&args.source, args.tokenizer.as_deref())?;
    pack::check_output(&args.output)?;
    if checkpoint.tokenizer.is_none() && checkpoint.config.has_embedding() {
        let source = args.source.display();
        eprintln!("note: {source} has no supported tokenizer; the image reads tokens, not text");
    }
    let calibration = calibration(&checkpoint, args.calibrate.as_deref())?;
    let options = pack::Options {
        weights: args.group.map_or(args.weights, |group| args.weights.with_group(group)),
        overrides: args.tensors,
        kv: args.kv,
        context: args.context,
        target: args.layout,
        model_version: args.model_version,
        calibration,
    };
    let progress = Progress::new("tensors", TensorOrder::new(&checkpoint.config).count().into());
    let packed = pack::pack(&checkpoint, &options, &progress)?;
    drop(progress);
    pack::check_budget(&args.output, &packed, args.budget_flash)?;
    pack::write(&args.output, &packed)?;

    let summary = ImageSummary::of_packed(&packed).map_err(Error::engine(&args.output))?;
    if args.json { print_json(&summary) } else { print(&summary.to_string()) }
}
