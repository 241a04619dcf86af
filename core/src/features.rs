//! Cargo features: the parts of the engine that an image needs, and those that this program was built with.
//!
//! A feature determines which images can be opened; it never changes an output bit.

use crate::format::field::u32_at;
use crate::format::{AttentionKind, Config, Dtype, Entry, KvType, MaskKind, section};
use crate::tokenizer::flags;

/// A part of the engine with a Cargo feature of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Feature {
    /// SentencePiece-style BPE tokenizers.
    Bpe,
    /// Byte-level BPE tokenizers.
    ByteBpe,
    /// WordPiece tokenizers.
    WordPiece,
    /// Unigram tokenizers.
    Unigram,
    /// Bidirectional stacks: encoders, encoder-decoders and prefix masks.
    Encoder,
    /// Linear attention.
    LinearAttention,
    /// The audio front end.
    Audio,
    /// The picture front end.
    Pictures,
    /// int8 weights.
    Int8,
    /// int4 weights.
    Int4,
    /// Activations of twelve bits for int8 weights.
    A12,
    /// f16 weights.
    F16,
    /// f32 weights.
    F32,
    /// An int8 KV cache.
    KvInt8,
    /// An f16 or f32 KV cache.
    KvFloat,
}

impl Feature {
    /// Every feature.
    pub const ALL: [Feature; 15] = [
        Feature::Bpe,
        Feature::ByteBpe,
        Feature::WordPiece,
        Feature::Unigram,
        Feature::Encoder,
        Feature::LinearAttention,
        Feature::Audio,
        Feature::Pictures,
        Feature::Int8,
        Feature::Int4,
        Feature::A12,
        Feature::F16,
        Feature::F32,
        Feature::KvInt8,
        Feature::KvFloat,
    ];

    /// The name in `Cargo.toml`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Feature::Bpe => "bpe",
            Feature::ByteBpe => "byte-bpe",
            Feature::WordPiece => "wordpiece",
            Feature::Unigram => "unigram",
            Feature::Encoder => "encoder",
            Feature::LinearAttention => "linear-attention",
            Feature::Audio => "audio",
            Feature::Pictures => "pictures",
            Feature::Int8 => "int8",
            Feature::Int4 => "int4",
            Feature::A12 => "a12",
            Feature::F16 => "f16",
            Feature::F32 => "f32",
            Feature::KvInt8 => "kv-int8",
            Feature::KvFloat => "kv-float",
        }
    }

    /// Whether this program was built with the feature.
    #[must_use]
    pub const fn is_built_in(self) -> bool {
        match self {
            Feature::Bpe => cfg!(feature = "bpe"),
            Feature::ByteBpe => cfg!(feature = "byte-bpe"),
            Feature::WordPiece => cfg!(feature = "wordpiece"),
            Feature::Unigram => cfg!(feature = "unigram"),
            Feature::Encoder => cfg!(feature = "encoder"),
            Feature::LinearAttention => cfg!(feature = "linear-attention"),
            Feature::Audio => cfg!(feature = "audio"),
            Feature::Pictures => cfg!(feature = "pictures"),
            Feature::Int8 => cfg!(feature = "int8"),
            Feature::Int4 => cfg!(feature = "int4"),
            Feature::A12 => cfg!(feature = "a12"),
            Feature::F16 => cfg!(feature = "f16"),
            Feature::F32 => cfg!(feature = "f32"),
            Feature::KvInt8 => cfg!(feature = "kv-int8"),
            Feature::KvFloat => cfg!(feature = "kv-float"),
        }
    }
}

/// The feature that multiplies this tensor: that of its element type, or that of 12-bit inputs, which implies it.
pub(crate) fn of_weights(entry: &Entry) -> Feature {
    match entry.dtype {
        Dtype::Int8 if entry.activations == 12 => Feature::A12,
        Dtype::Int8 => Feature::Int8,
        Dtype::Int4 => Feature::Int4,
        Dtype::F16 => Feature::F16,
        Dtype::F32 => Feature::F32,
    }
}

/// Features that the model's shape needs.
pub(crate) fn of_config(config: &Config) -> impl Iterator<Item = Feature> {
    let bidirectional = config.has_encoder() || config.mask == MaskKind::Prefix;
    let state_or_cache = match (config.attention, config.kv) {
        (AttentionKind::Linear, _) => Feature::LinearAttention,
        (_, KvType::Int8) => Feature::KvInt8,
        _ => Feature::KvFloat,
    };
    bidirectional.then_some(Feature::Encoder).into_iter().chain([state_or_cache])
}

/// The feature that reads a section, given its kind and bytes; `None` for an absent section and for one that every engine reads.
pub(crate) fn of_section(kind: u32, bytes: &[u8]) -> Option<Feature> {
    match kind {
        _ if bytes.is_empty() => None,
        section::FRONTEND => Some(Feature::Audio),
        section::PICTURES => Some(Feature::Pictures),
        section::TOKENIZER => match u32_at(bytes, 0) {
            flags::KIND_BPE => Some(Feature::Bpe),
            flags::KIND_BYTE_BPE => Some(Feature::ByteBpe),
            flags::KIND_WORDPIECE => Some(Feature::WordPiece),
            flags::KIND_UNIGRAM => Some(Feature::Unigram),
            _ => None,
        },
        _ => None,
    }
}
