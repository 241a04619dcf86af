//! Quality of an image on data: perplexity and KL divergence, semantic textual similarity, classification accuracy, word error rate.

pub mod accuracy;
mod examples;
pub mod pairs;
pub mod perplexity;
mod reference;
pub mod scoring;
pub(crate) mod softmax;
pub mod sts;
pub mod tally;
pub mod transcripts;
mod words;

pub use reference::{ImageBytes, reference};
pub use words::{word_edits, words};
