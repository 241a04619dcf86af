//! What an image takes its input for.

use attoformer::{Error, Image};

/// A label and its share.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Guess {
    /// The label's name, or its number where the image names none.
    pub label: String,
    /// Its probability.
    pub p: f64,
}

/// The labels of logits, the likeliest first.
///
/// # Errors
/// [`Error::Architecture`] for a model that tells nothing apart.
pub fn guesses(image: &Image, logits: &[f32]) -> Result<Vec<Guess>, Error> {
    if image.config().labels == 0 {
        return Err(Error::Architecture { asked: "classify" });
    }
    let names: Vec<&str> = image.labels().collect();
    let largest = logits.iter().fold(f32::MIN, |largest, &logit| largest.max(logit));
    let shares: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - largest).exp()).collect();
    let sum: f64 = shares.iter().sum();
    let guess = |(index, share): (usize, f64)| Guess {
        label: names.get(index).map_or_else(|| index.to_string(), |&name| name.to_owned()),
        p: share / sum,
    };
    let mut guesses: Vec<Guess> = shares.into_iter().enumerate().map(guess).collect();
    guesses.sort_by(|a, b| b.p.total_cmp(&a.p));
    Ok(guesses)
}
