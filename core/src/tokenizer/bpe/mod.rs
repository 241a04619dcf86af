//! SentencePiece-style byte-pair encoding (BPE), as llama2.c runs it and as the `tokenizers` crate does: characters merge by the scores of the
//! pieces that they form, and characters that the vocabulary lacks become byte tokens (byte fallback).

mod encode;
mod merge;
mod model;

pub use encode::encode;
pub use model::Bpe;
