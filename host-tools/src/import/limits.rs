//! Limits of the sizes that a model file states, checked before anything is computed with them.

use attoformer::image::{Config, InputStem, PositionKind};
use attoformer::internals::format::limits::{CONTEXT_MAX, HEAD_DIM_MAX, HEADS_MAX, LABELS_MAX, LAYERS_MAX, VOCAB_MAX, WIDTH_MAX};

/// Widest input row: a convolution reads three of them at once.
const FEATURES_MAX: u32 = WIDTH_MAX / 3;
/// Most values of a table that is computed because the file lacks it.
pub const COMPUTED_TABLE_MAX: u64 = 1 << 26;

/// Reason why sizes are not supported.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LimitError {
    /// A size outside its range.
    #[error("{name} is {value}; supported: {min} to {max}")]
    Range {
        /// Name of the size.
        name: &'static str,
        /// Its value.
        value: u32,
        /// Smallest supported value.
        min: u32,
        /// Largest supported value.
        max: u32,
    },
    /// A width that the heads do not divide.
    #[error("{name} {width} is not divisible by {heads} attention heads")]
    HeadWidth {
        /// Name of the width.
        name: &'static str,
        /// The width.
        width: u32,
        /// Attention heads.
        heads: u32,
    },
    /// Query heads that do not form equal groups.
    #[error("{heads} attention heads are not divisible by {kv_heads} key/value heads")]
    HeadGroups {
        /// Attention heads.
        heads: u32,
        /// Key/value heads.
        kv_heads: u32,
    },
    /// A number of rotated dimensions that is odd or larger than the head.
    #[error("RoPE cannot rotate {rotary_dim} dimensions of a head of {head_dim}; supported: even numbers up to the width of the head")]
    RotaryDim {
        /// Rotated dimensions.
        rotary_dim: u32,
        /// Width of a head.
        head_dim: u32,
    },
    /// An epsilon that is negative, NaN or infinite.
    #[error("the epsilon of the norms is {0}; it must be finite and not below 0")]
    NormEps(f32),
    /// A special token beyond the vocabulary.
    #[error("BOS {bos} or EOS {eos} is outside the vocabulary of {vocab} tokens")]
    SpecialTokens {
        /// BOS.
        bos: u32,
        /// EOS.
        eos: u32,
        /// Tokens in the vocabulary.
        vocab: u32,
    },
}

/// Checks the sizes of a config, so that products of two of them cannot overflow.
///
/// # Errors
/// [`LimitError`] with the first size that fails.
pub fn check(config: &Config) -> Result<(), LimitError> {
    let optional = |present: bool, max: u32| if present { 1..=max } else { 0..=0 };
    let has_features = config.input_stem != InputStem::Tokens;
    for (name, value, range) in [
        ("width of the model", config.d_model, 1..=WIDTH_MAX),
        ("width of the MLP", config.d_hidden, 1..=WIDTH_MAX),
        ("number of layers", config.layers, 1..=LAYERS_MAX),
        ("number of encoder layers", config.encoder_layers, optional(config.has_cross(), LAYERS_MAX)),
        ("number of attention heads", config.heads, 1..=HEADS_MAX),
        ("number of key/value heads", config.kv_heads, 1..=config.heads.max(1)),
        ("width of a head", config.head_dim, 1..=HEAD_DIM_MAX),
        ("vocabulary size", config.vocab, optional(config.has_embedding(), VOCAB_MAX)),
        ("context", config.context, 1..=CONTEXT_MAX),
        ("number of labels", config.labels, 0..=LABELS_MAX),
        ("width of an input row", config.features, optional(has_features, FEATURES_MAX)),
        ("context of the encoder", config.encoder_context, optional(config.has_cross(), CONTEXT_MAX)),
    ] {
        if !range.contains(&value) {
            return Err(LimitError::Range { name, value, min: *range.start(), max: *range.end() });
        }
    }
    let Config { heads, kv_heads, head_dim, norm_eps, vocab, bos, eos, .. } = *config;
    if !heads.is_multiple_of(kv_heads) {
        return Err(LimitError::HeadGroups { heads, kv_heads });
    }
    let rotary_dim = config.rotary_dim();
    if config.positions == PositionKind::Rotary && !(rotary_dim.is_multiple_of(2) && rotary_dim <= head_dim) {
        return Err(LimitError::RotaryDim { rotary_dim, head_dim });
    }
    if !(norm_eps.is_finite() && norm_eps >= 0.0) {
        return Err(LimitError::NormEps(norm_eps));
    }
    if config.has_embedding() && (bos >= vocab || eos >= vocab) {
        return Err(LimitError::SpecialTokens { bos, eos, vocab });
    }
    Ok(())
}

/// The width of a head, for models whose heads share the model's width, stated as `name`.
///
/// # Errors
/// [`LimitError::HeadWidth`].
pub fn head_dim(width: u32, heads: u32, name: &'static str) -> Result<u32, LimitError> {
    if heads == 0 || width == 0 || !width.is_multiple_of(heads) {
        return Err(LimitError::HeadWidth { name, width, heads });
    }
    Ok(width / heads)
}
