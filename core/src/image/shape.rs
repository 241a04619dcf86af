//! What follows from the header's fields, and what they must agree on.

use super::header::*;
use crate::error::Error;

macro_rules! field {
    ($name:literal, $value:expr) => {
        return Err(Error::Field { name: $name, value: $value as u32 })
    };
}

impl Config {
    /// A small decoder of the Llama family, whose sizes are the caller's to set.
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
        window: 0,
        norm_eps: 1e-5,
        tied_head: false,
        final_norm: true,
        embedding_norm: false,
        pooling: Pooling::None,
        normalized: false,
        begin: 0,
        end: 0,
        attention: AttentionKind::Softmax,
        qk_norm: false,
        parallel: false,
        classifier: Classifier::None,
        pooler: Pooler::None,
        front: Front::Tokens,
        class_token: false,
        labels: 0,
        encoder_layers: 0,
        features: 0,
        encoder_context: 0,
        score_scale: 0.0,
        embedding_scale: 0.0,
        rotary_dim: 0,
        buckets: 0,
        globals: 0,
        layer_dim: 0,
    };

    /// Ranges and agreements between fields. The limits keep every size in the arena plan below 2^63.
    pub(super) const fn checked(self) -> Result<Config, Error> {
        if self.d_model == 0 || self.d_model > WIDTH_MAX {
            field!("d_model", self.d_model)
        }
        if self.d_hidden == 0 || self.d_hidden > WIDTH_MAX {
            field!("d_hidden", self.d_hidden)
        }
        if self.layers == 0 || self.layers > 1024 {
            field!("layers", self.layers)
        }
        if self.heads == 0 || self.heads > 1024 {
            field!("heads", self.heads)
        }
        if self.kv_heads == 0 || !self.heads.is_multiple_of(self.kv_heads) {
            field!("kv_heads", self.kv_heads)
        }
        if self.head_dim == 0 || self.head_dim > HEAD_DIM_MAX {
            field!("head_dim", self.head_dim)
        }
        if self.context == 0 || self.context > 1 << 20 {
            field!("context", self.context)
        }
        // Bits instead of is_finite: a NaN or a negative value has larger bits than any positive finite number.
        if self.norm_eps.to_bits() >= f32::INFINITY.to_bits() {
            field!("norm_eps", self.norm_eps.to_bits())
        }
        if self.score_scale.to_bits() >= f32::INFINITY.to_bits() {
            field!("score_scale", self.score_scale.to_bits())
        }
        if self.embedding_scale.to_bits() >= f32::INFINITY.to_bits() {
            field!("embedding_scale", self.embedding_scale.to_bits())
        }
        match self.tokens_agree() {
            Ok(config) => match config.positions_agree() {
                Ok(config) => config.wired(),
                error => error,
            },
            error => error,
        }
    }

    /// Tokens, or rows of features, come in; a model may have both.
    const fn tokens_agree(self) -> Result<Config, Error> {
        if self.vocab > 1 << 24 || (self.vocab != 0) != self.has_embedding() {
            field!("vocab", self.vocab)
        }
        if self.begin >= self.vocab && self.begin != 0 {
            field!("begin", self.begin)
        }
        if self.end >= self.vocab && self.end != 0 {
            field!("end", self.end)
        }
        let features = !matches!(self.front, Front::Tokens);
        if (self.features != 0) != features || self.features as u64 * 3 > WIDTH_MAX as u64 {
            field!("features", self.features)
        }
        if features && matches!(self.architecture, Architecture::Decoder) {
            field!("front", self.front)
        }
        if self.class_token && !matches!((self.front, self.architecture), (Front::Patches, Architecture::Encoder)) {
            field!("class_token", self.class_token)
        }
        if self.layer_dim != 0 && !(self.has_embedding() && matches!(self.architecture, Architecture::Decoder)) {
            field!("layer_dim", self.layer_dim)
        }
        Ok(self)
    }

    /// Positions fit the heads, and masks their sizes.
    const fn positions_agree(self) -> Result<Config, Error> {
        let rotary = matches!(self.positions, PositionKind::Rotary);
        if self.rotary_dim > self.head_dim || (self.rotary_dim != 0 && !rotary) {
            field!("rotary_dim", self.rotary_dim)
        }
        if rotary && !self.turning_dim().is_multiple_of(2) {
            field!("head_dim", self.head_dim)
        }
        if (self.buckets != 0) != matches!(self.positions, PositionKind::Buckets) || self.buckets > 1024 || !self.buckets.is_multiple_of(4)
        {
            field!("buckets", self.buckets)
        }
        let windowed = matches!(self.mask, MaskKind::Window | MaskKind::Local);
        if windowed && self.window == 0 {
            field!("window", self.window)
        }
        if self.globals != 0 && !matches!(self.mask, MaskKind::Local) {
            field!("globals", self.globals)
        }
        let linear = matches!(self.attention, AttentionKind::Linear);
        if linear && !(matches!(self.mask, MaskKind::Causal | MaskKind::Bidirectional) && matches!(self.kv, KvType::F32)) {
            field!("attention", self.attention)
        }
        if linear && matches!(self.positions, PositionKind::Alibi | PositionKind::Buckets) {
            field!("positions", self.positions)
        }
        if linear && matches!(self.architecture, Architecture::EncoderDecoder) {
            field!("attention", self.attention)
        }
        Ok(self)
    }

    /// An encoder sees the whole sequence and pools or classifies; a decoder looks back and has a head.
    const fn wired(self) -> Result<Config, Error> {
        let encoder = matches!(self.architecture, Architecture::Encoder);
        let whole = matches!(self.mask, MaskKind::Bidirectional | MaskKind::Local);
        if encoder != whole {
            field!("mask", self.mask)
        }
        let pools = encoder && !matches!(self.classifier, Classifier::Tokens);
        if pools == matches!(self.pooling, Pooling::None) {
            field!("pooling", self.pooling)
        }
        let embeds = encoder && matches!(self.classifier, Classifier::None);
        if self.normalized && !embeds {
            field!("normalized", self.normalized)
        }
        if self.tied_head && encoder {
            field!("tied_head", self.tied_head)
        }
        let classifies = !matches!(self.classifier, Classifier::None);
        if classifies && !encoder {
            field!("classifier", self.classifier)
        }
        if classifies != (self.labels != 0) || self.labels > 1 << 16 {
            field!("labels", self.labels)
        }
        if !matches!(self.pooler, Pooler::None) && !matches!(self.classifier, Classifier::Sequence) {
            field!("pooler", self.pooler)
        }
        self.stacked()
    }

    /// The two stacks of an encoder-decoder share their shape.
    const fn stacked(self) -> Result<Config, Error> {
        let two = self.has_cross();
        if two != (self.encoder_layers != 0) || self.encoder_layers > 1024 {
            field!("encoder_layers", self.encoder_layers)
        }
        if two != (self.encoder_context != 0) || self.encoder_context > 1 << 20 {
            field!("encoder_context", self.encoder_context)
        }
        if two && !matches!(self.mask, MaskKind::Causal) {
            field!("mask", self.mask)
        }
        if (two || !matches!(self.placement, NormPlacement::Pre)) && self.parallel {
            field!("parallel", self.parallel)
        }
        Ok(self)
    }

    /// Whether there is a second stack that the first one's rows go to.
    pub const fn has_cross(&self) -> bool {
        matches!(self.architecture, Architecture::EncoderDecoder)
    }

    /// Whether tokens are read: all but encoders of features do.
    pub const fn has_embedding(&self) -> bool {
        matches!(self.front, Front::Tokens) || self.has_cross()
    }

    /// Whether an output head of its own is stored.
    pub const fn has_head(&self) -> bool {
        !matches!(self.architecture, Architecture::Encoder) && !self.tied_head
    }

    /// Whether some stack sees whole sequences.
    pub const fn has_encoder(&self) -> bool {
        !matches!(self.architecture, Architecture::Decoder)
    }

    /// Blocks of all stacks.
    pub const fn all_layers(&self) -> u32 {
        self.layers + self.encoder_layers
    }

    /// Values of what comes out: logits of a decoder; an embedding, or the labels of a sequence or of each of its `context` rows.
    pub const fn output_dim(&self, context: u32) -> u64 {
        match (self.architecture, self.classifier) {
            (Architecture::Decoder | Architecture::EncoderDecoder, _) => self.vocab as u64,
            (Architecture::Encoder, Classifier::None) => self.d_model as u64,
            (Architecture::Encoder, Classifier::Sequence) => self.labels as u64,
            (Architecture::Encoder, Classifier::Tokens) => self.labels as u64 * context as u64,
        }
    }

    /// What products of queries and keys are multiplied with, in units of `unit`.
    pub fn scale_of_scores(&self, unit: f32) -> f32 {
        if self.score_scale == 0.0 { unit / crate::numeric::sqrt(self.head_dim as f32) } else { unit * self.score_scale }
    }

    /// Dimensions of a head that turn under [`PositionKind::Rotary`].
    pub const fn turning_dim(&self) -> u32 {
        if self.rotary_dim == 0 { self.head_dim } else { self.rotary_dim }
    }

    /// Width of all query heads together.
    pub const fn q_dim(&self) -> u32 {
        self.heads * self.head_dim
    }

    /// Width of all key (or value) heads together.
    pub const fn kv_dim(&self) -> u32 {
        self.kv_heads * self.head_dim
    }

    /// Rows of the fused query, key and value matrix.
    pub const fn qkv_dim(&self) -> u32 {
        self.q_dim() + 2 * self.kv_dim()
    }

    /// Rows of the MLP's first matrix: twice the width when a gate stands above it.
    pub const fn mlp_up_dim(&self) -> u32 {
        if self.gated { 2 * self.d_hidden } else { self.d_hidden }
    }
}
