//! The fixed header: the place of every field, how it is parsed and how it is written.

use super::config::Config;
use super::field::{f32_at, put, u8_at, u16_at, u32_at};
use super::types::{
    Activation, Architecture, AttentionKind, Classifier, InputStem, KvType, MaskKind, NormKind, NormPlacement, Pooler, Pooling,
    PositionKind,
};
use crate::error::Error;
use crate::version::{FORMAT_VERSION, NUMERICS};

/// Bytes of the fixed header.
pub const HEADER_BYTES: usize = 512;
/// Header bytes without a name. They are zero; a later field among them that changes a result takes a bit of [`required`].
pub const RESERVED: core::ops::Range<usize> = 136..at::SECTION_TABLE;

/// Bits of the header's field `required`: what an engine must know to run the image. An engine refuses bits that it does not know.
pub mod required {
    /// Each layer has a [`Role::KeyOffset`](crate::format::Role::KeyOffset).
    pub const KEY_OFFSET: u32 = 1 << 0;
    /// All bits that this engine knows.
    pub const KNOWN: u32 = KEY_OFFSET;
    /// Reserved: the field `head_rows` states the rows of the head.
    pub const HEAD_ROWS: u32 = 1 << 1;
    /// Reserved: the section of end tokens counts.
    pub const END_TOKENS: u32 = 1 << 2;
    /// Reserved: the section of attention windows by layer counts.
    pub const LAYER_WINDOWS: u32 = 1 << 3;
    /// Reserved: the section of rotary frequencies by layer counts.
    pub const LAYER_ROTARY: u32 = 1 << 4;
    /// Reserved: the section of memory regions counts.
    pub const REGIONS: u32 = 1 << 5;
}

/// Defines the offsets of the header's fields, and the list of them that a test holds against `docs/image.md`.
macro_rules! fields {
    ($($name:ident: $kind:literal = $at:literal,)+) => {
        /// Offset of each field.
        #[allow(missing_docs, reason = "the names are those of the config's fields")]
        pub mod at {
            $(pub const $name: usize = $at;)+
        }

        /// Offset, type and name of each field.
        pub const FIELDS: &[(usize, &str, &str)] = &[$(($at, $kind, stringify!($name)),)+];
    };
}

fields! {
    MAGIC: "4 bytes" = 0,
    FORMAT_VERSION: "u16" = 4,
    HEADER_BYTES: "u16" = 6,
    NUMERICS: "u32" = 8,
    TOTAL_BYTES: "u32" = 12,
    HEADER_CHECKSUM: "u32" = 16,
    PAYLOAD_CHECKSUM: "u32" = 20,
    ARENA_BYTES: "u32" = 24,
    SECTIONS: "u32" = 28,
    ARCHITECTURE: "u8" = 32,
    NORM: "u8" = 33,
    NORM_PLACEMENT: "u8" = 34,
    ACTIVATION: "u8" = 35,
    GATED: "u8" = 36,
    POSITIONS: "u8" = 37,
    MASK: "u8" = 38,
    KV: "u8" = 39,
    D_MODEL: "u32" = 40,
    D_HIDDEN: "u32" = 44,
    LAYERS: "u16" = 48,
    HEADS: "u16" = 50,
    KV_HEADS: "u16" = 52,
    HEAD_DIM: "u16" = 54,
    VOCAB: "u32" = 56,
    CONTEXT: "u32" = 60,
    WINDOW: "u32" = 64,
    NORM_EPS: "f32" = 68,
    TIED_HEAD: "u8" = 72,
    FINAL_NORM: "u8" = 73,
    EMBEDDING_NORM: "u8" = 74,
    POOLING: "u8" = 75,
    TENSORS: "u32" = 76,
    BOS: "u32" = 80,
    EOS: "u32" = 84,
    L2_NORMALIZE: "u8" = 88,
    ATTENTION: "u8" = 89,
    QK_NORM: "u8" = 90,
    PARALLEL: "u8" = 91,
    CLASSIFIER: "u8" = 92,
    POOLER: "u8" = 93,
    INPUT_STEM: "u8" = 94,
    CLASS_TOKEN: "u8" = 95,
    LABELS: "u32" = 96,
    ENCODER_LAYERS: "u16" = 100,
    FEATURES: "u16" = 102,
    ENCODER_CONTEXT: "u32" = 104,
    SCORE_SCALE: "f32" = 108,
    EMBEDDING_SCALE: "f32" = 112,
    PARTIAL_ROTARY_DIM: "u16" = 116,
    BUCKETS: "u16" = 118,
    GLOBALS: "u16" = 120,
    LAYER_DIM: "u16" = 122,
    REQUIRED: "u32" = 124,
    MODEL_VERSION: "u32" = 128,
    HEAD_ROWS: "u32" = 132,
    SECTION_TABLE: "16 x 16 bytes" = 256,
}

