//! Measures speed and memory of an image on this PC.

#[cfg(feature = "plots")]
pub mod plot;
pub mod scaling;
mod speed;

pub use speed::{Speeds, measure, measure_encoder, peak_rss_bytes, rate};
