//! Images of a single layer, so that a model runs layer by layer: only one layer's f32 weights are in memory at a time.
//!
//! A layer image has a vocabulary of one token that means nothing: the rows that enter the layer are written by a probe. An image of a decoder
//! layer with cross-attention has an encoder layer of zeros before it, whose output the probe replaces by the encoder's rows.

use attoformer::image::{
    Architecture, AttentionKind, Classifier, Config, InputStem, KvType, MaskKind, Pooler, Pooling, PositionKind, Role, section,
};
use attoformer::internals::format::shape_of;
use attoformer::{Plan, arena_bytes};

use super::super::error::PackError;
use super::super::fuse::{FusedTensor, fuse};
use super::super::golden::GoldenInput;
use super::super::layout::Target;
use super::super::prepare::{Prepared, Storage, prepare};
use super::super::sections;
use super::super::tensor_id::{TensorId, tensor_ids};
use super::super::weights;
use super::super::writer::ImageWriter;
use crate::files::AlignedBytes;
use crate::import::Checkpoint;
use crate::quantize::Format;

/// A stack of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// The layers of an encoder, or of an encoder-decoder's encoder.
    Encoder,
    /// The layers of a decoder, or of an encoder-decoder's decoder.
    Decoder,
}

/// One layer of a stack.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    /// Its stack.
    pub stack: Stack,
    /// Its number in the directory, which counts an encoder-decoder's encoder layers first.
    pub number: u32,
    /// Whether it is the last of its stack.
    pub is_last: bool,
}

impl Layer {
    /// The number of the layer in its image.
    pub fn number_in_image(self, model: &Config) -> u32 {
        u32::from(self.stack == Stack::Decoder && model.has_cross())
    }
}

/// All layers of a model in the order in which they run.
pub fn layers(config: &Config) -> Vec<Layer> {
    let encoder = match config.architecture {
        Architecture::Encoder => config.layers,
        Architecture::EncoderDecoder => config.encoder_layers,
        _ => 0,
    };
    let of = |number: u32| {
        let stack = if number < encoder { Stack::Encoder } else { Stack::Decoder };
        Layer { stack, number, is_last: number + 1 == encoder || number + 1 == config.all_layers() }
    };
    (0..config.all_layers()).map(of).collect()
}

/// A model whose layers are run one at a time. Its config has a context of the longest sample.
#[derive(Clone, Copy)]
pub struct Model<'c> {
    /// The trained model.
    pub checkpoint: &'c Checkpoint,
    /// Its shape, with the KV cache of the image to be packed.
    pub config: &'c Config,
    /// Tokens of the samples in ascending order: the vocabulary of the images.
    pub vocabulary: &'c [u32],
    /// Longest sequence of a decoder, and of an encoder.
    pub lengths: Lengths,
    /// A table that takes the place of the model's own, in full.
    pub replaced: Option<(Role, &'c FusedTensor)>,
}

/// Rows of the longest sample.
#[derive(Clone, Copy, Debug)]
pub struct Lengths {
    /// Tokens of a decoder.
    pub decoder: u32,
    /// Rows of an encoder, after its input stem.
    pub encoder: u32,
}

