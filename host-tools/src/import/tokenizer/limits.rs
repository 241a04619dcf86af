//! Limits of a tokenizer in an image.

/// Longest piece that an image stores, bytes.
pub const PIECE_BYTES_MAX: usize = attoformer::internals::tokenizer::flags::MAX_PIECE_BYTES;
