//! Where calibration samples come from: text that the model writes itself, built-in text or sounds, the user's text or folder.

use attoformer::image::{Architecture, InputStem};

use super::samples::{Amount, Input, Sample, Samples};
use super::text::{self, TEXT, TextReader, Unfit};
use super::{features, own_text};
use crate::import::Checkpoint;
use crate::pack::error::PackError;
use crate::pack::options::Calibration;
use crate::report::progress::Progress;

/// Amount of text that calibrates smoothing factors and key offsets.
const SMOOTHING: Amount = Amount { tokens: 2048, sequence: 160 };
/// Amount of text that calibrates GPTQ.
const GPTQ: Amount = Amount { tokens: 12_288, sequence: 512 };
/// Amount of text for an encoder, whose sequences are short: all of the built-in text.
const ENCODER: Amount = Amount { tokens: 32_768, sequence: 512 };
/// Tokens that an encoder-decoder writes at most: for all inputs together, and for one.
const ANSWERS: Amount = Amount { tokens: 3072, sequence: 48 };

/// Reasons why a source is not used.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Text(Unfit),
    #[error("the model has no tokenizer")]
    NoTokenizer,
    #[error("this model does not write text from nothing")]
    CannotWrite,
    #[error("there is no built-in calibration for models that read pictures or features; name a folder with --calibrate")]
    NoBuiltIn,
}

/// Whether a model is calibrated, as far as its kind and the source tell before any sample is made.
pub fn is_calibrated(checkpoint: &Checkpoint, calibration: &Calibration) -> bool {
    let config = &checkpoint.config;
    match calibration {
        Calibration::Best if config.input_stem == InputStem::Tokens => own_text::can_write(config) || checkpoint.tokenizer.is_some(),
        Calibration::Best => checkpoint.audio.is_some(),
        Calibration::None => false,
        _ => true,
    }
}

/// The samples that calibrate a model; `None` without calibration. A source that does not fit the model is reported, and the next best one is used.
///
/// # Errors
/// [`PackError`]: the model cannot be run, or the user's folder has nothing to calibrate with.
pub fn samples(
    checkpoint: &Checkpoint,
    calibration: &Calibration,
    needs_gptq: bool,
    progress: &Progress,
) -> Result<Option<Samples>, PackError> {
    if *calibration == Calibration::None {
        return Ok(None);
    }
    let best: &[Calibration] = match checkpoint.config.architecture {
        Architecture::Decoder => &[Calibration::OwnText, Calibration::BuiltIn],
        _ => &[Calibration::BuiltIn],
    };
    let chosen = Some(calibration).filter(|chosen| **chosen != Calibration::Best);
    for source in chosen.into_iter().chain(best.iter().filter(|&source| source != calibration)) {
        match of_source(checkpoint, source, needs_gptq, progress)? {
            Ok(samples) => return Ok(Some(Samples::new(samples, source.to_string()))),
            Err(refusal) => progress.note(&format!("note: no calibration by {source}: {refusal}")),
        }
    }
    Ok(None)
}

fn of_source(
    checkpoint: &Checkpoint,
    source: &Calibration,
    needs_gptq: bool,
    progress: &Progress,
) -> Result<Result<Vec<Sample>, Refusal>, PackError> {
    let reads_features = !checkpoint.config.has_embedding() || features::file_kind(checkpoint).is_some();
    let amount = match checkpoint.config.architecture {
        Architecture::Encoder => ENCODER,
        _ if needs_gptq => GPTQ,
        _ => SMOOTHING,
    };
    let inputs = match source {
        Calibration::Best | Calibration::None => return Ok(Ok(Vec::new())),
        Calibration::OwnText if !own_text::can_write(&checkpoint.config) => return Ok(Err(Refusal::CannotWrite)),
        Calibration::OwnText => own_text::sample(checkpoint, amount)?.into_iter().map(Input::Tokens).collect(),
        Calibration::Text(..) if reads_features => {
            let reads = features::file_kind(checkpoint).map_or("features".to_owned(), |kind| format!("{kind} files"));
            return Err(PackError::CalibrationKind { reads, wants: "a folder of them" });
        }
        Calibration::Folder(folder) if features::file_kind(checkpoint).is_some() => features::of_folder(checkpoint, folder, progress)?,
        Calibration::Folder(_) if reads_features => return Ok(Err(Refusal::NoBuiltIn)),
        Calibration::Folder(_) => return Err(PackError::CalibrationKind { reads: "text".to_owned(), wants: "a text file" }),
        Calibration::BuiltIn if checkpoint.audio.is_some() => features::of_generated_sound(checkpoint)?,
        Calibration::BuiltIn if reads_features => return Ok(Err(Refusal::NoBuiltIn)),
        Calibration::BuiltIn => match of_text(checkpoint, TEXT, amount, true)? {
            Ok(inputs) => inputs,
            Err(refusal) => return Ok(Err(refusal)),
        },
        Calibration::Text(_, text) => match of_text(checkpoint, text, amount, false)? {
            Ok(inputs) => inputs,
            Err(refusal) => return Ok(Err(refusal)),
        },
    };
    with_targets(checkpoint, inputs).map(Ok)
}

/// Sequences of a text; of the built-in text, only the lines that the tokenizer can read.
fn of_text(checkpoint: &Checkpoint, text: &str, amount: Amount, is_built_in: bool) -> Result<Result<Vec<Input>, Refusal>, PackError> {
    let Some(section) = text::tokenizer_section(checkpoint) else { return Ok(Err(Refusal::NoTokenizer)) };
    let reader = TextReader::new(checkpoint, &section)?;
    let readable = if is_built_in { Some(reader.readable_lines(text).map_err(PackError::Calibration)?) } else { None };
    let sequences = reader.sequences(readable.as_deref().unwrap_or(text), amount).map_err(PackError::Calibration)?;
    Ok(sequences.map(|all| all.into_iter().map(Input::Tokens).collect()).map_err(Refusal::Text))
}

/// Samples of these inputs: those of a decoder are its own tokens, and an encoder-decoder answers each.
fn with_targets(checkpoint: &Checkpoint, inputs: Vec<Input>) -> Result<Vec<Sample>, PackError> {
    let targets = match checkpoint.config.architecture {
        Architecture::EncoderDecoder => {
            let tokens = (ANSWERS.tokens / inputs.len().max(1)).clamp(1, ANSWERS.sequence);
            own_text::answers(checkpoint, &inputs, tokens)?
        }
        _ => vec![Vec::new(); inputs.len()],
    };
    let sample = |(input, target)| match (checkpoint.config.architecture, input) {
        (Architecture::Decoder, Input::Tokens(target)) => Sample { input: Input::Nothing, target },
        (_, input) => Sample { input, target },
    };
    Ok(inputs.into_iter().zip(targets).map(sample).collect())
}
