//! Which tensors cost most when they are rounded: each is stored in a low format alone, all others as they are, and the model is measured on a text.

use std::path::Path;

use attoformer::Image;
use serde::Serialize;

use super::rounded;
use crate::engine::{OpenImage, Setup};
use crate::error::Error;
use crate::eval::perplexity;
use crate::import::Checkpoint;
use crate::pack::{self, Options, Packed};
use crate::quantize::Format;
use crate::report::progress::Progress;
use crate::report::summary::ImageSummary;
use crate::threads;

/// What rounding one tensor costs.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// The tensor; `all` for all of them together.
    pub tensor: String,
    /// Bytes that it takes in the low format.
    pub bytes: u64,
    /// Bytes that rounding saves.
    pub saved: u64,
    /// Error of rounding relative to the tensor.
    pub rel_error: f32,
    /// Mean Kullback-Leibler divergence from the unrounded model, in nats a token.
    pub kl: f32,
    /// Perplexity.
    pub perplexity: f64,
}

/// The view.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// The low format.
    pub format: String,
    /// Name of the text.
    pub text: String,
    /// Tokens scored.
    pub tokens: u64,
    /// Perplexity of the unrounded model.
    pub perplexity: f64,
    /// All tensors together, then each alone, dearest first.
    pub costs: Vec<Cost>,
}

/// A text to measure on.
#[derive(Clone, Copy, Debug)]
pub struct Text<'t> {
    /// Its name.
    pub name: &'t str,
    /// What it says.
    pub text: &'t str,
}

/// Tensors that a low format rounds.
///
/// # Errors
/// What the packer or the engine says.
pub fn tensors(checkpoint: &Checkpoint, format: Format, path: &Path) -> Result<(Packed, ImageSummary), Error> {
    let packed = pack::pack(checkpoint, &Options { weights: format, ..Options::reference() }, &Progress::silent())?;
    let facts = ImageSummary::of_packed(&packed).map_err(Error::engine(path))?;
    Ok((packed, facts))
}

/// Packs and metrics once for each tensor.
///
/// # Errors
/// What the packer or the engine says.
pub fn view(checkpoint: &Checkpoint, format: Format, setup: Setup, text: Text, progress: &Progress) -> Result<View, Error> {
    let path = &checkpoint.path;
    let reference = pack::pack(checkpoint, &Options::reference(), &Progress::silent())?;
    let whole = ImageSummary::of_packed(&reference).map_err(Error::engine(path))?;
    let (all, facts) = tensors(checkpoint, format, path)?;
    let plain: u64 = whole.tensors.iter().map(|tensor| tensor.bytes).sum();
    let low: u64 = facts.tensors.iter().map(|tensor| tensor.bytes).sum();

    let metrics = measure(&reference, &all, setup, text, path)?;
    let cost = |tensor: &str, bytes, plain: u64, rel_error, metrics: &perplexity::Metrics| Cost {
        tensor: tensor.to_owned(),
        bytes,
        saved: plain.saturating_sub(bytes),
        rel_error: rounded(rel_error),
        kl: rounded(metrics.kl_mean.unwrap_or(0.0)),
        perplexity: millionths(metrics.perplexity),
    };
    let mut costs = Vec::new();
    let name = format.dtype().name();
    for (tensor, plain) in facts.tensors.iter().zip(&whole.tensors).filter(|(tensor, _)| tensor.dtype == name) {
        let options = Options { overrides: vec![(tensor.name.clone(), format)], ..Options::reference() };
        let packed = pack::pack(checkpoint, &options, &Progress::silent())?;
        let metrics = measure(&reference, &packed, setup, text, path)?;
        costs.push(cost(&tensor.name, tensor.bytes, plain.bytes, tensor.rel_error.unwrap_or(0.0), &metrics));
        progress.advance(1);
    }
    costs.sort_by(|a, b| b.kl.total_cmp(&a.kl));
    costs.insert(0, cost("all", low, plain, 0.0, &metrics));
    Ok(View {
        format: format.to_string(),
        text: text.name.to_owned(),
        tokens: metrics.tokens,
        perplexity: millionths(metrics.reference_perplexity.unwrap_or(0.0)),
        costs,
    })
}

/// Small changes of a perplexity count, so it keeps more digits than what is only shown.
fn millionths(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn measure(reference: &Packed, packed: &Packed, setup: Setup, text: Text, path: &Path) -> Result<perplexity::Metrics, Error> {
    let refuse = || Error::engine(path);
    let [reference, image] = [&reference.image, &packed.image].map(|image| Image::new(image));
    let (reference, image) = (reference.map_err(refuse())?, image.map_err(refuse())?);
    let subject = |image| OpenImage { image, path };
    let documents = perplexity::documents(text.text);
    perplexity::measure(subject(&image), Some(subject(&reference)), &setup, threads::all_cores(), documents, &Progress::silent())
}
