//! MLP neurons: the tokens of a text that activate each neuron most (Geva et al. 2021).

use attoformer::Probe;
use attoformer::probe::{Part, Site};
use serde::Serialize;

use super::error::InspectError;
use super::model::{InspectedModel, feed, layers};
use super::numbers::rounded;
use crate::error::Error;
use crate::report::progress::Progress;

/// Activations shown per neuron.
const TOP_ACTIVATIONS: usize = 8;
/// Tokens shown before and after an activation.
const CONTEXT_TOKENS: [usize; 2] = [6, 3];

/// A neuron.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Neuron {
    /// The layer.
    pub layer: usize,
    /// Its number in the layer.
    pub index: usize,
}

/// A neuron that does not parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected LAYER:INDEX, such as 2:17")]
pub struct NeuronSyntax;

/// Parses `LAYER:INDEX`.
impl std::str::FromStr for Neuron {
    type Err = NeuronSyntax;

    fn from_str(text: &str) -> Result<Self, NeuronSyntax> {
        let parsed = text.split_once(':').and_then(|(layer, index)| Some((layer.parse().ok()?, index.parse().ok()?)));
        let (layer, index) = parsed.ok_or(NeuronSyntax)?;
        Ok(Neuron { layer, index })
    }
}

/// A value of a neuron and its position.
#[derive(Clone, Copy, Debug)]
struct Activation {
    value: f32,
    sequence: u32,
    position: u32,
}

/// A probe that records the largest activations of each neuron by magnitude: the sign of a gated neuron has no meaning by itself.
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

/// A neuron and its largest activations.
#[derive(Clone, Debug, Serialize)]
pub struct NeuronReport {
    /// The layer.
    pub layer: usize,
    /// Its number in the layer.
    pub index: usize,
    /// Selectivity: largest magnitude divided by the root mean square.
    pub selectivity: f32,
    /// Its largest activations.
    pub places: Vec<Context>,
}

/// An activation with the tokens around it.
#[derive(Clone, Debug, Serialize)]
pub struct Context {
    /// Value of the neuron.
    pub value: f32,
    /// Tokens.
    pub tokens: Vec<u32>,
    /// Index of the activating token.
    pub at: usize,
}

/// Data of the view.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// Name of the text.
    pub text: String,
    /// Tokens of the text.
    pub read: usize,
    /// Neurons of a layer.
    pub d_hidden: usize,
    /// The requested ones, then the most selective of each layer.
    pub neurons: Vec<NeuronReport>,
}

/// Runs the sequences of a text and reports the neurons in `named` and the `most_selective` of each layer.
///
/// # Errors
/// [`InspectError::Neuron`] for a neuron outside the model, or those of the engine.
pub fn view(
    model: &InspectedModel,
    text: &str,
    sequences: &[Vec<u32>],
    named: &[Neuron],
    most_selective: usize,
    progress: &Progress,
) -> Result<View, Error> {
    let (layers, d_hidden) = (layers(model.config()) as usize, model.config().d_hidden as usize);
    if let Some(Neuron { layer, index }) = named.iter().find(|neuron| neuron.layer >= layers || neuron.index >= d_hidden) {
        return Err(Error::request(InspectError::Neuron { layer: *layer, index: *index, layers, d_hidden }));
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
