//! Quantization arithmetic: int8 with per-channel scales, int4 with group scales, f16, and the error of each.
//!
//! An integer format has two steps: search the scales of a row, then round its values to them. Both see one row (output channel) at a time.

mod format;
pub mod int4;
mod int8;
mod quantized;
mod rounding;
pub mod smoothing;

pub use format::{Format, FormatError, Grid};
pub use quantized::{Matrix, Quantized, Values, quantize};
