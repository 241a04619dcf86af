//! Sensitivity: the loss of a model when a single tensor takes a format and everything else stays f32.
//!
//! One sweep over the layers serves all tensors. In each layer the f32 model runs over the calibration samples, as in calibration; then each
//! of the layer's tensors is quantized as the packer would, and a few sequences run through the layer with it. From there on each of these
//! candidates runs through the f32 layers, so only one layer's weights are in memory at a time.

mod candidate;
mod head;
mod loss;

use std::collections::BTreeMap;

use attoformer::image::{Architecture, Config, KvType, Role};
use attoformer::internals::format::shape_of;

use super::super::error::PackError;
use super::super::fuse::{FusedTensor, fuse};
use super::super::options::Options;
use super::super::prepare::{Prepared, Storage, prepare};
use super::super::tensor_id::TensorId;
use super::layer_image::{Layer, Model, Stack, layers};
use super::samples::{Input, Sample, Samples};
use super::statistics::{self, StackSamples, Statistics, Streams, observe};
use super::stream::Runner;
use super::{Calibrator, layer_id};
use crate::import::Checkpoint;
use crate::quantize::Format;
use crate::report::progress::Progress;
use candidate::{Candidate, Probes};
use head::Head;

/// Formats of each tensor whose losses are measured.
pub type Formats = BTreeMap<TensorId, Vec<Format>>;

/// Loss of the model if only this tensor takes this format.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// The tensor.
    pub id: TensorId,
    /// Its format.
    pub format: Format,
    /// Mean KL divergence in nats; 1 - cosine for embeddings.
    pub loss: f64,
}

/// Rows of the stack on which losses are measured, at least.
const ROWS: usize = 512;
/// Tokens of one of the sequences, at most.
const SEQUENCE: usize = 128;
/// Sounds or pictures on which losses are measured.
const FEATURES: usize = 2;

/// The sequences that losses are measured on: starts of the calibration samples, first of those that nothing is tuned on.
fn probes(samples: &Samples) -> Vec<Sample> {
    let start = |tokens: &[u32]| tokens[..tokens.len().min(SEQUENCE)].to_vec();
    let (mut probes, mut rows) = (Vec::new(), 0);
    for sample in samples.samples.iter().rev() {
        let input = match &sample.input {
            Input::Tokens(tokens) => Input::Tokens(start(tokens)),
            Input::Features(_) if probes.len() == FEATURES => break,
            other => other.clone(),
        };
        let target = start(&sample.target);
        rows += match &input {
            Input::Tokens(tokens) if target.is_empty() => tokens.len(),
            _ => target.len(),
        };
        probes.push(Sample { input, target });
        if rows >= ROWS {
            break;
        }
    }
    probes
}

/// Measures the loss of each tensor in each of its formats.
///
/// # Errors
/// [`PackError`]: the model cannot be run.
pub fn measure(
    checkpoint: &Checkpoint,
    config: &Config,
    options: &Options,
    formats: &Formats,
    samples: &Samples,
    progress: &Progress,
) -> Result<Vec<Loss>, PackError> {
    let config = attoformer::config! { kv: KvType::F32, key_offset: false, ..*config };
    let (vocabulary, probes) = (samples.vocabulary(), probes(samples));
    Sweep { checkpoint, config: &config, options, formats, samples, vocabulary: &vocabulary, probes: &probes, progress }.run()
}

/// A sweep over the layers of a model.
#[derive(Clone, Copy)]
struct Sweep<'c> {
    checkpoint: &'c Checkpoint,
    /// The model's shape with an f32 KV cache.
    config: &'c Config,
    options: &'c Options,
    formats: &'c Formats,
    samples: &'c Samples,
    vocabulary: &'c [u32],
    probes: &'c [Sample],
    progress: &'c Progress,
}

