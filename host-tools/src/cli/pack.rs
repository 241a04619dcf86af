//! `atto pack`.

use std::path::{Path, PathBuf};

use attoformer::image::KvType;
use attoformer::internals::format::TensorOrder;
use attoformer_tools::pack::calibrate::{Excerpt, read_text};
use attoformer_tools::pack::layout::Target;
use attoformer_tools::pack::{Activations, Calibration};
use attoformer_tools::quantize::{Format, FormatError};
use attoformer_tools::report::progress::Progress;
use attoformer_tools::report::summary::ImageSummary;
use attoformer_tools::{Error, import, pack};

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
    /// Calibration of int8 and int4 matrices (SmoothQuant, GPTQ), the counterpart of llama.cpp's importance matrix: text that the model
    /// writes itself, the built-in text, a text of yours, or a folder of .wav or .png files [default: the best for the model]
    #[arg(long, value_name = "self|built-in|FILE|DIR|none")]
    calibrate: Option<PathBuf>,
    /// Bits of the quantized inputs of int8 matrices; auto takes 12 where 8 lose most
    #[arg(long, default_value = "auto", value_name = "8|12|auto", value_parser = parse_activations)]
    activations: Activations,
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
    #[error("unknown number of bits \"{0}\"; use 8, 12 or auto")]
    Activations(String),
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

fn parse_activations(text: &str) -> Result<Activations, OptionError> {
    match text {
        "auto" => Ok(Activations::Auto),
        "8" => Ok(Activations::Eight),
        "12" => Ok(Activations::Twelve),
        _ => Err(OptionError::Activations(text.to_owned())),
    }
}

/// The source of the calibration samples.
fn calibration(requested: Option<&Path>) -> Result<Calibration, Error> {
    let Some(path) = requested else { return Ok(Calibration::Best) };
    Ok(match path.as_os_str().as_encoded_bytes() {
        b"none" => Calibration::None,
        b"self" => Calibration::OwnText,
        b"built-in" => Calibration::BuiltIn,
        _ if path.is_dir() => Calibration::Folder(path.to_owned()),
        _ => {
            let Excerpt { text, is_truncated } = read_text(path)?;
            if is_truncated {
                eprintln!("note: {}: only the first 4 MiB are used for calibration", path.display());
            }
            Calibration::Text(path.to_owned(), text)
        }
    })
}

/// Packs and reports.
pub fn run(args: Args) -> Result<(), Error> {
    let checkpoint = import::open(&args.source, args.tokenizer.as_deref())?;
    pack::check_output(&args.output)?;
    if checkpoint.tokenizer.is_none() && checkpoint.config.has_embedding() {
        let source = args.source.display();
        eprintln!("note: {source} has no supported tokenizer; the image reads tokens, not text");
    }
    let calibration = calibration(args.calibrate.as_deref())?;
    let options = pack::Options {
        weights: args.group.map_or(args.weights, |group| args.weights.with_group(group)),
        overrides: args.tensors,
        kv: args.kv,
        context: args.context,
        target: args.layout,
        model_version: args.model_version,
        calibration,
        activations: args.activations,
    };
    let progress = Progress::new("tensors", TensorOrder::new(&checkpoint.config).count().into());
    let packed = pack::pack(&checkpoint, &options, &progress)?;
    drop(progress);
    pack::check_budget(&args.output, &packed, args.budget_flash)?;
    pack::write(&args.output, &packed)?;

    let summary = ImageSummary::of_packed(&packed).map_err(Error::engine(&args.output))?;
    if args.json {
        return print_json(&summary);
    }
    print(&summary.to_string())?;
    let loss = packed.measured_loss.map_or("unknown".to_owned(), |loss| loss.to_string());
    print(&format!("calibration {}; measured loss on held-out calibration data: {loss}\n", packed.calibration))
}
