//! Ranges of the header's fields, and the agreements between them.

use super::config::Config;
use super::limits::{BUCKETS_MAX, CONTEXT_MAX, HEAD_DIM_MAX, HEADS_MAX, LABELS_MAX, LAYERS_MAX, VOCAB_MAX, WIDTH_MAX};
use super::types::{Architecture, AttentionKind, Classifier, InputStem, KvType, MaskKind, NormPlacement, Pooler, Pooling, PositionKind};
use crate::error::Error;

/// Returns the error of a field whose value is outside its range.
macro_rules! field {
    ($name:literal, $value:expr) => {
        return Err(Error::Field { name: $name, value: $value as u32 })
    };
}

impl Config {
    /// Checks every field's range and the agreements between fields. The limits keep every size in the arena plan below 2^63.
    pub(super) const fn checked(self) -> Result<Config, Error> {
        if self.d_model == 0 || self.d_model > WIDTH_MAX {
            field!("d_model", self.d_model)
        }
        if self.d_hidden == 0 || self.d_hidden > WIDTH_MAX {
            field!("d_hidden", self.d_hidden)
        }
        if self.layers == 0 || self.layers > LAYERS_MAX {
            field!("layers", self.layers)
        }
        if self.heads == 0 || self.heads > HEADS_MAX {
            field!("heads", self.heads)
        }
        if self.kv_heads == 0 || !self.heads.is_multiple_of(self.kv_heads) {
            field!("kv_heads", self.kv_heads)
        }
        if self.head_dim == 0 || self.head_dim > HEAD_DIM_MAX {
            field!("head_dim", self.head_dim)
        }
        if self.context == 0 || self.context > CONTEXT_MAX {
            field!("context", self.context)
        }
        // Bits instead of is_finite: a NaN or a negative value has larger bits than any positive finite number.
        if self.norm_eps.to_bits() >= f32::INFINITY.to_bits() {
            field!("norm_eps", self.norm_eps.to_bits())
        }
        if let Some(scale) = self.score_scale
            && scale.to_bits() >= f32::INFINITY.to_bits()
        {
            field!("score_scale", scale.to_bits())
        }
        if let Some(scale) = self.embedding_scale
            && scale.to_bits() >= f32::INFINITY.to_bits()
        {
            field!("embedding_scale", scale.to_bits())
        }
        match self.tokens_agree() {
            Ok(config) => match config.positions_agree() {
                Ok(config) => config.outputs_agree(),
                error => error,
            },
            error => error,
        }
    }

    /// Checks the inputs: tokens or rows of features, or both.
    const fn tokens_agree(self) -> Result<Config, Error> {
        if self.vocab > VOCAB_MAX || (self.vocab != 0) != self.has_embedding() {
            field!("vocab", self.vocab)
        }
        if self.bos >= self.vocab && self.bos != 0 {
            field!("bos", self.bos)
        }
        if self.eos >= self.vocab && self.eos != 0 {
            field!("eos", self.eos)
        }
        let features = !matches!(self.input_stem, InputStem::Tokens);
        if (self.features != 0) != features || self.features as u64 * 3 > WIDTH_MAX as u64 {
            field!("features", self.features)
        }
        if features && matches!(self.architecture, Architecture::Decoder) {
            field!("input_stem", self.input_stem)
        }
        if self.class_token && !matches!((self.input_stem, self.architecture), (InputStem::Patches, Architecture::Encoder)) {
            field!("class_token", self.class_token)
        }
        if self.layer_width() != 0 && !(self.has_embedding() && matches!(self.architecture, Architecture::Decoder)) {
            field!("layer_dim", self.layer_width())
        }
        Ok(self)
    }

    /// Checks that the position encoding fits the head width, and that the attention mask's sizes are consistent.
    const fn positions_agree(self) -> Result<Config, Error> {
        let rotary = matches!(self.positions, PositionKind::Rotary);
        if let Some(dim) = self.partial_rotary_dim
            && (dim > self.head_dim || !rotary)
        {
            field!("partial_rotary_dim", dim)
        }
        if rotary && !self.rotary_dim().is_multiple_of(2) {
            field!("head_dim", self.head_dim)
        }
        if (self.buckets != 0) != matches!(self.positions, PositionKind::T5Relative)
            || self.buckets > BUCKETS_MAX
            || !self.buckets.is_multiple_of(4)
        {
            field!("buckets", self.buckets)
        }
        let windowed = matches!(self.mask, MaskKind::Window | MaskKind::Local);
        if windowed && self.window.is_none() {
            field!("window", 0)
        }
        if self.globals != 0 && !matches!(self.mask, MaskKind::Local) {
            field!("globals", self.globals)
        }
        let linear = matches!(self.attention, AttentionKind::Linear);
        if linear && !(matches!(self.mask, MaskKind::Causal | MaskKind::Bidirectional) && matches!(self.kv, KvType::F32)) {
            field!("attention", self.attention)
        }
        if linear && matches!(self.positions, PositionKind::Alibi | PositionKind::T5Relative) {
            field!("positions", self.positions)
        }
        if linear && matches!(self.architecture, Architecture::EncoderDecoder) {
            field!("attention", self.attention)
        }
        // Keys are rounded in int8 caches only, and the state of linear attention stores none.
        if self.key_offset && (linear || !matches!(self.kv, KvType::Int8)) {
            field!("key_offset", self.key_offset)
        }
        Ok(self)
    }

    /// Checks the outputs: an encoder is bidirectional and pools or classifies; a decoder is causal and has a head.
    const fn outputs_agree(self) -> Result<Config, Error> {
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
        if self.l2_normalize && !embeds {
            field!("l2_normalize", self.l2_normalize)
        }
        if self.tied_head && encoder {
            field!("tied_head", self.tied_head)
        }
        let classifies = !matches!(self.classifier, Classifier::None);
        if classifies && !encoder {
            field!("classifier", self.classifier)
        }
        if classifies != (self.labels != 0) || self.labels > LABELS_MAX {
            field!("labels", self.labels)
        }
        if !matches!(self.pooler, Pooler::None) && !matches!(self.classifier, Classifier::Sequence) {
            field!("pooler", self.pooler)
        }
        self.stacks_agree()
    }

    /// Checks the sizes of an encoder-decoder, whose stacks share their shape.
    const fn stacks_agree(self) -> Result<Config, Error> {
        let two = self.has_cross();
        if two != (self.encoder_layers != 0) || self.encoder_layers > LAYERS_MAX {
            field!("encoder_layers", self.encoder_layers)
        }
        if two != (self.encoder_context != 0) || self.encoder_context > CONTEXT_MAX {
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
}
