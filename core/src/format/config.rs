//! The shape of a model, and the sizes that follow from it.

use super::types::{
    Activation, Architecture, AttentionKind, Classifier, InputStem, KvType, MaskKind, NormKind, NormPlacement, Pooler, Pooling,
    PositionKind,
};

/// The shape of a model, as the header states it. All sizes are in elements.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// The stacks of the model.
    pub architecture: Architecture,
    /// Normalization of rows.
    pub norm: NormKind,
    /// Where a block normalizes.
    pub placement: NormPlacement,
    /// The MLP's activation function.
    pub activation: Activation,
    /// Whether the MLP multiplies an activated gate with a second projection (Shazeer 2020).
    pub gated: bool,
    /// How positions are encoded.
    pub positions: PositionKind,
    /// Attention mask.
    pub mask: MaskKind,
    /// Element type of the KV cache.
    pub kv: KvType,
    /// Width of the residual stream.
    pub d_model: u32,
    /// Width of the MLP.
    pub d_hidden: u32,
    /// Layers; those of the decoder for an [`Architecture::EncoderDecoder`].
    pub layers: u32,
    /// Query heads.
    pub heads: u32,
    /// Key/value heads; divides `heads`. Fewer than `heads` is grouped-query attention (Ainslie et al. 2023), one is multi-query attention
    /// (Shazeer 2019).
    pub kv_heads: u32,
    /// Width of a head.
    pub head_dim: u32,
    /// Tokens in the vocabulary; 0 for a model without tokens.
    pub vocab: u32,
    /// Longest sequence, tokens.
    pub context: u32,
    /// Tokens that a query attends to under [`MaskKind::Window`], or on either side of it under [`MaskKind::Local`].
    pub window: Option<u32>,
    /// Added to the variance before the square root.
    pub norm_eps: f32,
    /// Whether the output head is the embedding table (tied embeddings).
    pub tied_head: bool,
    /// Whether a norm precedes the head, or the pooling.
    pub final_norm: bool,
    /// Whether a norm follows the embedding.
    pub embedding_norm: bool,
    /// How an encoder's rows become one embedding.
    pub pooling: Pooling,
    /// Whether the pooled embedding is scaled to an L2 norm of 1.
    pub l2_normalize: bool,
    /// BOS: the token that begins a text.
    pub bos: u32,
    /// EOS: the token that ends a text.
    pub eos: u32,
    /// How queries, keys and values are combined.
    pub attention: AttentionKind,
    /// Whether each head's query and key is normalized before rotary positions are applied (Henry et al. 2020).
    pub qk_norm: bool,
    /// Whether the image stores an offset for the keys of each layer ([`Role::KeyOffset`](super::Role::KeyOffset)), which is subtracted
    /// before the int8 KV cache rounds them. Attention stays the same, since softmax ignores what all scores of a query have in common.
    pub key_offset: bool,
    /// Whether attention and MLP read the same rows, and both are added: `x + attention(norm(x)) + mlp(norm(x))` (Wang and Komatsuzaki 2021).
    pub parallel: bool,
    /// The unit that the classifier labels.
    pub classifier: Classifier,
    /// Activation function of a dense layer before the classifier.
    pub pooler: Pooler,
    /// The layers that produce the rows of the first block of a decoder or encoder, or of an encoder-decoder's encoder.
    pub input_stem: InputStem,
    /// Whether a learned row precedes the patches.
    pub class_token: bool,
    /// Outputs of the classifier.
    pub labels: u32,
    /// Layers of an encoder-decoder's encoder.
    pub encoder_layers: u32,
    /// Columns of an input row, for an input stem that reads features; 0 for tokens.
    pub features: u32,
    /// Longest sequence of an encoder-decoder's encoder, rows after the input stem.
    pub encoder_context: u32,
    /// Factor of the products of queries and keys; `1 / sqrt(head_dim)` unless stated.
    pub score_scale: Option<f32>,
    /// Factor of token rows; 1 unless stated.
    pub embedding_scale: Option<f32>,
    /// Leading dimensions of a head that rotary positions rotate; all unless stated.
    pub partial_rotary_dim: Option<u32>,
    /// Ranges of distances under [`PositionKind::T5Relative`].
    pub buckets: u32,
    /// Tokens at the start with global attention under [`MaskKind::Local`].
    pub globals: u32,
    /// Width of a token's row in each layer's own table (per-layer embeddings).
    pub layer_dim: Option<u32>,
}

/// Builds a [`Config`](crate::image::Config) from another one: `config! { layers: 2, heads, ..Config::DECODER }`. Fields that are not named keep
/// the other's values.
#[macro_export]
macro_rules! config {
    ($($field:ident $(: $value:expr)?,)* ..$base:expr $(,)?) => {{
        #[allow(unused_mut)]
        let mut config: $crate::image::Config = $base;
        $($crate::config!(@set config $field $($value)?);)*
        config
    }};
    (@set $config:ident $field:ident $value:expr) => {
        $config.$field = $value
    };
    (@set $config:ident $field:ident) => {
        $config.$field = $field
    };
}

