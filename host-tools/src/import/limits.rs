//! Sizes that a model file states, checked before anything is computed with them.

use attoformer::format::{HEAD_DIM_MAX, WIDTH_MAX};
use attoformer::image::{Config, InputStem, PositionKind};

/// Widest input row: three of them are one of a convolution.
const FEATURES_MAX: u32 = WIDTH_MAX / 3;
/// Most values of a table that is computed and not read.
pub const COMPUTED_MAX: u64 = 1 << 26;

/// Refuses sizes that no image has, so that products of two of them cannot overflow.
///
/// # Errors
/// A sentence's end that names the size.
pub fn check(config: &Config) -> Result<(), String> {
    let tokens = if config.has_embedding() { 1..=1 << 24 } else { 0..=0 };
    let encoder = if config.has_cross() { 1..=1024 } else { 0..=0 };
    for (name, size, range) in [
        ("width", config.d_model, 1..=WIDTH_MAX),
        ("width of the MLP", config.d_hidden, 1..=WIDTH_MAX),
        ("number of layers", config.layers, 1..=1024),
        ("number of encoder layers", config.encoder_layers, encoder),
        ("number of heads", config.heads, 1..=1024),
        ("number of key/value heads", config.kv_heads, 1..=config.heads.max(1)),
        ("width of a head", config.head_dim, 1..=HEAD_DIM_MAX),
        ("vocabulary", config.vocab, tokens),
        ("context", config.context, 1..=1 << 20),
        ("number of labels", config.labels, 0..=1 << 16),
        ("width of an input row", config.features, if config.input_stem == InputStem::Tokens { 0..=0 } else { 1..=FEATURES_MAX }),
        ("context of the encoder", config.encoder_context, if config.has_cross() { 1..=1 << 20 } else { 0..=0 }),
    ] {
        if !range.contains(&size) {
            return Err(format!("it states {size} as its {name}; what can be read is {} to {}", range.start(), range.end()));
        }
    }
    if !config.heads.is_multiple_of(config.kv_heads) {
        return Err(format!("{} heads do not share {} key/value heads evenly", config.heads, config.kv_heads));
    }
    if config.positions == PositionKind::Rotary && !turns(config) {
        return Err(format!("{} dimensions of a head of {} cannot turn in pairs", config.rotary_dim(), config.head_dim));
    }
    if !(config.norm_eps.is_finite() && config.norm_eps >= 0.0) {
        return Err(format!("it states {} as the epsilon of its norms", config.norm_eps));
    }
    if config.has_embedding() && (config.bos >= config.vocab || config.eos >= config.vocab) {
        return Err(format!("its tokens {} and {} are beyond its vocabulary of {}", config.bos, config.eos, config.vocab));
    }
    Ok(())
}

/// Whether the turning part of a head is there and even.
fn turns(config: &Config) -> bool {
    config.rotary_dim().is_multiple_of(2) && config.rotary_dim() <= config.head_dim
}

/// The width of a head, where it follows from the other two.
///
/// # Errors
/// A sentence's end: the heads do not share the width evenly.
pub fn head_dim(width: u32, heads: u32, name: &str) -> Result<u32, String> {
    if heads == 0 || width == 0 || !width.is_multiple_of(heads) {
        return Err(format!("a {name} of {width} does not divide into {heads} heads"));
    }
    Ok(width / heads)
}
