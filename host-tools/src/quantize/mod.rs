//! Quantization arithmetic: int8 with per-channel scales, int4 with group scales, f16, and the error of each.
//!
//! An integer format has two steps: search the scales of a row (output channel), then round its values to them, each alone or by GPTQ, which
//! sees the statistics of the inputs.
//!
//! Results depend neither on the number of threads nor on the CPU: threads share independent outputs only, every sum has a fixed order, and the
//! versions of a loop for several instruction sets have the same bits.

mod cholesky;
pub mod error;
mod format;
mod gptq;
pub mod hessian;
pub mod int4;
mod int8;
mod matrix;
mod method;
mod panels;
pub mod product;
mod quantized;
mod rounding;
pub mod smoothing;
#[cfg(test)]
mod testing;

pub use format::{Format, FormatError, Grid};
pub use hessian::{Hessian, HessianBuilder};
pub use matrix::Matrix;
pub use method::{Rounding, quantize};
pub use quantized::{Quantized, Values};
