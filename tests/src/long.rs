//! Small models with a long context, one of each kind of attention: what grows with the length shows, and little else.

use attoformer::image::{Architecture, AttentionKind, KvType, MaskKind, Pooling};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::quantize::Format;

use crate::random_model::RandomModel;

/// Longest sequence of each of them.
pub const CONTEXT: u32 = 16_384;

/// Two layers of width 64 with four heads of 16, of random weights, by name.
pub fn models() -> [(&'static str, RandomModel); 4] {
    let small = RandomModel::small();
    let full = attoformer::config! { d_model: 64, d_hidden: 128, heads: 4, kv_heads: 4, head_dim: 16, vocab: 512, context: CONTEXT, ..small.config };
    let windowed = attoformer::config! { mask: MaskKind::Window, window: Some(256), ..full };
    let linear = attoformer::config! { attention: AttentionKind::Linear, ..full };
    // Longformer's mask: 128 tokens on either side, and four that see and are seen by all.
    let local = attoformer::config! {
        architecture: Architecture::Encoder,
        mask: MaskKind::Local,
        window: Some(128),
        globals: 4,
        pooling: Pooling::Mean,
        tied_head: false,
        ..full
    };
    [("full", full), ("windowed", windowed), ("linear", linear), ("encoder, local and global", local)]
        .map(|(name, config)| (name, RandomModel { config, ..small }))
}

/// The image that is measured: int8 weights, int8 keys and values.
pub fn image(model: &RandomModel) -> AlignedBytes {
    model.pack(Format::Int8, KvType::Int8)
}