impl Model<'_> {
    /// The shape of the image of one layer.
    fn layer_config(&self, layer: Layer, kv: KvType, key_offset: bool) -> Config {
        let model = self.config;
        let positions = if model.positions == PositionKind::LearnedAbsolute { PositionKind::None } else { model.positions };
        let vocab = if model.layer_width() > 0 { self.vocabulary.len() as u32 } else { 1 };
        let kv = if model.attention == AttentionKind::Linear { KvType::F32 } else { kv };
        let plain = attoformer::config! {
            layers: 1, vocab, kv, positions, key_offset, tied_head: true, embedding_norm: false, bos: 0, eos: 0,
            input_stem: InputStem::Tokens, features: 0, class_token: false, ..*model
        };
        let is_model_encoder = model.architecture == Architecture::Encoder;
        match layer.stack {
            Stack::Encoder if layer.is_last && is_model_encoder => {
                attoformer::config! { tied_head: false, context: self.lengths.encoder, ..plain }
            }
            Stack::Encoder => attoformer::config! {
                architecture: Architecture::Encoder, tied_head: false, context: self.lengths.encoder, encoder_layers: 0, encoder_context: 0,
                mask: if is_model_encoder { model.mask } else { MaskKind::Bidirectional }, window: if is_model_encoder { model.window } else { None },
                final_norm: false, classifier: Classifier::None, labels: 0, pooler: Pooler::None, pooling: Pooling::First, l2_normalize: false, ..plain
            },
            Stack::Decoder if model.has_cross() => attoformer::config! {
                encoder_layers: 1, encoder_context: self.lengths.encoder, context: self.lengths.decoder, ..plain
            },
            Stack::Decoder => attoformer::config! { context: self.lengths.decoder, final_norm: false, ..plain },
        }
    }

    /// The tensor of the model that has this place in a layer's image; `None` for one that is zeros.
    fn source(&self, layer: Layer, (role, in_image): TensorId) -> Option<TensorId> {
        let is_dummy = in_image.is_some_and(|number| number != layer.number_in_image(self.config));
        let in_encoder_of_seq2seq = self.config.has_cross() && layer.stack == Stack::Encoder;
        match role {
            _ if is_dummy => None,
            Role::Embedding => None,
            Role::FinalNorm | Role::EncoderScoreBias if self.config.has_cross() => None,
            Role::ScoreBias if in_encoder_of_seq2seq => Some((Role::EncoderScoreBias, None)),
            _ => Some((role, in_image.map(|_| layer.number))),
        }
    }

    /// The f32 tensors of a layer's image that are the model's own, by their identity in the model.
    pub fn layer_tensors(&self, layer: Layer) -> Result<Vec<(TensorId, FusedTensor)>, PackError> {
        let config = self.layer_config(layer, KvType::F32, false);
        let sources = tensor_ids(&config).into_iter().filter_map(|id| self.source(layer, id));
        sources.map(|id| Ok((id, self.fused(id)?))).collect()
    }

    /// A tensor of the model, of whose token tables only the rows of the samples' tokens.
    fn fused(&self, (role, layer): TensorId) -> Result<FusedTensor, PackError> {
        let tensor = match self.replaced {
            Some((replaced, tensor)) if replaced == role => tensor.clone(),
            _ => fuse(self.checkpoint, self.config, (role, layer))?,
        };
        Ok(if matches!(role, Role::Embedding | Role::LayerTable) { tensor.with_rows(self.vocabulary) } else { tensor })
    }

    /// The image of one layer. `prepare` gives each of its tensors by its identity in the model; all others are zeros.
    pub fn layer_image<'p>(
        &self,
        layer: Layer,
        kv: KvType,
        key_offset: bool,
        prepared: impl Fn(TensorId) -> Option<&'p Prepared>,
    ) -> Result<AlignedBytes, PackError> {
        let config = self.layer_config(layer, kv, key_offset);
        let tensors = tensor_ids(&config).into_iter().map(|id| {
            let found = self.source(layer, id).and_then(&prepared);
            found.map_or_else(|| zeros(&config, id), |found| Prepared { id, ..found.clone() })
        });
        self.image(&config, tensors.collect())
    }

    /// The image whose output [`Part::Embedded`](attoformer::probe::Part::Embedded) is the input of a stack: the model's own input layers before
    /// a layer of zeros.
    pub fn input_image(&self, stack: Stack) -> Result<AlignedBytes, PackError> {
        let layer = Layer { stack, number: 0, is_last: false };
        let model = self.config;
        let positions = if model.positions == PositionKind::LearnedAbsolute { PositionKind::LearnedAbsolute } else { PositionKind::None };
        let plain = attoformer::config! {
            positions, buckets: 0, partial_rotary_dim: None, embedding_norm: model.embedding_norm, layer_dim: None,
            ..self.layer_config(layer, KvType::F32, false)
        };
        let tokens = self.vocabulary.len() as u32;
        let config = match stack {
            Stack::Encoder => attoformer::config! {
                vocab: if model.input_stem == InputStem::Tokens { tokens } else { 0 }, input_stem: model.input_stem, features: model.features,
                class_token: model.class_token, ..plain
            },
            Stack::Decoder => attoformer::config! {
                architecture: Architecture::Decoder, vocab: tokens, encoder_layers: 0, encoder_context: 0, final_norm: false, ..plain
            },
        };
        let tensors = tensor_ids(&config).into_iter().map(|(role, in_image)| {
            let role_in_model =
                if role == Role::Positions && stack == Stack::Encoder && model.has_cross() { Role::EncoderPositions } else { role };
            if in_image.is_some() || matches!(role, Role::FinalNorm | Role::EncoderNorm) {
                return Ok(zeros(&config, (role, in_image)));
            }
            let mut tensor = self.fused((role_in_model, None))?;
            tensor.truncate_rows(shape_of(&config, role).0);
            Ok(prepare(tensor, &Storage::plain((role, None), Format::F32)))
        });
        self.image(&config, tensors.collect::<Result<_, PackError>>()?)
    }

    fn image(&self, config: &Config, tensors: Vec<Prepared>) -> Result<AlignedBytes, PackError> {
        let mut image = ImageWriter::new(config)?;
        let mut stored = Ok(Vec::new());
        image.section(section::WEIGHTS, |out| stored = weights::write(tensors.into_iter().map(Ok), Target::Portable, out));
        let stored = stored?;
        image.section(section::DIRECTORY, |out| stored.iter().for_each(|tensor| tensor.put_entry(out)));
        if config.positions == PositionKind::Rotary {
            image.section(section::ROTARY, |out| sections::rotary(&self.checkpoint.rotary, out));
        }
        image.section(section::GOLDEN, |out| GoldenInput::new(config).put(out));
        let image = image.finish(arena_bytes(config, Plan::packed(config)), stored.len() as u32)?;
        Ok(image.into())
    }
}

/// A tensor of zeros.
fn zeros(config: &Config, id: TensorId) -> Prepared {
    let (rows, columns) = shape_of(config, id.0);
    let values = vec![0.0; rows as usize * columns as usize];
    prepare(FusedTensor { rows, columns, values, bias: None }, &Storage::plain(id, Format::F32))
}
