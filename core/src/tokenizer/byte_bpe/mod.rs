//! Byte-level byte-pair encoding (BPE; GPT-2 and its successors): a pre-tokenizer splits a text into words by one of a few patterns, and each
//! word is merged from single bytes by merge rank (Sennrich et al. 2016; Radford et al. 2019).
//!
//! The results are those of the `tokenizers` crate. If the vocabulary says so (Qwen's do), a text is normalized to Unicode's form C first.

mod class;
mod encode;
mod merge;
mod model;
mod pre_tokenizer;
mod tables;

pub use encode::encode;
pub use model::ByteBpe;
