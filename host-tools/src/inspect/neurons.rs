//! What makes a neuron of an MLP fire: the tokens of a text where it is largest (Geva et al. 2021).

use attoformer::Probe;
use attoformer::probe::{Part, Site};
use serde::Serialize;

use super::model::{InspectedModel, feed};
use super::rounded;
use crate::error::Error;
use crate::report::progress::Progress;

/// Places shown of a neuron.
const TOP_ACTIVATIONS: usize = 8;
/// Tokens shown before and behind a place.
const CONTEXT_TOKENS: [usize; 2] = [6, 3];

/// A neuron.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Neuron {
    /// The layer.
    pub layer: usize,
    /// Its number in the layer.
    pub index: usize,
}

/// `LAYER:INDEX`.
impl std::str::FromStr for Neuron {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once(':').and_then(|(layer, index)| Some((layer.parse().ok()?, index.parse().ok()?)));
        let (layer, index) = parsed.ok_or_else(|| format!("{text} is not LAYER:INDEX, such as 2:17"))?;
        Ok(Neuron { layer, index })
    }
}

/// A neuron's largest value at a token, and where that was.
#[derive(Clone, Copy, Debug)]
struct Activation {
    value: f32,
    sequence: u32,
    position: u32,
}

/// A probe that keeps the places where each neuron is largest, in size: a gated neuron's sign says nothing by itself.
struct TopActivations {
    d_hidden: usize,
    sequence: u32,
    /// `(layers * d_hidden)`, largest first.
    best: Vec<Vec<Activation>>,
    /// Sums of squares.
    energy: Vec<f64>,
}

impl Probe for TopActivations {
    fn rows(&mut self, site: Site, width: usize, rows: &mut [f32]) {
        if site.part != Part::Neurons {
            return;
        }
        let first = site.layer as usize * self.d_hidden;
        for (row, values) in rows.chunks(width).enumerate() {
            let position = (site.start + row) as u32;
            for (&value, (best, energy)) in values.iter().zip(self.best[first..].iter_mut().zip(&mut self.energy[first..])) {
                *energy += value as f64 * value as f64;
                if best.len() == TOP_ACTIVATIONS && best[TOP_ACTIVATIONS - 1].value.abs() >= value.abs() {
                    continue;
                }
                let place = best.partition_point(|place| place.value.abs() >= value.abs());
                best.insert(place, Activation { value, sequence: self.sequence, position });
                best.truncate(TOP_ACTIVATIONS);
            }
        }
    }
}

/// One neuron and the places where it is largest.
#[derive(Clone, Debug, Serialize)]
pub struct NeuronReport {
    /// The layer.
    pub layer: usize,
    /// Its number in the layer.
    pub index: usize,
    /// Largest value over the root of the mean square: the higher, the choosier.
    pub selectivity: f32,
    /// Where it is largest.
    pub places: Vec<Context>,
}

/// A token and those around it.
#[derive(Clone, Debug, Serialize)]
pub struct Context {
    /// The neuron's value.
    pub value: f32,
    /// Tokens.
    pub tokens: Vec<u32>,
    /// Which of them made the value.
    pub at: usize,
}

/// The view.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// Name of the text.
    pub text: String,
    /// Tokens read.
    pub read: usize,
    /// Neurons of a layer.
    pub d_hidden: usize,
    /// Those asked for, then the most_selective of each layer.
    pub neurons: Vec<NeuronReport>,
}

/// Runs a text, in sequences that fit the context, and reports the neurons in `named` and the `most_selective` of each layer.
///
/// # Errors
/// [`Error::Request`] for a neuron that is not there, or what the engine says.
pub fn view(
    model: &InspectedModel,
    text: &str,
    sequences: &[Vec<u32>],
    named: &[Neuron],
    most_selective: usize,
    progress: &Progress,
) -> Result<View, Error> {
    let (layers, d_hidden) = (super::layers(model.config()) as usize, model.config().d_hidden as usize);
    if let Some(Neuron { layer, index }) = named.iter().find(|neuron| neuron.layer >= layers || neuron.index >= d_hidden) {
        return Err(Error::request(format!(
            "there is no neuron {layer}:{index}: the model has {layers} layers of {d_hidden}, counted from 0"
        )));
    }
    let count = layers * d_hidden;
    let mut activations = TopActivations { d_hidden, sequence: 0, best: vec![Vec::new(); count], energy: vec![0.0; count] };
    model.session(|session| {
        for (index, tokens) in sequences.iter().enumerate() {
            activations.sequence = index as u32;
            feed(session, tokens, &mut activations)?;
            progress.advance(1);
        }
        Ok(())
    })?;
    let read: usize = sequences.iter().map(Vec::len).sum();
    let selectivity = |index: usize| {
        let largest = activations.best[index].first().map_or(0.0, |place| place.value.abs()) as f64;
        if activations.energy[index] > 0.0 { largest / (activations.energy[index] / read as f64).sqrt() } else { 0.0 }
    };
    let mut chosen: Vec<usize> = named.iter().map(|neuron| neuron.layer * d_hidden + neuron.index).collect();
    for layer in 0..layers {
        let mut order: Vec<usize> = (layer * d_hidden..(layer + 1) * d_hidden).collect();
        order.sort_by(|&a, &b| selectivity(b).total_cmp(&selectivity(a)));
        order.retain(|index| !chosen.contains(index));
        chosen.extend(order.into_iter().take(most_selective));
    }
    let context = |place: &Activation| {
        let tokens = &sequences[place.sequence as usize];
        let position = place.position as usize;
        let start = position.saturating_sub(CONTEXT_TOKENS[0]);
        let end = (position + CONTEXT_TOKENS[1] + 1).min(tokens.len());
        Context { value: rounded(place.value.into()), tokens: tokens[start..end].to_vec(), at: position - start }
    };
    let neurons = chosen.into_iter().map(|index| NeuronReport {
        layer: index / d_hidden,
        index: index % d_hidden,
        selectivity: rounded(selectivity(index)),
        places: activations.best[index].iter().map(context).collect(),
    });
    Ok(View { text: text.to_owned(), read, d_hidden, neurons: neurons.collect() })
}
