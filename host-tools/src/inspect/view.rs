//! All that was asked for, gathered.

use std::path::Path;

use attoformer::image::section;
use serde::Serialize;

use super::model::{InspectedModel, feed};
use super::neurons::Neuron;
use super::pieces::Pieces;
use super::{ablation, attention, board, is_causal, layers, lens, likeliest, neurons, patching, quantization};
use crate::error::Error;
use crate::report::progress::Progress;

/// What to look at.
#[derive(Clone, Debug, Default)]
pub struct InspectOptions {
    /// What heads look at.
    pub attention: bool,
    /// What layers would say.
    pub lens: bool,
    /// What parts are worth.
    pub ablate: Option<Ablate>,
    /// A prompt to patch, and how many layers at a time.
    pub other: Option<(Vec<u32>, usize)>,
    /// The answer that ablation and patching are about; the model's own unless given.
    pub target: Option<u32>,
    /// A text's name and its sequences, for neurons.
    pub neurons: Option<(String, Vec<Vec<u32>>)>,
    /// Neurons to show.
    pub named: Vec<Neuron>,
    /// And how many of the most_selective of each layer.
    pub most_selective: usize,
    /// What a head looked at on a board.
    pub board: Option<board::Rows>,
}

/// How parts are taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ablate {
    /// Nothing takes their place.
    Zero,
    /// Their means over these sequences do.
    Mean(Vec<Vec<u32>>),
}

/// The model, in words.
#[derive(Clone, Debug, Serialize)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Its file's name.
    pub file: String,
    /// How it is wired.
    pub architecture: &'static str,
    /// Layers shown.
    pub layers: u32,
    /// Query heads of a layer.
    pub heads: u32,
    /// Heads of keys and values.
    pub kv_heads: u32,
    /// Width of the residual stream.
    pub d_model: u32,
    /// Neurons of a layer.
    pub d_hidden: u32,
    /// Vocabulary.
    pub vocab: u32,
    /// Trained values.
    pub parameters: u64,
    /// Type of keys and values.
    pub kv: &'static str,
}

/// What was found. This is what `data.json` holds, and the page.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The model.
    pub model: Model,
    /// The prompt.
    pub prompt: Vec<u32>,
    /// What the model says next, and its log-probability; of models that write.
    pub answer: Option<u32>,
    /// What heads look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention: Option<attention::View>,
    /// What layers would say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lens: Option<lens::View>,
    /// What parts are worth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ablation: Option<ablation::View>,
    /// What parts carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patching: Option<patching::View>,
    /// What neurons fire at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neurons: Option<neurons::View>,
    /// What rounding costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<quantization::View>,
    /// What a head looked at on a board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<board::View>,
    /// What tokens look like: all that are named above.
    pub pieces: Pieces,
}

/// Looks.
///
/// # Errors
/// One sentence that names the file or what cannot be done.
pub fn inspect(model: &InspectedModel, prompt: &[u32], wanted: &InspectOptions) -> Result<Inspection, Error> {
    model.check()?;
    let config = model.config();
    let answer = match is_causal(config) {
        true => Some(model.session(|session| feed(session, prompt, &mut ()).map(likeliest))?),
        false => None,
    };
    let target = wanted.target.or(answer).unwrap_or(0);
    let attention = wanted.attention.then(|| attention::view(model, prompt)).transpose()?;
    let lens = wanted.lens.then(|| lens::view(model, prompt, &Progress::new("layers", layers(config) as u64 + 1))).transpose()?;
    let ablation = wanted.ablate.as_ref().map(|method| ablate(model, prompt, target, method)).transpose()?;
    let patching = wanted.other.as_ref().map(|(other, window)| {
        let runs = 3 * config.layers as u64 * prompt.len() as u64;
        patching::view(model, prompt, other, target, *window, &Progress::new("patches", runs))
    });
    let patching = patching.transpose()?;
    let neurons = wanted.neurons.as_ref().map(|(name, sequences)| {
        let progress = Progress::new("sequences", sequences.len() as u64);
        neurons::view(model, name, sequences, &wanted.named, wanted.most_selective, &progress)
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
        board: wanted.board.as_ref().map(|rows| board::view(model, prompt, rows)).transpose()?,
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
            model.check_writes("ablation")?;
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
    /// All tokens that are named.
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

    /// The arrays of the views, each with the name of its file and its shape.
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