impl Config {
    /// A decoder of the Llama family whose sizes are 0: a start for a config whose fields the caller sets.
    pub const DECODER: Config = Config {
        architecture: Architecture::Decoder,
        norm: NormKind::Rms,
        placement: NormPlacement::Pre,
        activation: Activation::Silu,
        gated: true,
        positions: PositionKind::Rotary,
        mask: MaskKind::Causal,
        kv: KvType::F32,
        d_model: 0,
        d_hidden: 0,
        layers: 0,
        heads: 0,
        kv_heads: 0,
        head_dim: 0,
        vocab: 0,
        context: 0,
        window: None,
        norm_eps: 1e-5,
        tied_head: false,
        final_norm: true,
        embedding_norm: false,
        pooling: Pooling::None,
        l2_normalize: false,
        bos: 0,
        eos: 0,
        attention: AttentionKind::Softmax,
        qk_norm: false,
        key_offset: false,
        parallel: false,
        classifier: Classifier::None,
        pooler: Pooler::None,
        input_stem: InputStem::Tokens,
        class_token: false,
        labels: 0,
        encoder_layers: 0,
        features: 0,
        encoder_context: 0,
        score_scale: None,
        embedding_scale: None,
        partial_rotary_dim: None,
        buckets: 0,
        globals: 0,
        layer_dim: None,
    };

    /// Whether the decoder has cross-attention to an encoder.
    #[must_use]
    pub const fn has_cross(&self) -> bool {
        matches!(self.architecture, Architecture::EncoderDecoder)
    }

    /// Whether the model reads tokens: all but encoders of features do.
    #[must_use]
    pub const fn has_embedding(&self) -> bool {
        matches!(self.input_stem, InputStem::Tokens) || self.has_cross()
    }

    /// Whether the image stores an output head, apart from the embedding table.
    #[must_use]
    pub const fn has_head(&self) -> bool {
        !matches!(self.architecture, Architecture::Encoder) && !self.tied_head
    }

    /// Whether one of the stacks is bidirectional.
    #[must_use]
    pub const fn has_encoder(&self) -> bool {
        !matches!(self.architecture, Architecture::Decoder)
    }

    /// Layers of all stacks.
    #[must_use]
    pub const fn all_layers(&self) -> u32 {
        self.layers + self.encoder_layers
    }

    /// Number of output values: a decoder's logits, an encoder's embedding, or a classifier's labels for the sequence or for each of its `context`
    /// rows.
    #[must_use]
    pub const fn output_dim(&self, context: u32) -> u64 {
        match (self.architecture, self.classifier) {
            (Architecture::Decoder | Architecture::EncoderDecoder, _) => self.vocab as u64,
            (Architecture::Encoder, Classifier::None) => self.d_model as u64,
            (Architecture::Encoder, Classifier::Sequence) => self.labels as u64,
            (Architecture::Encoder, Classifier::Tokens) => self.labels as u64 * context as u64,
        }
    }

    /// Factor of the products of queries and keys, times `unit`.
    #[must_use]
    pub fn score_factor(&self, unit: f32) -> f32 {
        match self.score_scale {
            Some(scale) => unit * scale,
            None => unit / crate::numeric::sqrt(self.head_dim as f32),
        }
    }

    /// Dimensions of a head that rotate under [`PositionKind::Rotary`].
    #[must_use]
    pub const fn rotary_dim(&self) -> u32 {
        match self.partial_rotary_dim {
            Some(dim) => dim,
            None => self.head_dim,
        }
    }

    /// Width of a row of per-layer embeddings; 0 without them.
    #[must_use]
    pub const fn layer_width(&self) -> u32 {
        match self.layer_dim {
            Some(dim) => dim,
            None => 0,
        }
    }

    /// Width of all query heads together.
    #[must_use]
    pub const fn q_dim(&self) -> u32 {
        self.heads * self.head_dim
    }

    /// Width of all key (or value) heads together.
    #[must_use]
    pub const fn kv_dim(&self) -> u32 {
        self.kv_heads * self.head_dim
    }

    /// Rows of the fused query, key and value matrix.
    #[must_use]
    pub const fn qkv_dim(&self) -> u32 {
        self.q_dim() + 2 * self.kv_dim()
    }

    /// Rows of the MLP's first matrix: gate and up rows of a gated MLP, else up rows.
    #[must_use]
    pub const fn mlp_up_dim(&self) -> u32 {
        if self.gated { 2 * self.d_hidden } else { self.d_hidden }
    }
}
