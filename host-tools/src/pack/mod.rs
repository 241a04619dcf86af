//! Packs a checkpoint into an image: fuses matrices, smooths, quantizes and lays them out, and writes the other sections.

mod activations;
mod assemble;
mod board;
pub mod calibrate;
mod error;
pub mod formats;
pub mod frontend;
mod fuse;
mod golden;
pub mod layout;
mod options;
mod output;
mod prepare;
pub mod sections;
mod smooth;
mod tensor_id;
mod weights;
mod writer;

pub use activations::Activations;
pub use assemble::{Packed, pack};
pub use board::{check_board, check_board_arena, int8_fits};
pub use error::PackError;
pub use options::{Calibration, Options};
pub use output::{check_budget, check_output, write};
pub use tensor_id::tensor_name;
pub use weights::StoredTensor;
pub(crate) use writer::align;
pub use writer::seal;
