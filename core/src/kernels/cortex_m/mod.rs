//! Cortex-M cores with the DSP extension and a single-precision FPU: M4F, M7, M33.
//!
//! Quantized rows hold each group of four columns in the order 0, 2, 1, 3. A word of four int8 weights then needs SXTB16 for columns 0 and 2,
//! SXTB16 with a rotation for 1 and 3, and an SMLAD for each: two products an instruction. The cortex-m-dsp layout keeps its columns in
//! the same order, so one `quantize` serves both.

#![allow(unsafe_code)]

/// First line of an assembly block. Stable Rust cannot say that a thumbv8m.main core has the DSP extension, and outside of functions it
/// forgets the FPU; Cortex-M4 has exactly the instructions that this set uses.
macro_rules! instructions {
    () => {
        ".cpu cortex-m4"
    };
}
use instructions;

mod activation;
mod attention;
mod dsp;
mod elementwise;
mod float;
mod int4;
mod int8;
mod linear;
mod softmax;

use super::layout::interleave_index;
use super::{Kernels, scalar};

/// The set.
pub static CORTEX_M_DSP: Kernels = Kernels {
    name: "cortex-m-dsp",
    quantize: elementwise::quantize,
    matmul_i8: linear::matmul_i8,
    matmul_i4: linear::matmul_i4,
    matmul_f16: float::matmul_f16,
    matmul_f32: float::matmul_f32,
    quantize_query: scalar::quantize_query,
    scores: attention::scores,
    scores_tile: |queries, keys, stride, out, largest| scalar::scores_tile_of(attention::scores, queries, keys, stride, out, largest),
    softmax_weights: softmax::softmax_weights,
    weighted_value_sum: attention::weighted_value_sum,
    weighted_value_sum_tile: |weights, stride, values, head_dim, out| {
        scalar::weighted_value_sum_tile_of(attention::weighted_value_sum, weights, stride, values, head_dim, out)
    },
    layer_norm: crate::numeric::layer_norm,
    rms_norm: float::rms_norm,
    activate: activation::activate,
    gate: activation::gate,
};

/// Whether an address suits LDM and LDRD, which take whole words only.
#[inline(always)]
fn is_word_aligned<T>(slice: &[T]) -> bool {
    slice.as_ptr().addr().is_multiple_of(4)
}
