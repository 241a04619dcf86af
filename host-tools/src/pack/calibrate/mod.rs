//! Calibration: a model runs over samples layer by layer, and each layer is quantized for the activations that it saw. It serves the purpose
//! of an importance matrix in llama.cpp.
//!
//! For each layer: the f32 layer runs over all samples, its matrices' inputs and its keys are observed, smoothing factors and key offsets
//! follow, and the matrices are rounded. With GPTQ a second stream runs through the layers as they are quantized, so that each layer makes up
//! for the errors of those before it (Frantar et al. 2023, section 3). The engine computes all activations, so every PC packs the same bytes.

mod features;
mod layer_image;
mod loss;
mod own_text;
pub mod samples;
pub mod sensitivity;
mod sound;
mod sources;
mod statistics;
mod stream;
mod text;

use std::collections::BTreeMap;

use attoformer::image::{AttentionKind, Config, KvType, NormKind, PositionKind, Role};
use attoformer::internals::numeric;

use super::error::PackError;
use super::fuse::{FusedTensor, fuse};
use super::options::Options;
use super::prepare::{Prepared, Storage, prepare};
use super::smooth::{self, ColumnScaling, MakerRows, Product};
use super::tensor_id::TensorId;
use crate::import::Checkpoint;
use crate::quantize::{Format, Hessian, HessianBuilder, Matrix};
use crate::report::progress::Progress;
use layer_image::{Layer, Model, Stack, layers};
pub use loss::{Measure, MeasuredLoss, measure};
use samples::Samples;
pub use sources::{is_calibrated, samples};
use statistics::{InputStatistics, StackSamples, Statistics, Streams, advance, observe};
use stream::Runner;
pub use text::{Excerpt, TEXT, read as read_text};

/// A model whose tensors are ready to be written.
pub struct Calibrated {
    /// All prepared tensors; those without a product are missing.
    pub tensors: BTreeMap<TensorId, Prepared>,
    /// The f32 model's results for the samples.
    pub streams: Streams,
}

/// Quantizes a model layer by layer.
pub struct Calibrator<'c> {
    checkpoint: &'c Checkpoint,
    config: &'c Config,
    options: &'c Options,
    formats: &'c BTreeMap<TensorId, Format>,
    samples: &'c Samples,
    progress: &'c Progress,
    tensors: BTreeMap<TensorId, Prepared>,
}

/// Whether keys get an offset of their own; otherwise it is part of the key's bias, where it costs nothing.
pub fn has_key_offset(config: &Config) -> bool {
    uses_key_offset(config) && (config.positions == PositionKind::Rotary || config.qk_norm)
}

/// Whether an offset of the keys helps: in an int8 cache, whose rows have one scale each.
pub fn uses_key_offset(config: &Config) -> bool {
    config.kv == KvType::Int8 && config.attention == AttentionKind::Softmax
}

impl<'c> Calibrator<'c> {
    /// A calibrator for an image of this shape and these formats.
    pub fn new(
        checkpoint: &'c Checkpoint,
        config: &'c Config,
        options: &'c Options,
        formats: &'c BTreeMap<TensorId, Format>,
        samples: &'c Samples,
        progress: &'c Progress,
    ) -> Self {
        Calibrator { checkpoint, config, options, formats, samples, progress, tensors: BTreeMap::new() }
    }

    /// Runs all layers.
    ///
    /// # Errors
    /// [`PackError`]: the model cannot be run.
    pub fn run(mut self) -> Result<Calibrated, PackError> {
        let vocabulary = self.samples.vocabulary();
        let model = Model {
            checkpoint: self.checkpoint,
            config: self.config,
            vocabulary: &vocabulary,
            lengths: self.samples.lengths(self.config),
            replaced: None,
        };
        let mut encoder = None;
        let mut last = Streams::default();
        for stack in [Stack::Encoder, Stack::Decoder] {
            let layers: Vec<Layer> = layers(self.config).into_iter().filter(|layer| layer.stack == stack).collect();
            if layers.is_empty() {
                continue;
            }
            last = self.run_stack(&model, stack, &layers, encoder.as_ref())?;
            if stack == Stack::Encoder {
                encoder = Some(last.clone());
            }
        }
        if !self.is_encoder() {
            self.head(&last)?;
        }
        Ok(Calibrated { tensors: self.tensors, streams: last })
    }

    fn is_encoder(&self) -> bool {
        self.config.architecture == attoformer::image::Architecture::Encoder
    }

    /// Runs and quantizes the layers of a stack; returns the rows after the last one.
    fn run_stack(&mut self, model: &Model<'_>, stack: Stack, layers: &[Layer], encoder: Option<&Streams>) -> Result<Streams, PackError> {
        let tokens: Vec<Vec<u32>> = self.samples.samples.iter().map(|sample| sample.tokens(stack, model.vocabulary)).collect();
        let samples = StackSamples { samples: &self.samples.samples, tuned: self.samples.tuned(), tokens: &tokens, encoder };
        let mut streams = self.input(model, stack, samples)?;
        for &layer in layers {
            self.layer(model, layer, samples, &mut streams)?;
        }
        Ok(streams)
    }

