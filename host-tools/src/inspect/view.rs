//! Runs the requested views and collects their data.

use std::path::Path;

use attoformer::image::section;
use serde::Serialize;

use super::model::{InspectedModel, feed, is_causal, layers};
use super::neurons::Neuron;
use super::numbers::likeliest;
use super::pieces::Pieces;
use super::{ablation, attention, board, lens, neurons, patching, quantization};
use crate::error::Error;
use crate::report::progress::Progress;

/// Requested views.
#[derive(Clone, Debug, Default)]
pub struct InspectOptions {
    /// Attention weights.
    pub attention: bool,
    /// Logit lens.
    pub lens: bool,
    /// Ablation.
    pub ablate: Option<Ablate>,
    /// Activation patching: the other prompt, and the number of layers patched together.
    pub other: Option<(Vec<u32>, usize)>,
    /// Answer for ablation and patching; the model's own unless given.
    pub target: Option<u32>,
    /// Neurons: name and sequences of the text.
    pub neurons: Option<(String, Vec<Vec<u32>>)>,
    /// Neurons to show.
    pub named: Vec<Neuron>,
    /// And how many of the most_selective of each layer.
    pub most_selective: usize,
    /// Attention weights from a board.
    pub board: Option<board::Rows>,
}

/// Ablation method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ablate {
    /// To zero.
    Zero,
    /// To the mean over these sequences.
    Mean(Vec<Vec<u32>>),
}

/// Summary of the model.
#[derive(Clone, Debug, Serialize)]
pub struct Model {
    /// Name of the model.
    pub name: String,
    /// Name of its file.
    pub file: String,
    /// Architecture.
    pub architecture: &'static str,
    /// Layers in the views.
    pub layers: u32,
    /// Query heads of a layer.
    pub heads: u32,
    /// Key/value heads (grouped-query attention).
    pub kv_heads: u32,
    /// Width of the residual stream.
    pub d_model: u32,
    /// Neurons of a layer.
    pub d_hidden: u32,
    /// Vocabulary.
    pub vocab: u32,
    /// Trained parameters.
    pub parameters: u64,
    /// Element type of the KV cache.
    pub kv: &'static str,
}

/// Data of all requested views: the content of `data.json` and of the page.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The model.
    pub model: Model,
    /// The prompt.
    pub prompt: Vec<u32>,
    /// The most likely next token; decoders only.
    pub answer: Option<u32>,
    /// Attention weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention: Option<attention::View>,
    /// Logit lens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lens: Option<lens::View>,
    /// Ablation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ablation: Option<ablation::View>,
    /// Activation patching.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patching: Option<patching::View>,
    /// Neurons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neurons: Option<neurons::View>,
    /// Quantization error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<quantization::View>,
    /// Attention weights from a board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<board::View>,
    /// Texts of all tokens named above.
    pub pieces: Pieces,
}

/// Runs the requested views.
///
/// # Errors
/// [`InspectError`](super::InspectError), or those of the engine with the file.
pub fn inspect(model: &InspectedModel, prompt: &[u32], options: &InspectOptions) -> Result<Inspection, Error> {
    model.check()?;
    let config = model.config();
    let answer = match is_causal(config) {
        true => Some(model.session(|session| feed(session, prompt, &mut ()).map(likeliest))?),
        false => None,
    };
    let target = options.target.or(answer).unwrap_or(0);
    let attention = options.attention.then(|| attention::view(model, prompt)).transpose()?;
    let lens = options.lens.then(|| lens::view(model, prompt, &Progress::new("layers", layers(config) as u64 + 1))).transpose()?;
    let ablation = options.ablate.as_ref().map(|method| ablate(model, prompt, target, method)).transpose()?;
    let patching = options.other.as_ref().map(|(other, window)| {
        let runs = 3 * config.layers as u64 * prompt.len() as u64;
        patching::view(model, prompt, other, target, *window, &Progress::new("patches", runs))
    });
    let patching = patching.transpose()?;
    let neurons = options.neurons.as_ref().map(|(name, sequences)| {
        let progress = Progress::new("sequences", sequences.len() as u64);
        neurons::view(model, name, sequences, &options.named, options.most_selective, &progress)
    });
    let neurons = neurons.transpose()?;
    let mut inspection = Inspection {
        model: summary(model)?,
        prompt: prompt.to_vec(),
        answer,
        attention,
        lens,
        ablation,
        patching,
        neurons,
        quantization: None,
        board: options.board.as_ref().map(|rows| board::view(model, prompt, rows)).transpose()?,
        pieces: Pieces::default(),
    };
    inspection.pieces = Pieces::of(&model.image, inspection.tokens());
    Ok(inspection)
}

