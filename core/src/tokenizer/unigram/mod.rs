//! Unigram (Kudo 2018): of all segmentations of a word into pieces, the one with the highest sum of scores, by the Viterbi algorithm.
//!
//! The results are those of the `tokenizers` crate: sums are f64, from the left, and of equal sums the one with the longer last piece wins.
//! Pieces have spaces where the files write U+2581, and in a text U+2581 is a space. A text is an iterator that is read as often as needed:
//! its characters, their replacements by a map (`mapped.rs`), with runs of spaces collapsed (`spaces.rs`).

mod charmap;
mod clusters;
mod encode;
mod mapped;
mod model;
mod spaces;
mod tables;
mod viterbi;

pub use encode::encode;
pub use model::Unigram;
