//! Classification: the probability of each label for a text, an audio clip, a picture or rows of features.

use std::path::{Path, PathBuf};

use attoformer::image::{Classifier, InputStem};
use attoformer::{Error as EngineError, Image, Session};

use super::embed::encode_truncated;
#[cfg(feature = "pictures")]
use super::pictures;
use super::{audio, features};
use crate::engine::OpenImage;
use crate::error::Error;

/// A label and its probability.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Prediction {
    /// Name of the label, or its index if the image has no names.
    pub label: String,
    /// Its probability.
    pub p: f64,
}

/// An input file that does not fit the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The model reads text.
    #[error("{} reads text; pass it with --text", image.display())]
    TextModel {
        /// The image.
        image: PathBuf,
    },
    /// The file has more rows than the context holds.
    #[error("it has {rows} rows, {} reads {limit}", image.display())]
    TooLong {
        /// Rows of the file.
        rows: usize,
        /// Rows that the context holds.
        limit: usize,
        /// The image.
        image: PathBuf,
    },
    /// The extension names no supported format.
    #[error("unknown file type; the name must end in .wav, .png, .jpg, .npy or .csv")]
    Extension,
    /// The format needs a Cargo feature that this program was built without.
    #[error("this `atto` was built without pictures or NumPy files; build it with the features `pictures` and `npy`")]
    NotBuiltIn,
}

/// The names of an image's labels, or their indices if it has no names.
///
/// # Errors
/// [`EngineError::Architecture`] for a model without a classifier, or with one that labels each token.
pub fn labels(image: &Image) -> Result<Vec<String>, EngineError> {
    if image.config().classifier != Classifier::Sequence {
        return Err(EngineError::Architecture { asked: "classification" });
    }
    let names: Vec<&str> = image.labels().collect();
    Ok((0..image.config().labels as usize)
        .map(|index| names.get(index).map_or_else(|| index.to_string(), |&name| name.to_owned()))
        .collect())
}

/// The softmax of the logits by label, most likely first.
///
/// # Errors
/// Those of [`labels`].
pub fn predictions(image: &Image, logits: &[f32]) -> Result<Vec<Prediction>, EngineError> {
    labels(image).map(|labels| ranked(labels, logits))
}

/// The softmax of the logits with these labels, most likely first.
#[must_use]
pub fn ranked(labels: Vec<String>, logits: &[f32]) -> Vec<Prediction> {
    let largest = logits.iter().fold(f32::MIN, |largest, &logit| largest.max(logit));
    let weights: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - largest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let labelled = labels.into_iter().zip(weights);
    let mut predictions: Vec<Prediction> = labelled.map(|(label, weight)| Prediction { label, p: weight / sum }).collect();
    predictions.sort_by(|a, b| b.p.total_cmp(&a.p));
    predictions
}

/// Classifies a file of audio, a picture or rows of features. Returns the logits `(labels)` and the seconds at the end of the audio that exceed the
/// model's clip length.
///
/// # Errors
/// The error of the reader with the file, [`InputError`], or that of the engine with the image.
pub fn logits_of_file<'s>(session: &'s mut Session<'_>, open: OpenImage<'_>, input: &Path) -> Result<(&'s [f32], f64), Error> {
    let config = open.image.config();
    if config.input_stem == InputStem::Tokens {
        return Err(Error::file(input)(InputError::TextModel { image: open.path.to_owned() }));
    }
    let (rows, excess_seconds) = rows(open, input)?;
    session.encode_features(&rows).map(|logits| (logits, excess_seconds)).map_err(|error| match error {
        EngineError::ContextFull { tokens, context } => {
            let count = rows.len() / config.features.max(1) as usize;
            // The class token occupies a position of its own.
            let limit = (context + count).saturating_sub(tokens);
            Error::file(input)(InputError::TooLong { rows: count, limit, image: open.path.to_owned() })
        }
        error => Error::engine(open.path)(error),
    })
}

/// Classifies a text. Returns the logits `(labels)` and the number of tokens truncated at its end.
///
/// # Errors
/// Those of the engine.
pub fn logits_of_text<'s>(session: &'s mut Session<'_>, text: &str) -> Result<(&'s [f32], usize), EngineError> {
    let image = *session.image();
    let mut tokens = vec![0; image.config().context as usize];
    let encoding = encode_truncated(&image.tokenizer()?, text, &mut tokens)?;
    session.encode(&tokens[..encoding.tokens]).map(|logits| (logits, encoding.truncated))
}

/// Reads a file as rows of features `(rows, features)`; also returns the seconds at the end of the audio that exceed the clip length.
fn rows(OpenImage { image, path }: OpenImage<'_>, input: &Path) -> Result<(Vec<f32>, f64), Error> {
    let width = image.config().features as usize;
    let extension = input.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    match &*extension {
        "wav" => {
            let frontend = audio::frontend(image, path)?;
            let samples = audio::read_wav(input, frontend.sample_rate)?;
            let excess = samples.len().saturating_sub(frontend.samples()) as f64 / f64::from(frontend.sample_rate);
            Ok((audio::features(&frontend, &samples), excess))
        }
        #[cfg(feature = "pictures")]
        "png" | "jpg" | "jpeg" => pictures::read(input, &pictures::frontend(image, path)?).map(|rows| (rows, 0.0)),
        #[cfg(feature = "npy")]
        "npy" => features::read_npy(input, width).map(|rows| (rows, 0.0)),
        "csv" => features::read_csv(input, width).map(|rows| (rows, 0.0)),
        #[cfg(not(feature = "pictures"))]
        "png" | "jpg" | "jpeg" => Err(Error::file(input)(InputError::NotBuiltIn)),
        #[cfg(not(feature = "npy"))]
        "npy" => Err(Error::file(input)(InputError::NotBuiltIn)),
        _ => Err(Error::file(input)(InputError::Extension)),
    }
}