    /// Computes the rows before the first layer and quantizes the matrices of the input stem.
    fn input(&mut self, model: &Model<'_>, stack: Stack, samples: StackSamples<'_>) -> Result<Streams, PackError> {
        let image = model.input_image(stack)?;
        let runner = Runner::new(&image, Layer { stack, number: 0, is_last: false }, 0).map_err(PackError::Rejected)?;
        let (exact, statistics) =
            statistics::embed(&runner, samples, &|role| self.uses_gptq((role, None))).map_err(PackError::Calibration)?;
        for role in [Role::Conv1, Role::Conv2] {
            if self.formats.contains_key(&(role, None)) && stack == first_stack(self.config) {
                let tensor = fuse(self.checkpoint, self.config, (role, None))?;
                self.matrix((role, None), tensor, statistics.inputs.get(&role), None, None);
            }
        }
        let quantized = self.formats.keys().any(|&id| self.uses_gptq(id)).then(|| exact.clone());
        Ok(Streams { exact, quantized, outputs: Vec::new() })
    }

    /// Runs and quantizes one layer.
    fn layer(&mut self, model: &Model<'_>, layer: Layer, samples: StackSamples<'_>, streams: &mut Streams) -> Result<(), PackError> {
        let tensors = model.layer_tensors(layer)?;
        let number = layer.number_in_image(self.config);
        let statistics = {
            let exact: BTreeMap<TensorId, Prepared> =
                tensors.iter().map(|(id, tensor)| (*id, prepare(tensor.clone(), &Storage::plain(*id, Format::F32)))).collect();
            let image = model.layer_image(layer, KvType::F32, false, |id| exact.get(&id))?;
            let runner = Runner::new(&image, layer, number).map_err(PackError::Rejected)?;
            observe(&runner, samples, streams, &|role| self.uses_gptq(layer_id(role, layer))).map_err(PackError::Calibration)?
        };
        self.layer_tensors(tensors, &statistics);
        if streams.quantized.is_some() {
            let image = model.layer_image(layer, self.config.kv, has_key_offset(self.config), |id| self.tensors.get(&id))?;
            let mut runner = Runner::new(&image, layer, number).map_err(PackError::Rejected)?;
            runner.records_inputs = false;
            advance(&runner, samples, streams).map_err(PackError::Calibration)?;
        }
        Ok(())
    }

    /// Quantizes the tensors of a layer.
    fn layer_tensors(&mut self, tensors: Vec<(TensorId, FusedTensor)>, statistics: &Statistics) {
        let mut tensors: BTreeMap<TensorId, FusedTensor> = tensors.into_iter().collect();
        // A matrix comes before the one that makes its input, which takes over its factors.
        let last = |&(role, _): &TensorId| smooth::makes_input(role);
        let (later, first): (Vec<TensorId>, Vec<TensorId>) = tensors.keys().copied().partition(last);
        for id in first.into_iter().chain(later) {
            if let Some(tensor) = tensors.remove(&id) {
                self.layer_tensor(id, tensor, statistics, &mut tensors);
            }
        }
    }

    /// Quantizes a tensor of a layer and, after its matrix, the norm before it.
    fn layer_tensor(
        &mut self,
        id: TensorId,
        mut tensor: FusedTensor,
        statistics: &Statistics,
        others: &mut BTreeMap<TensorId, FusedTensor>,
    ) {
        let (role, layer) = id;
        if role.is_norm() && smooth::only_reader(self.config, role).is_some_and(|reader| self.formats.contains_key(&(reader, layer))) {
            // Its factors follow from the matrix that reads it, which comes later in the directory.
            self.insert(prepare(tensor, &Storage::plain(id, Format::F32)));
            return;
        }
        let offset = match role {
            Role::Qkv if uses_key_offset(self.config) => statistics.keys.middle(),
            Role::CrossKv if uses_key_offset(self.config) => statistics.cross_keys.middle(),
            _ => None,
        };
        if let Some(offset) = offset {
            if role == Role::Qkv && has_key_offset(self.config) {
                let id = (Role::KeyOffset, layer);
                let row = FusedTensor { rows: 1, columns: offset.len() as u32, values: offset, bias: None };
                self.tensors.insert(id, prepare(row, &Storage::plain(id, Format::F32)));
            } else {
                let first = if role == Role::Qkv { self.config.q_dim() as usize } else { 0 };
                tensor.subtract_from_bias(first, &offset);
            }
        }
        let maker = smooth::maker(self.config, role).and_then(|(maker, rows)| Some((others.get_mut(&(maker, layer))?, rows)));
        self.matrix(id, tensor, statistics.inputs.get(&role), None, maker);
    }

