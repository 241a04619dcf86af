//! Limits of what an image may state. They keep every sum exact and every size of the arena below 2^63.

/// Widest matrix input, columns: the longest int8 dot product that is exact in 32 bits (128 * 127 * 131,072 < 2^31).
pub const WIDTH_MAX: u32 = 131_072;
/// Widest int4 matrix input, columns: the longest row whose group sums are exact in 32 bits (8 * 127 * 127 * 16,384 < 2^31).
pub const INT4_COLUMNS_MAX: u32 = 16_384;
/// Widest head: 2,048 * 128 * 512 is 2^27, which leaves a score three bits of headroom.
pub const HEAD_DIM_MAX: u32 = 512;
/// Largest vocabulary, tokens.
#[doc(alias = "max_vocab_size")]
pub const VOCAB_MAX: u32 = 1 << 24;
/// Longest sequence, tokens.
#[doc(alias = "max_position_embeddings")]
pub const CONTEXT_MAX: u32 = 1 << 20;
/// Most layers of a stack.
pub const LAYERS_MAX: u32 = 1024;
/// Most query heads.
pub const HEADS_MAX: u32 = 1024;
/// Most ranges of distances of a relative position bias.
pub const BUCKETS_MAX: u32 = 1024;
/// Most labels of a classifier.
pub const LABELS_MAX: u32 = 1 << 16;
/// Most sections of an image.
pub const SECTIONS_MAX: u32 = 16;
/// Largest distance with an addend of its own in a relative position bias; farther keys share the addend of this distance (T5's largest).
pub const BIAS_SPAN: usize = 128;
