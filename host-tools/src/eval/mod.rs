//! Quality of an image on data: perplexity and KL divergence, semantic textual similarity, classification accuracy.

pub mod accuracy;
mod examples;
pub mod perplexity;
mod reference;
pub mod sts;

pub use reference::{ImageBytes, reference};
