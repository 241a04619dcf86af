//! WordPiece: words are split into the longest pieces of a vocabulary, after BERT's normalizer and pre-tokenizer (Devlin et al. 2018).
//!
//! The results are those of the `tokenizers` crate's BERT normalizer, pre-tokenizer and WordPiece model, whose versions of Unicode are kept
//! (see `class.rs`).

mod class;
mod encode;
mod normalize;
mod tables;

pub use encode::WordPiece;
