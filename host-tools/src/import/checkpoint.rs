//! A trained model in memory, whatever file format it came from.

use std::path::PathBuf;

use attoformer::frontend::pictures::Pictures;
use attoformer::image::Config;

use super::preprocess::audio::AudioFrontend;
use super::tokenizer::model::Tokenizer;

/// A trained model in memory, whatever file it came from. All weights are f32.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The model's name, from its file.
    pub name: String,
    /// The file it was read from.
    pub path: PathBuf,
    /// SHA-256 of that file.
    pub sha256: [u8; 32],
    /// Shape, with the trained context and f32 keys and values: what a packer may narrow.
    pub config: Config,
    /// What one token adds to each rotary pair, in radians, for models with rotary positions; [`super::rope::rotary_frequencies`] makes the usual ones.
    pub rotary: Vec<f64>,
    /// All tensors; [`Checkpoint::tensor`] finds one.
    pub tensors: Vec<Tensor>,
    /// The tokenizer, where one was found.
    pub tokenizer: Option<Tokenizer>,
    /// Names of a classifier's labels; empty where it has none.
    pub labels: Vec<String>,
    /// The chat template, as the model's publisher wrote it.
    pub chat_template: Option<String>,
    /// How sound becomes rows of features, for models that read it.
    pub audio: Option<AudioFrontend>,
    /// How a picture becomes rows of features, for models that read it.
    pub pictures: Option<Pictures>,
    /// How a transcript begins, for models that write one.
    pub generation_config: Option<GenerationConfig>,
}

/// Tokens that a decoder starts from, and tokens that it may not choose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenerationConfig {
    /// Fed first.
    pub prompt: Vec<u32>,
    /// Never chosen.
    pub suppress_tokens: Vec<u32>,
    /// Not chosen as the first token.
    pub begin_suppress_tokens: Vec<u32>,
    /// A token for each language, where there are several.
    pub languages: Vec<u32>,
    /// The token that asks for a transcript; 0 where none does.
    pub transcribe: u32,
    /// The token that asks for a translation into English; 0 where none does.
    pub translate: u32,
    /// The token that asks for no timestamps, which are all tokens behind it; 0 where none does.
    pub no_timestamps: u32,
    /// The latest timestamp that a window may begin with, counted from 0 s.
    pub max_initial_timestamp: u32,
}

/// What a source's tensor is for. Projections are apart here; an image stores some of them fused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceRole {
    /// Token embedding, `(vocab, d_model)`.
    Embedding,
    /// Learned positions, `(context, d_model)`.
    Positions,
    /// Norm of the attention: scale, and bias for layer norm, `(1 or 2, d_model)`.
    AttnNorm,
    /// Query projection, `(q_dim, d_model)`; rotary dimensions are neighbour pairs.
    Query,
    /// Key projection, `(kv_dim, d_model)`; rotary dimensions are neighbour pairs.
    Key,
    /// Value projection, `(kv_dim, d_model)`.
    Value,
    /// Output projection of the attention, `(d_model, q_dim)`.
    AttnOut,
    /// Norm of the MLP, `(1 or 2, d_model)`.
    MlpNorm,
    /// Gate projection of a gated MLP, `(d_hidden, d_model)`.
    Gate,
    /// First projection of the MLP, `(d_hidden, d_model)`.
    Up,
    /// Second projection of the MLP, `(d_model, d_hidden)`.
    Down,
    /// Norm before the head, `(1 or 2, d_model)`.
    FinalNorm,
    /// Output head, `(vocab, d_model)`; absent when tied to the embedding.
    Head,
    /// Norm between the embedding and the first block, `(1 or 2, d_model)`.
    EmbeddingNorm,
    /// Norm of each query head, `(1 or 2, head_dim)`.
    QueryNorm,
    /// Norm of each key head, `(1 or 2, head_dim)`.
    KeyNorm,
    /// Norm behind the attention (sandwich), `(1 or 2, d_model)`.
    AttnPostNorm,
    /// Norm behind the MLP (sandwich), `(1 or 2, d_model)`.
    MlpPostNorm,
    /// Norm of the attention to the encoder's rows, `(1 or 2, d_model)`.
    CrossNorm,
    /// Its query projection, `(q_dim, d_model)`.
    CrossQuery,
    /// Its key projection of the encoder's rows, `(kv_dim, d_model)`.
    CrossKey,
    /// Its value projection of the encoder's rows, `(kv_dim, d_model)`.
    CrossValue,
    /// Its output projection, `(d_model, q_dim)`.
    CrossOut,
    /// A layer's own token table, `(vocab, layer_dim)`.
    LayerTable,
    /// Gate of its rows, `(layer_dim, d_model)`.
    LayerGate,
    /// Projection of the gated rows, `(d_model, layer_dim)`.
    LayerProject,
    /// Norm of what the table adds, `(1 or 2, d_model)`.
    LayerNorm,
    /// Patch projection `(d_model, features)`, or first convolution `(d_model, 3 * features)`: column `tap * features + channel`.
    Conv1,
    /// Second convolution, `(d_model, 3 * d_model)`: column `tap * d_model + channel`.
    Conv2,
    /// Row before the patches, `(1, d_model)`.
    ClassToken,
    /// Positions of an encoder-decoder's encoder, `(encoder_context, d_model)`.
    EncoderPositions,
    /// Norm behind an encoder-decoder's encoder, `(1 or 2, d_model)`.
    EncoderNorm,
    /// ALiBi's slopes `(heads, 1)`, or addends of T5's buckets `(heads, buckets)`.
    ScoreBias,
    /// The same of an encoder-decoder's encoder.
    EncoderScoreBias,
    /// Dense layer before the classifier, `(d_model, d_model)`.
    Pooler,
    /// Labels, `(labels, d_model)`.
    Classifier,
}

/// One tensor of a source.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// What it is for.
    pub role: SourceRole,
    /// Its layer, where it has one.
    pub layer: Option<u32>,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    /// Values, row after row.
    pub values: Vec<f32>,
    /// One addend per row, where the layer has them.
    pub bias: Option<Vec<f32>>,
}

impl Checkpoint {
    /// A tensor by part and layer.
    pub fn tensor(&self, role: SourceRole, layer: Option<u32>) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.role == role && tensor.layer == layer)
    }

    /// Number of trained values.
    pub fn parameters(&self) -> u64 {
        self.tensors.iter().map(|tensor| (tensor.values.len() + tensor.bias.as_ref().map_or(0, Vec::len)) as u64).sum()
    }
}
