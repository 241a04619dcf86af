//! Where calibration samples come from: text that the model writes itself, the built-in text, the user's text or folder.

use std::path::PathBuf;

use attoformer::image::{Architecture, Config, InputStem};
use attoformer::{Error, Tokenizer};

use super::own_text::{self, Amount};
use super::samples::{Input, Sample, Samples};
use crate::eval::perplexity::documents;
use crate::files::AlignedBytes;
use crate::import::Checkpoint;
use crate::pack::error::PackError;
use crate::pack::sections;
use crate::report::progress::Progress;
use crate::run::embed::encode_truncated;

/// The built-in calibration text: sentences of many kinds, one per line.
pub const TEXT: &str = include_str!("../calibration.txt");

/// Source of the calibration samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Calibration {
    /// The best source for the model: its own text for decoders, the built-in text for encoders.
    #[default]
    Best,
    /// Text that the model writes itself.
    OwnText,
    /// The built-in text.
    BuiltIn,
    /// A text of the user's, from this file.
    Text(PathBuf, String),
    /// A folder of sounds or pictures.
    Folder(PathBuf),
    /// No calibration.
    None,
}

/// Tokens of a sequence of text, at most.
const SEQUENCE: usize = 512;
/// Tokens that a text needs at least.
const TOKENS_MIN: usize = 500;
/// Tokens that calibrate smoothing factors and key offsets.
const SMOOTHING_TOKENS: usize = 2048;
/// Tokens that calibrate GPTQ.
const GPTQ_TOKENS: usize = 12_288;

/// Reasons why a text is refused as calibration.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Unfit {
    /// It has too few tokens.
    #[error("it has {0} tokens, fewer than {TOKENS_MIN}")]
    Short(usize),
    /// The tokenizer does not know it.
    #[error("{0} % of its tokens are unknown to the model's tokenizer")]
    Unknown(usize),
    /// It repeats one token.
    #[error("it repeats a single token")]
    Repeated,
}

/// The samples that calibrate a model; `None` without calibration. A source that does not fit the model is reported, and the next best one is used.
///
/// # Errors
/// [`PackError`]: the model cannot be run.
pub fn samples(
    checkpoint: &Checkpoint,
    calibration: &Calibration,
    needs_gptq: bool,
    progress: &Progress,
) -> Result<Option<Samples>, PackError> {
    let config = &checkpoint.config;
    let reads_features = config.input_stem != InputStem::Tokens;
    let order: &[Calibration] = match calibration {
        Calibration::None => &[],
        Calibration::Best if reads_features => &[],
        Calibration::Best if own_text::can_write(config) => &[Calibration::OwnText, Calibration::BuiltIn],
        Calibration::Best => &[Calibration::BuiltIn],
        Calibration::OwnText => &[Calibration::OwnText, Calibration::BuiltIn],
        chosen => &[chosen.clone(), Calibration::OwnText, Calibration::BuiltIn],
    };
    for source in order {
        let tokens = if needs_gptq { GPTQ_TOKENS } else { SMOOTHING_TOKENS };
        let found = match source {
            Calibration::OwnText if own_text::can_write(config) => own(checkpoint, tokens)?,
            Calibration::BuiltIn if checkpoint.tokenizer.is_some() => match of_text(checkpoint, TEXT, tokens, "the built-in text")? {
                Ok(samples) => samples,
                Err(unfit) => {
                    progress.note(&format!("note: the built-in text does not fit this model: {unfit}"));
                    continue;
                }
            },
            Calibration::Text(path, text) if checkpoint.tokenizer.is_some() => {
                match of_text(checkpoint, text, tokens, &path.display().to_string())? {
                    Ok(samples) => samples,
                    Err(unfit) => {
                        progress
                            .note(&format!("note: {} is not used for calibration: {unfit}; the next best source is used", path.display()));
                        continue;
                    }
                }
            }
            _ => continue,
        };
        return Ok(Some(found));
    }
    Ok(None)
}

