//! Functions of `cargo xtask` that the whole-system tests call too.

pub mod answer;
pub mod attention;
pub mod emulation;
pub mod emulator;
pub mod firmware;
pub mod footprint;
#[cfg(feature = "logs")]
pub mod logs;
pub mod machines;
pub mod npm;
pub mod output;
pub mod process;
pub mod program;
pub mod tally;
pub mod tokens_image;
