//! A trained model, whatever file format it comes from.

use std::borrow::Cow;
use std::path::PathBuf;

use attoformer::frontend::pictures::Pictures;
use attoformer::image::Config;

use super::preprocess::audio::AudioFrontend;
use super::tensor_data::TensorData;
use super::tokenizer::model::Tokenizer;

/// A trained model. Its weights are f32, decoded from its file whenever they are read.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Name of the model, from its file.
    pub name: String,
    /// The file it was read from.
    pub path: PathBuf,
    /// SHA-256 of that file.
    pub sha256: [u8; 32],
    /// Shape of the model, with the trained context and an f32 KV cache; a packer may reduce both.
    pub config: Config,
    /// RoPE: radians per token of each rotary pair, for models with rotary positions. [`super::rope::rotary_frequencies`] computes the usual ones.
    pub rotary: Vec<f64>,
    /// All tensors; [`Checkpoint::tensor`] finds one.
    pub tensors: Vec<Tensor>,
    /// The tokenizer, where one was found.
    pub tokenizer: Option<Tokenizer>,
    /// Labels of a classifier; empty without one.
    pub labels: Vec<String>,
    /// Chat template of the model's publisher.
    pub chat_template: Option<String>,
    /// Audio front end, for models that read audio.
    pub audio: Option<AudioFrontend>,
    /// Picture front end, for models that read pictures.
    pub pictures: Option<Pictures>,
    /// Start of a transcript or translation, for models that generate one.
    pub generation_config: Option<GenerationConfig>,
}

/// Tokens that a decoder starts from, and tokens that it may not generate (`generation_config.json`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenerationConfig {
    /// Tokens that are fed first.
    pub prompt: Vec<u32>,
    /// Tokens that are never generated.
    pub suppress_tokens: Vec<u32>,
    /// Tokens that are not generated first.
    pub begin_suppress_tokens: Vec<u32>,
    /// Language tokens of a multilingual model.
    pub languages: Vec<u32>,
    /// Token that asks for a transcript; 0 for none.
    pub transcribe: u32,
    /// Token that asks for a translation into English; 0 for none.
    pub translate: u32,
    /// Token that asks for no timestamps; 0 for none. All tokens after it are timestamps.
    pub no_timestamps: u32,
    /// Latest timestamp that a window may begin with, counted from 0 s.
    pub max_initial_timestamp: u32,
}

/// Role of a tensor in the checkpoint. Projections are separate here; an image stores some of them fused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceRole {
    /// Token embedding table, `(vocab, d_model)`.
    Embedding,
    /// Learned position table, `(context, d_model)`.
    Positions,
    /// Norm of the self-attention: scale, and bias of a layer norm, `(1 or 2, d_model)`.
    AttnNorm,
    /// Query projection, `(q_dim, d_model)`; rotary pairs are interleaved.
    Query,
    /// Key projection, `(kv_dim, d_model)`; rotary pairs are interleaved. Fewer key than query heads are grouped-query attention.
    Key,
    /// Value projection, `(kv_dim, d_model)`.
    Value,
    /// Output projection of the attention, `(d_model, q_dim)`.
    AttnOut,
    /// Norm of the MLP, `(1 or 2, d_model)`.
    MlpNorm,
    /// Gate projection of a gated MLP (SwiGLU, GeGLU), `(d_hidden, d_model)`.
    Gate,
    /// First projection of the MLP, `(d_hidden, d_model)`.
    Up,
    /// Second projection of the MLP, `(d_model, d_hidden)`.
    Down,
    /// Norm before the head, `(1 or 2, d_model)`.
    FinalNorm,
    /// Output head (LM head), `(vocab, d_model)`; absent with tied embeddings.
    Head,
    /// Norm between the embedding and the first block, `(1 or 2, d_model)`.
    EmbeddingNorm,
    /// Norm of each query head, `(1 or 2, head_dim)`.
    QueryNorm,
    /// Norm of each key head, `(1 or 2, head_dim)`.
    KeyNorm,
    /// Norm after the attention (sandwich norm), `(1 or 2, d_model)`.
    AttnPostNorm,
    /// Norm after the MLP (sandwich norm), `(1 or 2, d_model)`.
    MlpPostNorm,
    /// Norm of the cross-attention, `(1 or 2, d_model)`.
    CrossNorm,
    /// Query projection of the cross-attention, `(q_dim, d_model)`.
    CrossQuery,
    /// Key projection of the cross-attention, applied to encoder rows, `(kv_dim, d_model)`.
    CrossKey,
    /// Value projection of the cross-attention, applied to encoder rows, `(kv_dim, d_model)`.
    CrossValue,
    /// Output projection of the cross-attention, `(d_model, q_dim)`.
    CrossOut,
    /// A layer's own token table (per-layer embeddings), `(vocab, layer_dim)`.
    LayerTable,
    /// Gate of the per-layer embeddings, `(layer_dim, d_model)`.
    LayerGate,
    /// Projection of the gated per-layer embeddings, `(d_model, layer_dim)`.
    LayerProject,
    /// Norm of the projected per-layer embeddings, `(1 or 2, d_model)`.
    LayerNorm,
    /// Patch embedding `(d_model, features)`, or first convolution `(d_model, 3 * features)`: column `tap * features + channel`.
    Conv1,
    /// Second convolution, `(d_model, 3 * d_model)`: column `tap * d_model + channel`.
    Conv2,
    /// Class token: a learned row before the patches, `(1, d_model)`.
    ClassToken,
    /// Position table of an encoder-decoder's encoder, `(encoder_context, d_model)`.
    EncoderPositions,
    /// Norm after an encoder-decoder's encoder, `(1 or 2, d_model)`.
    EncoderNorm,
    /// ALiBi slopes `(heads, 1)`, or T5 relative biases `(heads, buckets)`.
    ScoreBias,
    /// Slopes or biases of an encoder-decoder's encoder, shaped like [`SourceRole::ScoreBias`].
    EncoderScoreBias,
    /// Dense layer before the classifier, `(d_model, d_model)`.
    Pooler,
    /// Classifier, `(labels, d_model)`.
    Classifier,
    /// Offset of the self-attention's keys, `(1, kv_dim)`. No checkpoint has it: the packer measures it.
    KeyOffset,
}

/// One tensor of a checkpoint.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Its role.
    pub role: SourceRole,
    /// Its layer; `None` outside the layers.
    pub layer: Option<u32>,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    /// Values, row-major.
    pub data: TensorData,
    /// One bias per row, for layers with biases.
    pub bias: Option<Vec<f32>>,
}

impl Tensor {
    /// All values, row-major.
    pub fn values(&self) -> Cow<'_, [f32]> {
        self.data.read()
    }
}

impl Checkpoint {
    /// A model without a tokenizer, labels, rotary positions and front ends, from the file `name.bin`.
    pub fn new(name: &str, config: Config, tensors: Vec<Tensor>) -> Self {
        Checkpoint {
            name: name.to_owned(),
            path: PathBuf::from(format!("{name}.bin")),
            sha256: [0; 32],
            config,
            rotary: Vec::new(),
            tensors,
            tokenizer: None,
            labels: Vec::new(),
            chat_template: None,
            audio: None,
            pictures: None,
            generation_config: None,
        }
    }

    /// The tensor with this role in this layer.
    pub fn tensor(&self, role: SourceRole, layer: Option<u32>) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.role == role && tensor.layer == layer)
    }

    /// Number of parameters.
    pub fn parameters(&self) -> u64 {
        self.tensors.iter().map(|tensor| (tensor.data.len() + tensor.bias.as_ref().map_or(0, Vec::len)) as u64).sum()
    }
}
