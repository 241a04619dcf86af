//! Writes firmware and model to a board: reads the firmware, checks that it and the image fit the board, and writes a file or starts the program that
//! writes the flash.
//!
//! ```text
//! IMAGE --fit--+
//!              +--> plan --> uf2, hex, bin, or flasher (atto-probe, espflash)
//! ELF --program+
//! ```

mod bin;
mod boot;
mod elf;
mod error;
pub mod firmware;
pub mod fit;
pub mod flasher;
mod hex;
mod output;
mod plan;
mod program;
mod segment;
mod statement;
mod uf2;

pub use bin::encode as encode_bin;
pub use error::FlashError;
pub use hex::encode as encode_hex;
pub use output::{FileKind, write_file};
pub use plan::{Plan, Report};
pub use program::Program;
pub use segment::Segment;
pub use uf2::{decode as decode_uf2, encode as encode_uf2};