fn ablate(model: &InspectedModel, prompt: &[u32], target: u32, method: &Ablate) -> Result<ablation::View, Error> {
    let config = model.config();
    let means = match method {
        Ablate::Zero => None,
        Ablate::Mean(sequences) => {
            model.check_decoder("ablation")?;
            Some(model.session(|session| ablation::Means::of(session, sequences.iter().map(Vec::as_slice)))?)
        }
    };
    let runs = config.layers as u64 * (config.heads as u64 + 3);
    ablation::view(model, prompt, target, means.as_ref(), &Progress::new("ablations", runs))
}

fn summary(model: &InspectedModel) -> Result<Model, Error> {
    let config = model.config();
    let has_metadata = !model.image.section(section::METADATA).is_empty();
    let metadata = has_metadata.then(|| model.image.metadata()).transpose().map_err(model.refuse())?;
    let file = model.path.file_name().unwrap_or(model.path.as_os_str());
    Ok(Model {
        name: metadata.map_or("unnamed", |metadata| metadata.name).to_owned(),
        file: Path::new(file).display().to_string(),
        architecture: config.architecture.name(),
        layers: layers(config),
        heads: config.heads,
        kv_heads: config.kv_heads,
        d_model: config.d_model,
        d_hidden: config.d_hidden,
        vocab: config.vocab,
        parameters: metadata.map_or(0, |metadata| metadata.parameters),
        kv: config.kv.name(),
    })
}

impl Inspection {
    /// All tokens in the views.
    fn tokens(&self) -> Vec<u32> {
        let mut tokens = self.prompt.clone();
        tokens.extend(self.answer);
        tokens.extend(self.lens.iter().flat_map(|lens| lens.ids.iter().chain(&lens.answers)));
        tokens.extend(self.ablation.iter().map(|ablation| ablation.target));
        tokens.extend(self.patching.iter().flat_map(|patching| patching.other.iter().chain([&patching.target])));
        let places = self.neurons.iter().flat_map(|view| &view.neurons).flat_map(|neuron| &neuron.places);
        tokens.extend(places.flat_map(|place| &place.tokens));
        tokens.sort_unstable();
        tokens.dedup();
        tokens
    }

    /// The arrays of the views: file name, shape, values.
    pub fn arrays(&self) -> Vec<(&'static str, Vec<usize>, &[f32])> {
        let count = self.prompt.len();
        let mut arrays: Vec<(&'static str, Vec<usize>, &[f32])> = Vec::new();
        if let Some(view) = &self.attention {
            arrays.push(("attention", vec![view.layers, view.heads, count, count], &view.patterns.weights));
        }
        if let Some(view) = &self.lens {
            arrays.push(("lens_p", vec![view.rows, count, view.top], &view.p));
            arrays.push(("lens_entropy", vec![view.rows, count], &view.entropy));
            arrays.push(("lens_answer_p", vec![view.rows, count], &view.answer_p));
        }
        if let Some(view) = &self.ablation {
            arrays.push(("ablation_heads", vec![view.layers, view.heads], &view.head));
            arrays.push(("ablation_attention", vec![view.layers], &view.attention));
            arrays.push(("ablation_mlp", vec![view.layers], &view.mlp));
            arrays.push(("ablation_layers", vec![view.layers], &view.layer));
        }
        if let Some(view) = &self.patching {
            arrays.push(("patching_residual", vec![view.layers, count], &view.residual));
            arrays.push(("patching_attention", vec![view.layers, count], &view.attention));
            arrays.push(("patching_mlp", vec![view.layers, count], &view.mlp));
        }
        arrays
    }
}
