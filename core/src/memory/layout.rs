//! Sizes and strides of the parts of an arena.

use crate::format::{Architecture, AttentionKind, Config, KvType};

/// Alignment of an arena and of every part of it.
pub const ALIGN: usize = 16;
/// Keys that one exact weighted sum may span (rule 7 of the numeric specification).
pub const KEYS_PER_SUM: usize = 4096;

/// Elements of a quantized row of `columns` values, rounded up to a multiple of four.
pub const fn quantized_stride(columns: usize) -> usize {
    columns.next_multiple_of(4)
}

/// Bytes of the KV cache of the sequence itself. An encoder finishes one layer before the next begins, so its layers share one layer's bytes.
pub const fn kv_bytes(config: &Config, context: u32) -> u64 {
    let layers = match config.architecture {
        Architecture::Decoder | Architecture::EncoderDecoder => config.layers,
        Architecture::Encoder => 1,
    };
    aligned(layers as u64 * kv_layer_bytes(config, context))
}

/// Bytes of the cache for cross-attention: keys and values of the encoder's rows, for each layer of the decoder. The encoder's own layers use the
/// first layer's bytes.
pub const fn cross_bytes(config: &Config) -> u64 {
    if config.has_cross() { aligned(config.layers as u64 * kv_layer_bytes(config, config.encoder_context)) } else { 0 }
}

/// Bytes of one layer's cache: keys, values, then a scale for each token of both (int8); or of linear attention's state.
pub const fn kv_layer_bytes(config: &Config, context: u32) -> u64 {
    let tokens = (context as u64).next_multiple_of(4);
    let row = kv_stride(config) as u64;
    match (config.attention, config.kv) {
        (AttentionKind::Linear, _) => config.kv_heads as u64 * linear_state_len(config.head_dim as usize) as u64 * 4,
        (_, KvType::F32) => tokens * row * 8,
        (_, KvType::F16) => tokens * row * 4,
        (_, KvType::Int8) => tokens * row * 2 + tokens * 8,
    }
}

/// Elements of a token's row of keys or values.
pub const fn kv_stride(config: &Config) -> usize {
    (config.kv_dim() as usize).next_multiple_of(4)
}

pub(super) const fn max(a: u64, b: u64) -> u64 {
    if a > b { a } else { b }
}

pub(super) const fn aligned(bytes: u64) -> u64 {
    bytes.next_multiple_of(ALIGN as u64)
}

/// Elements of one head's state under linear attention: z and the rows of S, and the rounding error of each of them.
pub const fn linear_state_len(head_dim: usize) -> usize {
    2 * linear_sums_len(head_dim)
}

/// Elements of z `(head_dim)` and S `(head_dim, head_dim)`.
pub const fn linear_sums_len(head_dim: usize) -> usize {
    head_dim * (head_dim + 1)
}
