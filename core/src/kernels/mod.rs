//! The loops that cost time: one table of functions per instruction set, each equal to [`scalar`] in every bit.
//!
//! A PC picks its table when a session is opened ([`best`]); a microcontroller's is chosen when it is compiled, so that only that one is
//! linked. Nothing is dispatched per dot product: a call covers a whole matrix, row or cache.
//! Kernels know matrices, rows and caches; what a transformer is they do not know.

#[cfg(attoformer_backend = "cortex-m-dsp")]
mod cortex_m;
pub mod layout;
pub mod scalar;
mod table;
mod views;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use table::{Kernels, LayerNorm, SCALAR, all, best, by_name};
pub use views::{KeyRows, Matrix, QuantizedRows, QueryTile, SoftmaxNorm, ValueBlocks};
