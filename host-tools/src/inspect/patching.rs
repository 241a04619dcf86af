//! Activation patching (causal tracing, Meng et al. 2022): one prompt is run with single activations of another prompt's run.
//!
//! Activations that restore the answer carry the difference between the prompts.

use attoformer::Probe;
use attoformer::probe::{Part, Site};
use serde::Serialize;

use super::error::InspectError;
use super::lens::Residuals;
use super::model::{InspectedModel, feed};
use super::numbers::{log_probability, rounded};
use crate::error::Error;
use crate::report::progress::Progress;

/// Patched activations.
const PARTS: [Part; 3] = [Part::Residual, Part::Attention, Part::Mlp];

/// Activations of the run whose answer is to be restored, `(parts, layers, tokens, d_model)`.
struct CleanRun {
    layers: usize,
    tokens: usize,
    rows: Vec<f32>,
}

impl CleanRun {
    fn at(&self, part: usize, layer: usize, position: usize, width: usize) -> usize {
        ((part * self.layers + layer) * self.tokens + position) * width
    }
}

impl Probe for CleanRun {
    fn rows(&mut self, site: Site, width: usize, rows: &mut [f32]) {
        let Some(part) = PARTS.iter().position(|&part| part == site.part) else { return };
        let start = self.at(part, site.layer as usize, site.start, width);
        self.rows[start..][..rows.len()].copy_from_slice(rows);
    }
}

/// A probe that patches the rows of one position.
struct Patch<'d> {
    clean_run: &'d CleanRun,
    /// Residual stream of the patched prompt: the layers before the patch are not run again.
    whole: &'d Residuals,
    part: usize,
    layers: std::ops::Range<usize>,
    position: usize,
}

impl Probe for Patch<'_> {
    fn first_layer(&self) -> u32 {
        self.layers.start as u32
    }

    fn rows(&mut self, site: Site, width: usize, rows: &mut [f32]) {
        let layer = site.layer as usize;
        if site.part == Part::Embedded {
            return self.whole.restore(self.layers.start, site.start, rows);
        }
        let Some(row) = self.position.checked_sub(site.start) else { return };
        if site.part != PARTS[self.part] || !self.layers.contains(&layer) || row * width >= rows.len() {
            return;
        }
        let start = self.clean_run.at(self.part, layer, self.position, width);
        rows[row * width..][..width].copy_from_slice(&self.clean_run.rows[start..][..width]);
    }
}

/// The view. Each map is ordered by layer, then by position: the restored fraction of the answer's log-probability, 0 for none and 1 for all.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// The other prompt, which is patched.
    pub other: Vec<u32>,
    /// The answer to the prompt that provides the activations.
    pub target: u32,
    /// Its log-probability after that prompt.
    pub log_p: f32,
    /// Its log-probability after the other prompt.
    pub other_log_p: f32,
    /// Layers whose attention or MLP is patched together, centred on the layer of the map.
    pub window: usize,
    /// Layers.
    pub layers: usize,
    /// Residual stream after a layer.
    pub residual: Vec<f32>,
    /// Contribution of the attention.
    pub attention: Vec<f32>,
    /// Contribution of the MLP.
    pub mlp: Vec<f32>,
}

/// Runs `other` once for each part, layer and position, patched with that row of the run of `tokens`.
///
/// # Errors
/// [`InspectError`] for prompts of different lengths or with the same answer and for models that are not decoders, or those of the engine.
pub fn view(model: &InspectedModel, tokens: &[u32], other: &[u32], target: u32, window: usize, progress: &Progress) -> Result<View, Error> {
    model.check_decoder("patching")?;
    let count = tokens.len();
    if other.len() != count {
        return Err(Error::request(InspectError::PromptLengths { prompt: count, other: other.len() }));
    }
    let (layers, width) = (model.config().layers as usize, model.config().d_model as usize);
    let mut clean_run = CleanRun { layers, tokens: count, rows: vec![0.0; PARTS.len() * layers * count * width] };
    let clean = model.session(|session| feed(session, tokens, &mut clean_run).map(|logits| log_probability(logits, target)))?;
    let corrupted = model.session(|session| feed(session, other, &mut ()).map(|logits| log_probability(logits, target)))?;
    let residuals = model.session(|session| Residuals::of(session, other))?;
    let lost = clean - corrupted;
    if lost.abs() < 1e-3 {
        return Err(Error::request(InspectError::SameAnswer));
    }
    let recovered = model.sweep(PARTS.len() * layers * count, progress, |session, index| {
        let (part, layer, position) = (index / (layers * count), index / count % layers, index % count);
        // A row of the residual stream replaces everything before it; a window applies to what is added to it.
        let reach = if PARTS[part] == Part::Residual { 0 } else { window.saturating_sub(1) };
        let range = layer.saturating_sub(reach / 2)..(layer + reach.div_ceil(2) + 1).min(layers);
        let mut patch = Patch { clean_run: &clean_run, whole: &residuals, part, layers: range, position };
        Ok(rounded((log_probability(feed(session, other, &mut patch)?, target) - corrupted) / lost))
    })?;
    let map = |part: usize| recovered[part * layers * count..][..layers * count].to_vec();
    Ok(View {
        other: other.to_vec(),
        target,
        log_p: rounded(clean),
        other_log_p: rounded(corrupted),
        window,
        layers,
        residual: map(0),
        attention: map(1),
        mlp: map(2),
    })
}
