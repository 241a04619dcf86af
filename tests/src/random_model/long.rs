//! Small models with a long context, one for each kind of attention, so that costs that grow with the length dominate.

use attoformer::image::{Architecture, AttentionKind, KvType, MaskKind, Pooling};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::quantize::Format;

use super::RandomModel;

/// Context length of each model.
const CONTEXT: u32 = 16_384;

/// Models with two layers of width 64, four heads of 16 and random weights, by name.
pub fn long_models() -> [(&'static str, RandomModel); 4] {
    let small = RandomModel::small();
    let full = attoformer::config! { d_model: 64, d_hidden: 128, heads: 4, kv_heads: 4, head_dim: 16, vocab: 512, context: CONTEXT, ..small.config };
    let windowed = attoformer::config! { mask: MaskKind::Window, window: Some(256), ..full };
    let linear = attoformer::config! { attention: AttentionKind::Linear, ..full };
    // Longformer's mask: a sliding window of 128 tokens on either side, and four global tokens.
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

/// Packs a model for measurements: int8 weights and an int8 KV cache.
pub fn long_image(model: &RandomModel) -> AlignedBytes {
    model.pack(Format::Int8, KvType::Int8)
}
