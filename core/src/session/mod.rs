//! Sessions: one sequence each, fed token by token, in a batch, or as text.

mod batch;
#[cfg(feature = "encoder")]
mod encode;
mod generate;
mod lens;
mod prompt;
mod sequence;

pub use generate::{End, Generation, Hooks, Limits, Piece, Work};
pub use sequence::Session;