/// Returns the error of a field whose value is outside its range.
macro_rules! field {
    ($name:literal, $value:expr) => {
        return Err(Error::Field { name: $name, value: $value as u32 })
    };
}

/// The variant that a header byte states.
macro_rules! kind {
    ($kind:ident, $name:literal, $byte:expr) => {
        match $kind::from_byte($byte) {
            Some(kind) => kind,
            None => field!($name, $byte),
        }
    };
}

/// A header byte that is 0 or 1.
macro_rules! flag {
    ($name:literal, $value:expr) => {
        match $value {
            0 => false,
            1 => true,
            other => field!($name, other),
        }
    };
}

/// The value of a field in which the sentinel 0 means absent.
const fn optional(value: u32) -> Option<u32> {
    if value == 0 { None } else { Some(value) }
}

/// The value of a float field in which the sentinel 0 means absent.
const fn optional_f32(value: f32) -> Option<f32> {
    if value.to_bits() == 0 { None } else { Some(value) }
}

/// Checks everything that decides whether this engine can read the rest of the header.
const fn check_versions(image: &[u8]) -> Result<(), Error> {
    if image.len() < HEADER_BYTES {
        return Err(Error::TooShort { need: HEADER_BYTES, have: image.len() });
    }
    if u32_at(image, at::MAGIC) != u32::from_le_bytes(*b"ATTO") {
        return Err(Error::NotAnImage);
    }
    let version = u16_at(image, at::FORMAT_VERSION);
    if version != FORMAT_VERSION {
        return Err(Error::Version { found: version });
    }
    let unknown = u32_at(image, at::REQUIRED) & !required::KNOWN;
    if unknown != 0 {
        return Err(Error::Required { bits: unknown });
    }
    if u32_at(image, at::NUMERICS) != NUMERICS {
        return Err(Error::Numerics { found: u32_at(image, at::NUMERICS) });
    }
    let header_bytes = u16_at(image, at::HEADER_BYTES);
    if header_bytes as usize != HEADER_BYTES {
        field!("header_bytes", header_bytes)
    }
    // The field is reserved: an engine that reads it knows its bit of `required`.
    if u32_at(image, at::HEAD_ROWS) != 0 {
        field!("head_rows", u32_at(image, at::HEAD_ROWS))
    }
    match nonzero(image, RESERVED.start, RESERVED.end) {
        Some(at) => Err(Error::Reserved { at: at as u32 }),
        None => Ok(()),
    }
}

/// Offset of the first byte that is not zero in `start..end`.
pub(super) const fn nonzero(bytes: &[u8], start: usize, end: usize) -> Option<usize> {
    let mut at = start;
    while at < end {
        if u8_at(bytes, at) != 0 {
            return Some(at);
        }
        at += 1;
    }
    None
}

