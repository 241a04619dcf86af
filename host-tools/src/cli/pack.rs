//! `atto pack`.

use std::io::Write;
use std::path::{Path, PathBuf};

use attoformer::image::{Image, KvType};
use attoformer::internals::format::TensorOrder;
use attoformer_protocol::boards::Board;
use attoformer_tools::flash::fit::Fit;
use attoformer_tools::import::Checkpoint;
use attoformer_tools::pack::calibrate::{Excerpt, read_text};
use attoformer_tools::pack::formats::{self, Choice, Chooser, FormatsError, Reached, Sensitivity};
use attoformer_tools::pack::layout::Target;
use attoformer_tools::pack::{Activations, Calibration, Packed};
use attoformer_tools::quantize::{Format, FormatError};
use attoformer_tools::report::progress::Progress;
use attoformer_tools::report::summary::ImageSummary;
use attoformer_tools::{Error, files, import, pack};

use super::boards;
use super::output::{print, print_json};

/// Pack a trained model into an image
#[derive(clap::Args)]
pub struct Args {
    /// Trained model: a Hugging Face directory, a GGUF file or a llama2.c checkpoint (.bin); see `atto import --list`
    source: PathBuf,
    /// Image to write
    #[arg(short, long, value_name = "OUT.atto", required_unless_present = "sensitivity")]
    output: Option<PathBuf>,
    /// Format of the matrices [default: int8, or what --budget-flash or --target-kld chooses]
    #[arg(long, value_name = "int8|int4|f16|f32")]
    weights: Option<Format>,
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
    /// Memory layout of the weights [default: portable, or the layout of --board]
    #[arg(long, value_name = "portable|cortex-m-dsp")]
    layout: Option<Target>,
    /// Pack for a board: its layout, formats with which the image fits its flash, and a check that the arena fits its RAM; see `atto boards`
    #[arg(long, value_name = "NAME", value_parser = boards::parse)]
    board: Option<&'static Board>,
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
    /// Choose int8 or int4 for each tensor by its measured loss, so that the image takes at most so many bytes (K and M: times 1,024 and
    /// 1,048,576); with --weights or a --formats file that exists, fail if the image is larger
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    budget_flash: Option<u64>,
    /// Pack the smallest image whose loss (mean KL divergence; 1 - cosine for embeddings) on held-out calibration data is at most X
    #[arg(long, value_name = "X", value_parser = parse_loss, conflicts_with = "weights")]
    target_kld: Option<f64>,
    /// File of formats by tensor name: used if it exists, otherwise written
    #[arg(long, value_name = "FILE.toml")]
    formats: Option<PathBuf>,
    /// Measure the loss of every tensor in int8 and int4, everything else in f32
    #[arg(long)]
    sensitivity: bool,
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
    #[error("\"{0}\" is not a number of bytes; use a number such as 200000, 256K or 4M")]
    Bytes(String),
    #[error("\"{0}\" is not a loss; use a positive number such as 0.01")]
    Loss(String),
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

/// Parses a number of bytes, in units of 1,024 with the suffix K and of 1,048,576 with M.
fn parse_bytes(text: &str) -> Result<u64, OptionError> {
    let refuse = || OptionError::Bytes(text.to_owned());
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(refuse)
}

fn parse_loss(text: &str) -> Result<f64, OptionError> {
    let positive = |loss: &f64| loss.is_finite() && *loss > 0.0;
    text.parse().ok().filter(positive).ok_or_else(|| OptionError::Loss(text.to_owned()))
}

/// The report of `--json`.
#[derive(serde::Serialize)]
struct Report {
    #[serde(flatten)]
    summary: Option<ImageSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sensitivity: Option<Sensitivity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    board: Option<Fit>,
}

/// Packs and reports.
pub fn run(args: Args) -> Result<(), Error> {
    let checkpoint = import::open(&args.source, args.tokenizer.as_deref())?;
    args.output.as_deref().map_or(Ok(()), pack::check_output)?;
    if checkpoint.tokenizer.is_none() && checkpoint.config.has_embedding() {
        let source = args.source.display();
        eprintln!("note: {source} has no supported tokenizer; the image reads tokens, not text");
    }
    let calibration = calibration(args.calibrate.as_deref())?;
    let options = pack::Options {
        weights: args.weights.unwrap_or(Format::Int8),
        overrides: args.tensors.clone(),
        kv: args.kv,
        context: args.context,
        target: args.layout.unwrap_or_else(|| board_layout(args.board)),
        model_version: args.model_version,
        calibration,
        activations: args.activations,
    };
    if let Some(board) = args.board {
        pack::check_board_arena(&checkpoint, &options, board)?;
    }
    let (packed, sensitivity) = choose_and_pack(&args, &checkpoint, options)?;
    if let (Some(output), Some(packed)) = (&args.output, &packed) {
        pack::check_budget(output, packed, args.budget_flash)?;
        args.board.map_or(Ok(()), |board| pack::check_board(&checkpoint, packed, board))?;
        pack::write(output, packed)?;
    }
    let output = args.output.as_deref().unwrap_or(&args.source);
    let summary = packed.as_ref().map(ImageSummary::of_packed).transpose().map_err(Error::engine(output))?;
    let board = packed.as_ref().zip(args.board).map(|(packed, board)| Image::new(&packed.image).map(|image| Fit::new(board, &image)));
    let board = board.transpose().map_err(Error::engine(output))?;
    if args.json {
        return print_json(&Report { summary, sensitivity, board });
    }
    if let Some(sensitivity) = sensitivity {
        print(&format!("{sensitivity}\n"))?;
    }
    let (Some(summary), Some(packed)) = (summary, packed) else { return Ok(()) };
    print(&summary.to_string())?;
    let loss = packed.measured_loss.map_or("unknown".to_owned(), |loss| loss.to_string());
    print(&format!("calibration {}; measured loss on held-out calibration data: {loss}\n", packed.calibration))?;
    board.map_or(Ok(()), |fit| print(&fit.to_string()))
}

/// The layout that a board's kernels read fastest.
fn board_layout(board: Option<&Board>) -> Target {
    board.and_then(|board| board.layout.parse().ok()).unwrap_or_default()
}

/// The bytes for which formats are chosen: those of `--budget-flash`; else those of a board's slot, unless every matrix fits it in int8.
fn budget(args: &Args, checkpoint: &Checkpoint, options: &pack::Options) -> Result<Option<u64>, Error> {
    let Some(board) = args.board.filter(|_| args.budget_flash.is_none() && args.weights.is_none()) else { return Ok(args.budget_flash) };
    let slot = u64::from(board.models.slot_bytes);
    Ok(if pack::int8_fits(checkpoint, options, slot)? { None } else { Some(slot) })
}

/// Chooses formats where the options ask for it and packs if there is an output.
fn choose_and_pack(args: &Args, checkpoint: &Checkpoint, options: pack::Options) -> Result<(Option<Packed>, Option<Sensitivity>), Error> {
    let replayed = args.formats.as_deref().filter(|path| path.exists());
    let written = args.formats.as_deref().filter(|_| replayed.is_none());
    let budget = budget(args, checkpoint, &options)?.filter(|_| args.weights.is_none() && replayed.is_none());
    let chooses = args.target_kld.is_some() || budget.is_some();
    if let (Some(path), Some(_)) = (replayed, args.target_kld) {
        return Err(Error::file(path)(FormatsError::Exists));
    }
    if let Some(path) = written.filter(|_| !chooses && !args.sensitivity) {
        return Err(Error::file(path)(FormatsError::Missing));
    }
    if !chooses && !args.sensitivity {
        return Ok((pack_stated(args, checkpoint, options, replayed, None)?, None));
    }
    // Without --weights the group is that of the int4 matrices that are chosen or measured.
    let group = Format::Int4 { group: args.group.unwrap_or(32) };
    let overrides = if chooses { options.overrides.clone() } else { Vec::new() };
    let measured = pack::Options { weights: group, overrides, ..options.clone() };
    let mut chooser = Chooser::new(checkpoint, &measured)?;
    let sensitivity = args.sensitivity.then(|| chooser.sensitivity()).transpose()?;
    let (choice, packed) = if let Some(target) = args.target_kld {
        let Reached { choice, packed, loss, wide_activations } = chooser.for_loss(target)?;
        let activations = if wide_activations { ", with --activations 12" } else { "" };
        let bytes = packed.image.len();
        eprint!("formats for a loss of {loss:.6}, at most {target}, in {bytes} bytes{activations}:\n{choice}");
        (choice, Some(packed))
    } else if let Some(budget) = budget {
        let choice = chooser.for_budget(budget)?;
        report_choice(budget, &choice);
        let packed = args.output.is_some().then(|| chooser.pack(&choice, &progress(checkpoint))).transpose()?;
        (choice, packed)
    } else {
        return Ok((pack_stated(args, checkpoint, options, replayed, written)?, sensitivity));
    };
    if let Some(path) = written {
        write_formats(path, choice.tensors())?;
    }
    Ok((packed, sensitivity))
}

/// Packs in the formats that the options and a file state, and writes them to another file.
fn pack_stated(
    args: &Args,
    checkpoint: &Checkpoint,
    mut options: pack::Options,
    replayed: Option<&Path>,
    written: Option<&Path>,
) -> Result<Option<Packed>, Error> {
    options.weights = args.group.map_or(options.weights, |group| options.weights.with_group(group));
    if let Some(path) = replayed {
        options.overrides = [formats::file::read(path, checkpoint)?, options.overrides].concat();
    }
    let packed = args.output.is_some().then(|| pack::pack(checkpoint, &options, &progress(checkpoint))).transpose()?;
    if let Some(path) = written {
        write_formats(path, formats::stated(checkpoint, &options)?.into_iter())?;
    }
    Ok(packed)
}

fn progress(checkpoint: &Checkpoint) -> Progress {
    Progress::new("tensors", TensorOrder::new(&checkpoint.config).count().into())
}

fn report_choice(budget: u64, choice: &Choice) {
    if choice.is_largest {
        eprint!("int8 fits: an image of at most {} bytes, within the budget of {budget}:\n{choice}", choice.bytes);
    } else {
        eprint!("formats for an image of at most {} bytes, within the budget of {budget}:\n{choice}", choice.bytes);
    }
}

/// Writes a file of formats.
fn write_formats(path: &Path, tensors: impl Iterator<Item = (String, Format)>) -> Result<(), Error> {
    let text = formats::file::text(tensors);
    files::write_whole(path, |file| file.write_all(text.as_bytes()).map_err(Error::io(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        for (text, bytes) in [("0", 0), ("200000", 200_000), ("256K", 262_144), ("256k", 262_144), ("4M", 4_194_304), ("1m", 1_048_576)] {
            assert_eq!(parse_bytes(text).ok(), Some(bytes), "{text}");
        }
        for text in ["", "K", "-1", "1.5M", "4MB", "4G", "99999999999999999999", "18446744073709551615K", "é"] {
            assert!(matches!(parse_bytes(text), Err(OptionError::Bytes(_))), "{text}");
        }
    }

    #[test]
    fn losses_are_positive() {
        assert_eq!(parse_loss("0.02").ok(), Some(0.02));
        for text in ["", "0", "-0.1", "NaN", "inf", "2%"] {
            assert!(matches!(parse_loss(text), Err(OptionError::Loss(_))), "{text}");
        }
    }
}
