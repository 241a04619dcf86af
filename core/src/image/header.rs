//! The fixed header: shapes, kinds and the section table, readable in a `const fn`.

use super::bytes::{f32_at, u8_at, u16_at, u32_at};
use crate::error::Error;

pub use super::kinds::*;

/// Bytes of the fixed header.
pub const HEADER_BYTES: usize = 384;
/// Version of the format that this engine reads.
pub const FORMAT_VERSION: u16 = 1;
/// Rows of the section table.
pub(super) const SECTIONS_MAX: u32 = 16;
pub(super) const SECTION_TABLE_AT: usize = 128;
pub(super) const SECTION_ROW: usize = 16;

/// Everything the header says about the model's shape. All sizes are in elements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// How the stack is wired.
    pub architecture: Architecture,
    /// Normalisation.
    pub norm: NormKind,
    /// Where a block normalises.
    pub placement: NormPlacement,
    /// The MLP's non-linearity.
    pub activation: Activation,
    /// Whether the MLP multiplies an activated gate with a second projection (Shazeer 2020).
    pub gated: bool,
    /// Position scheme.
    pub positions: PositionKind,
    /// Attention mask.
    pub mask: MaskKind,
    /// Element type of keys and values.
    pub kv: KvType,
    /// Width of the residual stream.
    pub d_model: u32,
    /// Width of the MLP.
    pub d_hidden: u32,
    /// Blocks; the decoder's of an [`Architecture::EncoderDecoder`].
    pub layers: u32,
    /// Query heads.
    pub heads: u32,
    /// Key/value heads (Ainslie et al. 2023); divides `heads`.
    pub kv_heads: u32,
    /// Width of a head.
    pub head_dim: u32,
    /// Tokens in the vocabulary; 0 for a model without tokens.
    pub vocab: u32,
    /// Longest sequence, tokens.
    pub context: u32,
    /// Tokens a query sees under [`MaskKind::Window`], or on either side of it under [`MaskKind::Local`].
    pub window: u32,
    /// Added to the variance before the square root.
    pub norm_eps: f32,
    /// Whether the output head is the embedding table.
    pub tied_head: bool,
    /// Whether a norm stands before the head, or before the pooling.
    pub final_norm: bool,
    /// Whether a norm stands between the embedding and the first block.
    pub embedding_norm: bool,
    /// What an encoder makes of its rows.
    pub pooling: Pooling,
    /// Whether the pooled embedding is brought to length 1.
    pub normalized: bool,
    /// Token that begins a text.
    pub begin: u32,
    /// Token that ends a text.
    pub end: u32,
    /// How a query's answer is made.
    pub attention: AttentionKind,
    /// Whether each head's query and key is normed, before it turns (Henry et al. 2020).
    pub qk_norm: bool,
    /// Whether attention and MLP read the same rows, and both are added: `x + attention(norm(x)) + mlp(norm(x))` (Wang and Komatsuzaki 2021).
    pub parallel: bool,
    /// What is told apart.
    pub classifier: Classifier,
    /// A dense layer before the classifier.
    pub pooler: Pooler,
    /// What stands before the first block of a decoder or encoder, or of an encoder-decoder's encoder.
    pub front: Front,
    /// Whether a learned row goes before the patches.
    pub class_token: bool,
    /// Outputs of the classifier.
    pub labels: u32,
    /// Blocks of an encoder-decoder's encoder.
    pub encoder_layers: u32,
    /// Columns of an input row, for a front that reads features.
    pub features: u32,
    /// Longest sequence of an encoder-decoder's encoder, rows behind the front.
    pub encoder_context: u32,
    /// What products of queries and keys are multiplied with; 0 stands for `1 / sqrt(head_dim)`.
    pub score_scale: f32,
    /// What token rows are multiplied with; 0 stands for 1.
    pub embedding_scale: f32,
    /// Leading dimensions of a head that turn; 0 stands for all.
    pub rotary_dim: u32,
    /// Ranges of distances under [`PositionKind::Buckets`].
    pub buckets: u32,
    /// Tokens at the start that see everything under [`MaskKind::Local`].
    pub globals: u32,
    /// Width of a token's row in each layer's own table (per-layer embeddings); 0 for none.
    pub layer_dim: u32,
}