    /// Smooths and quantizes a matrix. The inverse factors go to the norm that only it reads or to the rows of the matrix that makes its input;
    /// otherwise the engine applies them.
    fn matrix(
        &mut self,
        id: TensorId,
        tensor: FusedTensor,
        inputs: Option<&InputStatistics>,
        hessian: Option<Hessian>,
        maker: Option<(&mut FusedTensor, MakerRows)>,
    ) {
        let format = self.formats.get(&id).copied().unwrap_or(Format::F32);
        let grid = format.grid(tensor.columns as usize);
        let (Some(grid), Some(inputs)) = (grid, inputs) else {
            self.insert(prepare(tensor, &Storage::plain(id, format)));
            return;
        };
        let norm = smooth::norm_before(self.config, id.0);
        let folds = norm.is_some() || maker.is_some();
        let product = Product { role: id.0, config: self.config, inputs: inputs.matrix(), weights: tensor.matrix(), format, grid };
        let smooth::Inputs { activations, mut factors } = product.inputs(self.options.activations, folds);
        if let (Some(factors), Some(norm)) = (&factors, norm)
            && let Some(norm) = self.tensors.get_mut(&(norm, id.1))
        {
            norm.scale_f32_columns(&factors.iter().map(|factor| 1.0 / factor).collect::<Vec<f32>>());
        }
        if let (Some(factors), Some((maker, rows))) = (&mut factors, maker) {
            rows.share(factors);
            maker.divide_rows(rows.first, &rows.of(factors));
        }
        let scaling = ColumnScaling { factors, in_scale: !folds };
        let hessian = if self.uses_gptq(id) { hessian.or_else(|| inputs.hessian.clone()) } else { None };
        self.insert(prepare(tensor, &Storage { id, format, activations, scaling, hessian }));
    }

    fn insert(&mut self, prepared: Prepared) {
        self.tensors.insert(prepared.id, prepared);
        self.progress.advance(1);
    }

    /// Whether a matrix is rounded by GPTQ: int4 always; int8 in encoders, and in layers of a model that has int4 matrices, whose errors it
    /// compensates.
    fn uses_gptq(&self, id: TensorId) -> bool {
        let has_int4 = || self.formats.values().any(|format| matches!(format, Format::Int4 { .. }));
        match self.formats.get(&id) {
            Some(Format::Int4 { .. }) => !id.0.is_always_f32(),
            Some(Format::Int8) => self.is_encoder() || id.1.is_some() && has_int4(),
            _ => false,
        }
    }

    /// Smooths and quantizes the head, whose input is the normed stream after the last layer.
    fn head(&mut self, streams: &Streams) -> Result<(), PackError> {
        let config = self.config;
        let role = if config.tied_head { Role::Embedding } else { Role::Head };
        let norm = config.final_norm.then(|| fuse(self.checkpoint, config, (Role::FinalNorm, None))).transpose()?;
        let columns = config.d_model as usize;
        let mut rows = Vec::new();
        let all = streams.exact.iter().take(self.samples.tuned()).flat_map(|rows| rows.chunks_exact(columns));
        let stride = (all.clone().count() / 1024).max(1);
        for row in all.step_by(stride) {
            rows.extend(normed(config, norm.as_ref(), row));
        }
        let hessian = self.uses_gptq((role, None)).then(|| {
            let mut builder = HessianBuilder::new(columns, streams.quantized.is_some());
            for (index, exact) in streams.exact.iter().take(self.samples.tuned()).enumerate() {
                let of = |rows: &[f32]| rows.chunks_exact(columns).flat_map(|row| normed(config, norm.as_ref(), row)).collect::<Vec<f32>>();
                let exact = of(exact);
                let quantized = streams.quantized.as_ref().map(|all| of(&all[index]));
                let matrix = |values| Matrix { columns, values };
                builder.add(matrix(quantized.as_deref().unwrap_or(&exact)), quantized.is_some().then(|| matrix(&exact[..])));
            }
            builder.finish()
        });
        if let Some(norm) = norm {
            let id = (Role::FinalNorm, None);
            self.tensors.insert(id, prepare(norm, &Storage::plain(id, Format::F32)));
        }
        let tensor = fuse(self.checkpoint, config, (role, None))?;
        let inputs = InputStatistics { columns, rows, hessian: None };
        self.matrix((role, None), tensor, Some(&inputs), hessian, None);
        Ok(())
    }
}

fn first_stack(config: &Config) -> Stack {
    layers(config).first().map_or(Stack::Decoder, |layer| layer.stack)
}

/// The identity of a tensor that a layer's run observes.
fn layer_id(role: Role, layer: Layer) -> TensorId {
    let outside = matches!(role, Role::Pooler | Role::Classifier);
    (role, (!outside).then_some(layer.number))
}

/// A row after the final norm.
fn normed(config: &Config, norm: Option<&FusedTensor>, row: &[f32]) -> Vec<f32> {
    let Some(norm) = norm else { return row.to_vec() };
    let mut out = vec![0.0; row.len()];
    match config.norm {
        NormKind::Layer => {
            let (scale, bias) = norm.values.split_at(row.len());
            numeric::layer_norm(row, scale, bias, config.norm_eps, &mut out);
        }
        _ => numeric::rms_norm(row, &norm.values, config.norm_eps, &mut out),
    }
    out
}
