//! What an image takes its input for.

use std::path::Path;

use attoformer::image::{Classifier, InputStem};
use attoformer::{Error as EngineError, Image, Session};

use crate::engine::OpenImage;
use crate::error::Error;
use crate::run::embed::encode_truncated;
use crate::run::{audio, features, pictures};

/// A label and its share.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Prediction {
    /// The label's name, or its number where the image names none.
    pub label: String,
    /// Its probability.
    pub p: f64,
}

/// Names of an image's labels, or their numbers where it names none.
///
/// # Errors
/// [`EngineError::Architecture`] for a model that tells nothing apart, or each token by itself.
pub fn labels(image: &Image) -> Result<Vec<String>, EngineError> {
    if image.config().classifier != Classifier::Sequence {
        return Err(EngineError::Architecture { asked: "classify" });
    }
    let names: Vec<&str> = image.labels().collect();
    Ok((0..image.config().labels as usize)
        .map(|index| names.get(index).map_or_else(|| index.to_string(), |&name| name.to_owned()))
        .collect())
}

/// The labels of logits, the likeliest first.
///
/// # Errors
/// Those of [`labels`].
pub fn predictions(image: &Image, logits: &[f32]) -> Result<Vec<Prediction>, EngineError> {
    let largest = logits.iter().fold(f32::MIN, |largest, &logit| largest.max(logit));
    let shares: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - largest).exp()).collect();
    let sum: f64 = shares.iter().sum();
    let mut predictions: Vec<Prediction> =
        labels(image)?.into_iter().zip(shares).map(|(label, share)| Prediction { label, p: share / sum }).collect();
    predictions.sort_by(|a, b| b.p.total_cmp(&a.p));
    Ok(predictions)
}

/// The logits of what a file holds: a sound, a picture, or rows of features; and how many seconds at a sound's end the model does not hear.
///
/// # Errors
/// One sentence that names the file, or the image.
pub fn logits_of_file<'s>(session: &'s mut Session<'_>, subject: OpenImage<'_>, input: &Path) -> Result<(&'s [f32], f64), Error> {
    if subject.image.config().input_stem == InputStem::Tokens {
        return Err(Error::file(input)(format!("{} reads texts: give one with --text", subject.path.display())));
    }
    let (rows, unheard) = rows(subject, input)?;
    session.encode_features(&rows).map(|logits| (logits, unheard)).map_err(|error| match error {
        // The file is longer than the model reads, not the model at fault.
        EngineError::ContextFull { tokens, context } => {
            let count = rows.len() / width(subject);
            // A row of the model's own, for its class, takes a place.
            let room = (context + count).saturating_sub(tokens);
            Error::file(input)(format!("it has {count} rows, {} reads {room}", subject.path.display()))
        }
        error => Error::engine(subject.path)(error),
    })
}

/// The logits of a text, and how many tokens at its end the context had no room for.
///
/// # Errors
/// What the engine says.
pub fn logits_of_text<'s>(session: &'s mut Session<'_>, text: &str) -> Result<(&'s [f32], usize), EngineError> {
    let image = *session.image();
    let mut tokens = vec![0; image.config().context as usize];
    let encoding = encode_truncated(&image.tokenizer()?, text, &mut tokens)?;
    session.encode(&tokens[..encoding.tokens]).map(|logits| (logits, encoding.truncated))
}

/// Columns of a row of features.
fn width(subject: OpenImage<'_>) -> usize {
    subject.image.config().features.max(1) as usize
}

/// A file's rows of features, and the seconds at its end that are in none.
fn rows(OpenImage { image, path }: OpenImage<'_>, input: &Path) -> Result<(Vec<f32>, f64), Error> {
    let width = image.config().features as usize;
    let ending = input.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    match &*ending {
        "wav" => {
            let frontend = audio::frontend(image, path)?;
            let samples = audio::read_wav(input, frontend.sample_rate)?;
            let unheard = samples.len().saturating_sub(frontend.samples()) as f64 / f64::from(frontend.sample_rate);
            Ok((audio::features(&frontend, &samples), unheard))
        }
        "png" | "jpg" | "jpeg" => pictures::read(input, &pictures::frontend(image, path)?).map(|rows| (rows, 0.0)),
        "npy" => features::read_npy(input, width).map(|rows| (rows, 0.0)),
        "csv" => features::read_csv(input, width).map(|rows| (rows, 0.0)),
        _ => Err(Error::file(input)("its name ends in none of .wav, .png, .jpg, .npy and .csv".to_owned())),
    }
}