/// A header byte that names a variant.
macro_rules! kind {
    ($kind:ident, $name:literal, $byte:expr) => {
        match $kind::from_byte($byte) {
            Some(kind) => kind,
            None => field!($name, $byte),
        }
    };
}

macro_rules! field {
    ($name:literal, $value:expr) => {
        return Err(Error::Field { name: $name, value: $value as u32 })
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

impl Config {
    /// Reads the shape fields of a header.
    ///
    /// It checks every field against its own range and against the others; sections and checksums are `Image::new`'s.
    ///
    /// # Errors
    /// [`Error::TooShort`], [`Error::NotAnImage`], [`Error::Version`], [`Error::Numerics`] and [`Error::Field`].
    pub const fn read(image: &[u8]) -> Result<Config, Error> {
        if image.len() < HEADER_BYTES {
            return Err(Error::TooShort { need: HEADER_BYTES, have: image.len() });
        }
        if u32_at(image, 0) != u32::from_le_bytes(*b"ATTO") {
            return Err(Error::NotAnImage);
        }
        if u16_at(image, 4) != FORMAT_VERSION {
            return Err(Error::Version { found: u16_at(image, 4) });
        }
        if u32_at(image, 8) != crate::NUMERICS {
            return Err(Error::Numerics { found: u32_at(image, 8) });
        }
        let config = Config {
            architecture: kind!(Architecture, "architecture", u8_at(image, 32)),
            norm: kind!(NormKind, "norm", u8_at(image, 33)),
            placement: kind!(NormPlacement, "norm_placement", u8_at(image, 34)),
            activation: kind!(Activation, "activation", u8_at(image, 35)),
            gated: flag!("gated", u8_at(image, 36)),
            positions: kind!(PositionKind, "positions", u8_at(image, 37)),
            mask: kind!(MaskKind, "mask", u8_at(image, 38)),
            kv: kind!(KvType, "kv", u8_at(image, 39)),
            d_model: u32_at(image, 40),
            d_hidden: u32_at(image, 44),
            layers: u16_at(image, 48) as u32,
            heads: u16_at(image, 50) as u32,
            kv_heads: u16_at(image, 52) as u32,
            head_dim: u16_at(image, 54) as u32,
            vocab: u32_at(image, 56),
            context: u32_at(image, 60),
            window: u32_at(image, 64),
            norm_eps: f32_at(image, 68),
            tied_head: flag!("tied_head", u8_at(image, 72)),
            final_norm: flag!("final_norm", u8_at(image, 73)),
            embedding_norm: flag!("embedding_norm", u8_at(image, 74)),
            pooling: kind!(Pooling, "pooling", u8_at(image, 75)),
            normalized: flag!("normalized", u8_at(image, 88)),
            begin: u32_at(image, 80),
            end: u32_at(image, 84),
            attention: kind!(AttentionKind, "attention", u8_at(image, 89)),
            qk_norm: flag!("qk_norm", u8_at(image, 90)),
            parallel: flag!("parallel", u8_at(image, 91)),
            classifier: kind!(Classifier, "classifier", u8_at(image, 92)),
            pooler: kind!(Pooler, "pooler", u8_at(image, 93)),
            front: kind!(Front, "front", u8_at(image, 94)),
            class_token: flag!("class_token", u8_at(image, 95)),
            labels: u32_at(image, 96),
            encoder_layers: u16_at(image, 100) as u32,
            features: u16_at(image, 102) as u32,
            encoder_context: u32_at(image, 104),
            score_scale: f32_at(image, 108),
            embedding_scale: f32_at(image, 112),
            rotary_dim: u16_at(image, 116) as u32,
            buckets: u16_at(image, 118) as u32,
            globals: u16_at(image, 120) as u32,
            layer_dim: u16_at(image, 122) as u32,
        };
        config.checked()
    }
}

/// Widest matrix input: the longest int8 dot that is exact in 32 bits (128 * 127 * 131,072 < 2^31).
pub const WIDTH_MAX: u32 = 131_072;
/// Widest head: 2,048 * 128 * 512 is 2^27, which leaves a score three bits of headroom.
pub const HEAD_DIM_MAX: u32 = 512;