impl Config {
    /// Parses the shape fields of a header.
    ///
    /// Every field is checked against its own range and against the others. `Image::new` checks sections and checksums.
    ///
    /// # Errors
    /// [`Error::TooShort`], [`Error::NotAnImage`], [`Error::Version`], [`Error::Required`], [`Error::Numerics`], [`Error::Reserved`] and
    /// [`Error::Field`].
    pub const fn parse(image: &[u8]) -> Result<Config, Error> {
        if let Err(error) = check_versions(image) {
            return Err(error);
        }
        let config = Config {
            architecture: kind!(Architecture, "architecture", u8_at(image, at::ARCHITECTURE)),
            norm: kind!(NormKind, "norm", u8_at(image, at::NORM)),
            placement: kind!(NormPlacement, "norm_placement", u8_at(image, at::NORM_PLACEMENT)),
            activation: kind!(Activation, "activation", u8_at(image, at::ACTIVATION)),
            gated: flag!("gated", u8_at(image, at::GATED)),
            positions: kind!(PositionKind, "positions", u8_at(image, at::POSITIONS)),
            mask: kind!(MaskKind, "mask", u8_at(image, at::MASK)),
            kv: kind!(KvType, "kv", u8_at(image, at::KV)),
            d_model: u32_at(image, at::D_MODEL),
            d_hidden: u32_at(image, at::D_HIDDEN),
            layers: u16_at(image, at::LAYERS) as u32,
            heads: u16_at(image, at::HEADS) as u32,
            kv_heads: u16_at(image, at::KV_HEADS) as u32,
            head_dim: u16_at(image, at::HEAD_DIM) as u32,
            vocab: u32_at(image, at::VOCAB),
            context: u32_at(image, at::CONTEXT),
            window: optional(u32_at(image, at::WINDOW)),
            norm_eps: f32_at(image, at::NORM_EPS),
            tied_head: flag!("tied_head", u8_at(image, at::TIED_HEAD)),
            final_norm: flag!("final_norm", u8_at(image, at::FINAL_NORM)),
            embedding_norm: flag!("embedding_norm", u8_at(image, at::EMBEDDING_NORM)),
            pooling: kind!(Pooling, "pooling", u8_at(image, at::POOLING)),
            l2_normalize: flag!("l2_normalize", u8_at(image, at::L2_NORMALIZE)),
            bos: u32_at(image, at::BOS),
            eos: u32_at(image, at::EOS),
            attention: kind!(AttentionKind, "attention", u8_at(image, at::ATTENTION)),
            qk_norm: flag!("qk_norm", u8_at(image, at::QK_NORM)),
            key_offset: u32_at(image, at::REQUIRED) & required::KEY_OFFSET != 0,
            parallel: flag!("parallel", u8_at(image, at::PARALLEL)),
            classifier: kind!(Classifier, "classifier", u8_at(image, at::CLASSIFIER)),
            pooler: kind!(Pooler, "pooler", u8_at(image, at::POOLER)),
            input_stem: kind!(InputStem, "input_stem", u8_at(image, at::INPUT_STEM)),
            class_token: flag!("class_token", u8_at(image, at::CLASS_TOKEN)),
            labels: u32_at(image, at::LABELS),
            encoder_layers: u16_at(image, at::ENCODER_LAYERS) as u32,
            features: u16_at(image, at::FEATURES) as u32,
            encoder_context: u32_at(image, at::ENCODER_CONTEXT),
            score_scale: optional_f32(f32_at(image, at::SCORE_SCALE)),
            embedding_scale: optional_f32(f32_at(image, at::EMBEDDING_SCALE)),
            partial_rotary_dim: optional(u16_at(image, at::PARTIAL_ROTARY_DIM) as u32),
            buckets: u16_at(image, at::BUCKETS) as u32,
            globals: u16_at(image, at::GLOBALS) as u32,
            layer_dim: optional(u16_at(image, at::LAYER_DIM) as u32),
        };
        config.checked()
    }

