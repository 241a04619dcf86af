//! Ranks tensors by quantization error: each tensor alone is quantized, all others stay f32, and the KL divergence is measured on a text.

use std::path::Path;

use attoformer::Image;
use serde::Serialize;

use super::numbers::rounded;
use crate::engine::{OpenImage, Setup};
use crate::error::Error;
use crate::eval::perplexity;
use crate::import::Checkpoint;
use crate::pack::{self, Options, Packed};
use crate::quantize::Format;
use crate::report::progress::Progress;
use crate::report::summary::ImageSummary;
use crate::threads;

/// Cost of quantizing one tensor.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// The tensor; `all` for all of them together.
    pub tensor: String,
    /// Its size in the low format.
    pub bytes: u64,
    /// Saved bytes.
    pub saved: u64,
    /// Quantization error relative to the tensor.
    pub rel_error: f32,
    /// Mean KL divergence from the unquantized model in nats per token.
    pub kl: f32,
    /// Perplexity.
    pub perplexity: f64,
}

/// Data of the view.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// The low format.
    pub format: String,
    /// Name of the text.
    pub text: String,
    /// Tokens scored.
    pub tokens: u64,
    /// Perplexity of the unquantized model.
    pub perplexity: f64,
    /// All tensors together, then each alone, most expensive first.
    pub costs: Vec<Cost>,
}

/// A text to measure on.
#[derive(Clone, Copy, Debug)]
pub struct Text<'t> {
    /// Its name.
    pub name: &'t str,
    /// The text.
    pub text: &'t str,
}

/// Packs a checkpoint in a low format and summarizes its tensors.
///
/// # Errors
/// Those of the packer and the engine.
pub fn tensors(checkpoint: &Checkpoint, format: Format, path: &Path) -> Result<(Packed, ImageSummary), Error> {
    let packed = pack::pack(checkpoint, &Options { weights: format, ..Options::reference() }, &Progress::silent())?;
    let summary = ImageSummary::of_packed(&packed).map_err(Error::engine(path))?;
    Ok((packed, summary))
}

/// Packs and metrics once for each tensor.
///
/// # Errors
/// Those of the packer and the engine.
pub fn view(checkpoint: &Checkpoint, format: Format, setup: Setup, text: Text, progress: &Progress) -> Result<View, Error> {
    let path = &checkpoint.path;
    let reference = pack::pack(checkpoint, &Options::reference(), &Progress::silent())?;
    let whole = ImageSummary::of_packed(&reference).map_err(Error::engine(path))?;
    let (all, summary) = tensors(checkpoint, format, path)?;
    let plain: u64 = whole.tensors.iter().map(|tensor| tensor.bytes).sum();
    let low: u64 = summary.tensors.iter().map(|tensor| tensor.bytes).sum();

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
    for (tensor, plain) in summary.tensors.iter().zip(&whole.tensors).filter(|(tensor, plain)| tensor.dtype != plain.dtype) {
        // The embedding of an int4 image is int8.
        let own = tensor.format().parse().unwrap_or(format);
        let options = Options { overrides: vec![(tensor.name.clone(), own)], ..Options::reference() };
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

/// Rounds a perplexity to six decimals: small changes matter, so it keeps more digits than other numbers.
fn millionths(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn measure(reference: &Packed, packed: &Packed, setup: Setup, text: Text, path: &Path) -> Result<perplexity::Metrics, Error> {
    let refuse = || Error::engine(path);
    let [reference, image] = [&reference.image, &packed.image].map(|image| Image::new(image));
    let (reference, image) = (reference.map_err(refuse())?, image.map_err(refuse())?);
    let open = |image| OpenImage { image, path };
    let documents = perplexity::documents(text.text);
    perplexity::measure(open(&image), Some(open(&reference)), &setup, threads::all_cores(), documents, &Progress::silent())
}
