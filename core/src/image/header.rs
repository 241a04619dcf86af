//! The fixed header: shapes, kinds and the section table, readable in a `const fn`.

use super::bytes::{f32_at, u8_at, u16_at, u32_at};
use crate::error::Error;

/// Bytes of the fixed header.
pub const HEADER_BYTES: usize = 384;
/// Version of the format that this engine reads.
pub const FORMAT_VERSION: u16 = 1;
/// Rows of the section table.
pub(super) const SECTIONS_MAX: u32 = 16;
pub(super) const SECTION_TABLE_AT: usize = 128;
pub(super) const SECTION_ROW: usize = 16;

/// How the stack is wired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// A stack of blocks that predicts the next token (Radford et al. 2018).
    Decoder,
    /// A stack of blocks over a whole sequence, whose rows are pooled into one embedding (Devlin et al. 2018, section 3).
    Encoder,
}

/// Normalisation of a token's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// `x / rms(x) * scale` (Zhang and Sennrich 2019).
    Rms,
    /// `(x - mean) / std * scale + bias` (Ba et al. 2016).
    Layer,
}

/// Where a block normalises (Xiong et al. 2020).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormPlacement {
    /// Before attention and MLP: `x + f(norm(x))`.
    Pre,
    /// After the residual sum: `norm(x + f(x))`, as in Vaswani et al. 2017.
    Post,
}

/// The MLP's non-linearity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// Gaussian error linear unit in its tanh form (Hendrycks and Gimpel 2016, section 2).
    GeluTanh,
    /// `x * sigmoid(x)`.
    Silu,
    /// Gaussian error linear unit, `x * Phi(x)` with the normal distribution itself (Hendrycks and Gimpel 2016, section 2).
    GeluErf,
}

/// How tokens learn where they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PositionKind {
    /// Not at all.
    None,
    /// Rotation of neighbouring pairs of queries and keys (Su et al. 2021).
    Rotary,
    /// A learned row per position, added to the embedding.
    Learned,
}

/// Which keys a query may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskKind {
    /// Itself and every token before it.
    Causal,
    /// Itself and the `window - 1` tokens before it (Child et al. 2019; Beltagy et al. 2020).
    Window,
    /// Every token of the sequence: encoders only.
    Bidirectional,
}

/// What an encoder makes of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Nothing: a decoder has a head instead.
    None,
    /// The mean of all rows (Reimers and Gurevych 2019, section 3).
    Mean,
    /// The first row, that of the begin token (Devlin et al. 2018, section 3).
    First,
}

/// Element type of stored keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvType {
    /// 32-bit float.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// Eight bits with one scale per token row.
    Int8,
}

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
    /// Blocks.
    pub layers: u32,
    /// Query heads.
    pub heads: u32,
    /// Key/value heads (Ainslie et al. 2023); divides `heads`.
    pub kv_heads: u32,
    /// Width of a head.
    pub head_dim: u32,
    /// Tokens in the vocabulary.
    pub vocab: u32,
    /// Longest sequence, tokens.
    pub context: u32,
    /// Tokens a query sees under [`MaskKind::Window`].
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
            architecture: match u8_at(image, 32) {
                0 => Architecture::Decoder,
                1 => Architecture::Encoder,
                other => field!("architecture", other),
            },
            norm: match u8_at(image, 33) {
                0 => NormKind::Rms,
                1 => NormKind::Layer,
                other => field!("norm", other),
            },
            placement: match u8_at(image, 34) {
                0 => NormPlacement::Pre,
                1 => NormPlacement::Post,
                other => field!("norm_placement", other),
            },
            activation: match u8_at(image, 35) {
                0 => Activation::Relu,
                1 => Activation::GeluTanh,
                2 => Activation::Silu,
                3 => Activation::GeluErf,
                other => field!("activation", other),
            },
            gated: flag!("gated", u8_at(image, 36)),
            positions: match u8_at(image, 37) {
                0 => PositionKind::None,
                1 => PositionKind::Rotary,
                2 => PositionKind::Learned,
                other => field!("positions", other),
            },
            mask: match u8_at(image, 38) {
                0 => MaskKind::Causal,
                1 => MaskKind::Window,
                2 => MaskKind::Bidirectional,
                other => field!("mask", other),
            },
            kv: match u8_at(image, 39) {
                0 => KvType::F32,
                1 => KvType::F16,
                2 => KvType::Int8,
                other => field!("kv", other),
            },
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
            pooling: match u8_at(image, 75) {
                0 => Pooling::None,
                1 => Pooling::Mean,
                2 => Pooling::First,
                other => field!("pooling", other),
            },
            normalized: flag!("normalized", u8_at(image, 88)),
            begin: u32_at(image, 80),
            end: u32_at(image, 84),
        };
        config.checked()
    }

    /// Ranges and agreements between fields. The limits keep every size in the arena plan below 2^63.
    const fn checked(self) -> Result<Config, Error> {
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
        if matches!(self.positions, PositionKind::Rotary) && !self.head_dim.is_multiple_of(2) {
            field!("head_dim", self.head_dim)
        }
        if self.vocab == 0 || self.vocab > 1 << 24 {
            field!("vocab", self.vocab)
        }
        if self.context == 0 || self.context > 1 << 20 {
            field!("context", self.context)
        }
        if matches!(self.mask, MaskKind::Window) && self.window == 0 {
            field!("window", self.window)
        }
        // Bits instead of is_finite: a NaN or a negative value has larger bits than any positive finite number.
        if self.norm_eps.to_bits() >= f32::INFINITY.to_bits() {
            field!("norm_eps", self.norm_eps.to_bits())
        }
        if self.begin >= self.vocab {
            field!("begin", self.begin)
        }
        if self.end >= self.vocab {
            field!("end", self.end)
        }
        self.wired()
    }

    /// An encoder sees the whole sequence and pools; a decoder looks back and has a head.
    const fn wired(self) -> Result<Config, Error> {
        let encoder = matches!(self.architecture, Architecture::Encoder);
        if encoder != matches!(self.mask, MaskKind::Bidirectional) {
            field!("mask", self.mask)
        }
        if encoder == matches!(self.pooling, Pooling::None) {
            field!("pooling", self.pooling)
        }
        if self.normalized && !encoder {
            field!("normalized", self.normalized)
        }
        if self.tied_head && encoder {
            field!("tied_head", self.tied_head)
        }
        Ok(self)
    }

    /// Whether an output head of its own is stored.
    pub const fn has_head(&self) -> bool {
        matches!(self.architecture, Architecture::Decoder) && !self.tied_head
    }

    /// Values of what comes out: logits of a decoder, the embedding of an encoder.
    pub const fn output_dim(&self) -> u32 {
        match self.architecture {
            Architecture::Decoder => self.vocab,
            Architecture::Encoder => self.d_model,
        }
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

/// Widest matrix input: the longest int8 dot that is exact in 32 bits (128 * 127 * 131,072 < 2^31).
pub const WIDTH_MAX: u32 = 131_072;
/// Widest head: 2,048 * 128 * 512 is 2^27, which leaves a score three bits of headroom.
pub const HEAD_DIM_MAX: u32 = 512;