impl Sweep<'_> {
    fn run(self) -> Result<Vec<Loss>, PackError> {
        let mut candidates = vec![Candidate::exact()];
        let mut all = Streams::default();
        let mut encoder = None;
        for stack in [Stack::Encoder, Stack::Decoder] {
            let layers: Vec<Layer> = layers(self.config).into_iter().filter(|layer| layer.stack == stack).collect();
            if !layers.is_empty() {
                all = self.stack(stack, &layers, encoder.as_ref(), &mut candidates)?;
                encoder = Some(all.clone());
            }
        }
        self.tables(&all, &mut candidates)?;
        let losses = if self.config.architecture == Architecture::Encoder {
            loss::of_outputs(self.config, &candidates)
        } else {
            let head = Head::new(self.config, self.head(&all, None)?);
            loss::of_rows(&head, &candidates)
        };
        let of = |candidate: &Candidate| candidate.tensor;
        Ok(candidates.iter().filter_map(of).zip(losses).map(|((id, format), loss)| Loss { id, format, loss }).collect())
    }

    fn model<'r>(&'r self, replaced: Option<(Role, &'r FusedTensor)>) -> Model<'r> {
        Model {
            checkpoint: self.checkpoint,
            config: self.config,
            vocabulary: self.vocabulary,
            lengths: self.samples.lengths(self.config),
            replaced,
        }
    }

    fn probes(&self, stack: Stack) -> Probes<'_> {
        Probes { samples: self.probes, tokens: self.probes.iter().map(|sample| sample.tokens(stack, self.vocabulary)).collect() }
    }

    /// Runs a stack, in which each tensor in each format becomes a candidate; returns the f32 rows of all samples after its last layer.
    fn stack(
        &self,
        stack: Stack,
        layers: &[Layer],
        encoder: Option<&Streams>,
        candidates: &mut Vec<Candidate>,
    ) -> Result<Streams, PackError> {
        let model = self.model(None);
        let tokens: Vec<Vec<u32>> = self.samples.samples.iter().map(|sample| sample.tokens(stack, self.vocabulary)).collect();
        let samples = StackSamples { samples: &self.samples.samples, tuned: self.samples.tuned(), tokens: &tokens, encoder };
        let probes = self.probes(stack);
        let image = model.input_image(stack)?;
        let runner = Runner::new(&image, input(stack), 0).map_err(PackError::Rejected)?;
        let (exact, _) = statistics::embed(&runner, samples, &|_| false).map_err(PackError::Calibration)?;
        let mut streams = Streams { exact, ..Streams::default() };
        let rows = probes.embed(&runner)?;
        candidates.iter_mut().for_each(|candidate| candidate.enter(&rows));
        for &layer in layers {
            self.layer(&model, layer, samples, &probes, &mut streams, candidates)?;
            self.progress.advance(1);
        }
        Ok(streams)
    }

    fn layer(
        &self,
        model: &Model<'_>,
        layer: Layer,
        samples: StackSamples<'_>,
        probes: &Probes<'_>,
        streams: &mut Streams,
        candidates: &mut Vec<Candidate>,
    ) -> Result<(), PackError> {
        let number = layer.number_in_image(self.config);
        let tensors = model.layer_tensors(layer)?;
        let image = self.exact_layer(model, layer, &tensors)?;
        let mut runner = Runner::new(&image, layer, number).map_err(PackError::Rejected)?;
        let is_measured = |role| self.formats.contains_key(&layer_id(role, layer));
        let statistics = observe(&runner, samples, streams, &is_measured).map_err(PackError::Calibration)?;
        runner.records_inputs = false;
        let before = candidates[0].clone();
        probes.advance(&runner, candidates)?;
        for &(id, _) in &tensors {
            for &format in self.formats.get(&id).into_iter().flatten() {
                let prepared = self.prepared_layer(&tensors, &statistics, id, format);
                let image = model.layer_image(layer, KvType::F32, false, |id| prepared.get(&id))?;
                let mut runner = Runner::new(&image, layer, number).map_err(PackError::Rejected)?;
                runner.records_inputs = false;
                let mut candidate = Candidate { tensor: Some((id, format)), ..before.clone() };
                probes.advance(&runner, std::slice::from_mut(&mut candidate))?;
                candidates.push(candidate);
            }
        }
        Ok(())
    }

    /// The image of a layer in f32.
    fn exact_layer(
        &self,
        model: &Model<'_>,
        layer: Layer,
        tensors: &[(TensorId, FusedTensor)],
    ) -> Result<crate::files::AlignedBytes, PackError> {
        let exact: BTreeMap<TensorId, Prepared> =
            tensors.iter().map(|(id, tensor)| (*id, prepare(tensor.clone(), &Storage::plain(*id, Format::F32)))).collect();
        model.layer_image(layer, KvType::F32, false, |id| exact.get(&id))
    }

    /// The tensors of a layer of which one is quantized.
    fn prepared_layer(
        &self,
        tensors: &[(TensorId, FusedTensor)],
        statistics: &Statistics,
        id: TensorId,
        format: Format,
    ) -> BTreeMap<TensorId, Prepared> {
        let (formats, silent) = (BTreeMap::from([(id, format)]), Progress::silent());
        let mut calibrator = Calibrator::new(self.checkpoint, self.config, self.options, &formats, self.samples, &silent);
        calibrator.layer_tensors(tensors.to_vec(), statistics);
        calibrator.tensors
    }

    /// The head and its norm, quantized if a format is given.
    fn head(&self, streams: &Streams, format: Option<Format>) -> Result<BTreeMap<TensorId, Prepared>, PackError> {
        let id = (self.head_role(), None);
        let formats = BTreeMap::from([(id, format.unwrap_or(Format::F32))]);
        let silent = Progress::silent();
        let mut calibrator = Calibrator::new(self.checkpoint, self.config, self.options, &formats, self.samples, &silent);
        calibrator.head(streams)?;
        Ok(calibrator.tensors)
    }

    fn head_role(&self) -> Role {
        if self.config.tied_head { Role::Embedding } else { Role::Head }
    }

    /// Adds the candidates whose tensor is read before the first layer or after the last one.
    fn tables(&self, all: &Streams, candidates: &mut Vec<Candidate>) -> Result<(), PackError> {
        let is_head = |role| self.config.architecture != Architecture::Encoder && role == self.head_role();
        for (&id, formats) in self.formats.iter().filter(|((role, layer), _)| layer.is_none() && is_table(*role)) {
            for &format in formats {
                let mut candidate = Candidate { tensor: Some((id, format)), ..candidates[0].clone() };
                let prepared = if is_head(id.0) {
                    let tensors = self.head(all, Some(format))?;
                    let table = tensors.get(&id).map(head::table);
                    candidate.head = Some(Head::new(self.config, tensors));
                    table
                } else {
                    let tensor = fuse(self.checkpoint, self.config, id)?;
                    Some(head::table(&prepare(tensor, &Storage::plain(id, format))))
                };
                if let Some(table) = prepared.filter(|_| id.0 != Role::Head) {
                    self.replay(&mut candidate, (id.0, &table))?;
                }
                candidates.push(candidate);
            }
        }
        Ok(())
    }

    /// Runs a candidate with another table through all layers.
    fn replay(&self, candidate: &mut Candidate, table: (Role, &FusedTensor)) -> Result<(), PackError> {
        debug_assert_eq!((table.1.rows, table.1.columns), shape_of(self.config, table.0));
        candidate.restart();
        let mut last = None;
        let model = self.model(Some(table));
        for layer in layers(self.config) {
            let probes = self.probes(layer.stack);
            if last != Some(layer.stack) {
                let image = model.input_image(layer.stack)?;
                let runner = Runner::new(&image, input(layer.stack), 0).map_err(PackError::Rejected)?;
                candidate.enter(&probes.embed(&runner)?);
                last = Some(layer.stack);
            }
            let image = self.exact_layer(&model, layer, &model.layer_tensors(layer)?)?;
            let mut runner = Runner::new(&image, layer, layer.number_in_image(self.config)).map_err(PackError::Rejected)?;
            runner.records_inputs = false;
            probes.advance(&runner, std::slice::from_mut(candidate))?;
        }
        Ok(())
    }
}

/// The input of a stack, as the layer that its image has.
fn input(stack: Stack) -> Layer {
    Layer { stack, number: 0, is_last: false }
}

/// Whether a tensor outside the layers is read before the first layer or is the head.
fn is_table(role: Role) -> bool {
    matches!(role, Role::Embedding | Role::Positions | Role::EncoderPositions | Role::Head)
}
