//! Unicode's normalization form C (NFC), and the canonical decompositions that it starts from, character by character: no buffer, whatever the
//! number of marks after a letter.
//!
//! The results are those of the `tokenizers` crate, which has Unicode 9. The tables take 12,686 bytes of flash; WordPiece, which only
//! decomposes, needs 9,378 of them.

#[cfg(feature = "byte-bpe")]
mod compose;
mod decompose;
mod tables;

#[cfg(feature = "byte-bpe")]
pub use compose::{Characters, GROWTH};
#[cfg(feature = "wordpiece")]
pub use decompose::Decomposed;
