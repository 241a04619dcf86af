//! Attoformer runs quantized transformers on microcontrollers and on PCs, with the same output bits on every one of them.
//!
//! (the crate's page is written once the default model is there)
#![no_std]
#![deny(unsafe_code)]

#[cfg(target_endian = "big")]
compile_error!("images are little-endian and used in place: Attoformer runs on little-endian targets only");

pub mod arena;
pub mod error;
pub mod generate;
mod hash;
pub mod image;
pub mod kernels;
pub mod layers;
pub mod model;
pub mod numeric;
pub mod sampling;
pub mod session;
pub mod tokenizer;

pub use arena::{Arena, Plan, arena_bytes};
pub use error::Error;
pub use generate::{Generation, Limits, Piece};
pub use hash::OutputHash;
pub use image::Image;
pub use sampling::Sampler;
pub use session::Session;
pub use tokenizer::Tokenizer;

/// Number of the numeric specification that this engine computes; an image carries it and another number is refused.
pub const NUMERICS: u32 = 1;