fn own(checkpoint: &Checkpoint, tokens: usize) -> Result<Samples, PackError> {
    let length = SEQUENCE.min(checkpoint.config.context as usize).min(if tokens < GPTQ_TOKENS { 160 } else { SEQUENCE });
    let sequences = own_text::sample(checkpoint, Amount { sequences: tokens.div_ceil(length), tokens: length })?;
    let samples = sequences.into_iter().map(|target| Sample { input: Input::Nothing, target });
    Ok(Samples::new(samples.collect(), "text that the model wrote itself"))
}

fn of_text(checkpoint: &Checkpoint, text: &str, tokens: usize, origin: &str) -> Result<Result<Samples, Unfit>, PackError> {
    let Some(packed) = &checkpoint.tokenizer else { return Ok(Err(Unfit::Short(0))) };
    let mut section = Vec::new();
    sections::tokenizer(packed, &mut section);
    let section = AlignedBytes::copy_of(&section);
    let tokenizer = Tokenizer::new(&section, checkpoint.config.vocab).map_err(PackError::Rejected)?;
    let sequences = sequences(&tokenizer, &checkpoint.config, text, tokens).map_err(PackError::Calibration)?;
    if let Err(unfit) = fits(&tokenizer, &sequences) {
        return Ok(Err(unfit));
    }
    let sample = |tokens: Vec<u32>| match checkpoint.config.architecture {
        Architecture::Encoder => Sample { input: Input::Tokens(tokens), target: Vec::new() },
        Architecture::EncoderDecoder => {
            let target =
                std::iter::once(checkpoint.config.bos).chain(tokens.iter().copied()).take(checkpoint.config.context as usize).collect();
            Sample { input: Input::Tokens(tokens), target }
        }
        _ => Sample { input: Input::Nothing, target: tokens },
    };
    Ok(Ok(Samples::new(sequences.into_iter().map(sample).collect(), origin)))
}

/// Sequences of tokens of a text: the lines that an encoder reads, or the documents that a decoder reads, until there are enough tokens.
fn sequences(tokenizer: &Tokenizer<'_>, config: &Config, text: &str, enough: usize) -> Result<Vec<Vec<u32>>, Error> {
    let mut all = Vec::new();
    let mut count = 0;
    if config.architecture != Architecture::Decoder {
        let limit = if config.has_cross() { config.encoder_context } else { config.context } as usize;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut tokens = vec![0; limit.min(SEQUENCE)];
            let found = encode_truncated(tokenizer, line, &mut tokens)?.tokens;
            tokens.truncate(found);
            all.push(tokens);
        }
        return Ok(all);
    }
    for document in documents(text) {
        let mut tokens = vec![0; tokenizer.max_tokens(document.len())];
        let found = tokenizer.encode_prompt(document, &mut tokens)?;
        let length = SEQUENCE.min(config.context as usize).min((found / 8).max(32));
        for sequence in tokens[..found].chunks(length) {
            all.push(sequence.to_vec());
            count += sequence.len();
            if count >= enough {
                return Ok(all);
            }
        }
    }
    Ok(all)
}

/// Whether a text fits a model.
fn fits(tokenizer: &Tokenizer<'_>, sequences: &[Vec<u32>]) -> Result<(), Unfit> {
    let tokens = || sequences.iter().flatten();
    let count = tokens().count();
    if count < TOKENS_MIN {
        return Err(Unfit::Short(count));
    }
    let unknown = tokens().filter(|&&token| token == tokenizer.unk()).count();
    if unknown * 10 > count {
        return Err(Unfit::Unknown(unknown * 100 / count));
    }
    let first = sequences[0][sequences[0].len() / 2];
    if tokens().filter(|&&token| token == first).count() * 10 > count * 9 {
        return Err(Unfit::Repeated);
    }
    Ok(())
}