    /// Writes the fields that name the format and the model's shape into a header that is zero elsewhere, the inverse of [`Config::parse`].
    ///
    /// # Errors
    /// [`Error::Field`] for a value that its field cannot hold, or that the engine does not run; [`Error::BufferTooSmall`] for fewer than
    /// [`HEADER_BYTES`] bytes.
    pub fn emit(&self, header: &mut [u8]) -> Result<(), Error> {
        if header.len() < HEADER_BYTES {
            return Err(Error::BufferTooSmall { need: HEADER_BYTES, have: header.len() });
        }
        put(header, at::MAGIC, *b"ATTO");
        put(header, at::FORMAT_VERSION, FORMAT_VERSION.to_le_bytes());
        put(header, at::HEADER_BYTES, (HEADER_BYTES as u16).to_le_bytes());
        put(header, at::NUMERICS, NUMERICS.to_le_bytes());
        let required = if self.key_offset { required::KEY_OFFSET } else { 0 };
        put(header, at::REQUIRED, required.to_le_bytes());
        self.emit_bytes(header);
        self.emit_halfwords(header)?;
        self.emit_words(header);
        match Config::parse(header)? {
            parsed if parsed == *self => Ok(()),
            // Only a 0 that stands for an absent value reads back as something else.
            _ => Err(Error::Field { name: "optional", value: 0 }),
        }
    }

    /// Enumerations and flags.
    fn emit_bytes(&self, header: &mut [u8]) {
        let bytes = [
            (at::ARCHITECTURE, self.architecture as u8),
            (at::NORM, self.norm as u8),
            (at::NORM_PLACEMENT, self.placement as u8),
            (at::ACTIVATION, self.activation as u8),
            (at::GATED, self.gated as u8),
            (at::POSITIONS, self.positions as u8),
            (at::MASK, self.mask as u8),
            (at::KV, self.kv as u8),
            (at::TIED_HEAD, self.tied_head as u8),
            (at::FINAL_NORM, self.final_norm as u8),
            (at::EMBEDDING_NORM, self.embedding_norm as u8),
            (at::POOLING, self.pooling as u8),
            (at::L2_NORMALIZE, self.l2_normalize as u8),
            (at::ATTENTION, self.attention as u8),
            (at::QK_NORM, self.qk_norm as u8),
            (at::PARALLEL, self.parallel as u8),
            (at::CLASSIFIER, self.classifier as u8),
            (at::POOLER, self.pooler as u8),
            (at::INPUT_STEM, self.input_stem as u8),
            (at::CLASS_TOKEN, self.class_token as u8),
        ];
        bytes.into_iter().for_each(|(at, byte)| put(header, at, [byte]));
    }

    /// Counts of 16 bits.
    fn emit_halfwords(&self, header: &mut [u8]) -> Result<(), Error> {
        let halfwords = [
            (at::LAYERS, "layers", self.layers),
            (at::HEADS, "heads", self.heads),
            (at::KV_HEADS, "kv_heads", self.kv_heads),
            (at::HEAD_DIM, "head_dim", self.head_dim),
            (at::ENCODER_LAYERS, "encoder_layers", self.encoder_layers),
            (at::FEATURES, "features", self.features),
            (at::PARTIAL_ROTARY_DIM, "partial_rotary_dim", self.partial_rotary_dim.unwrap_or(0)),
            (at::BUCKETS, "buckets", self.buckets),
            (at::GLOBALS, "globals", self.globals),
            (at::LAYER_DIM, "layer_dim", self.layer_dim.unwrap_or(0)),
        ];
        for (at, name, value) in halfwords {
            let narrow = u16::try_from(value).map_err(|_| Error::Field { name, value })?;
            put(header, at, narrow.to_le_bytes());
        }
        Ok(())
    }

    /// Counts and floats of 32 bits.
    fn emit_words(&self, header: &mut [u8]) {
        let words = [
            (at::D_MODEL, self.d_model),
            (at::D_HIDDEN, self.d_hidden),
            (at::VOCAB, self.vocab),
            (at::CONTEXT, self.context),
            (at::WINDOW, self.window.unwrap_or(0)),
            (at::NORM_EPS, self.norm_eps.to_bits()),
            (at::BOS, self.bos),
            (at::EOS, self.eos),
            (at::LABELS, self.labels),
            (at::ENCODER_CONTEXT, self.encoder_context),
            (at::SCORE_SCALE, self.score_scale.unwrap_or(0.0).to_bits()),
            (at::EMBEDDING_SCALE, self.embedding_scale.unwrap_or(0.0).to_bits()),
        ];
        words.into_iter().for_each(|(at, word)| put(header, at, word.to_le_bytes()));
    }
}
