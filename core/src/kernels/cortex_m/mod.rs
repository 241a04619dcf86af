//! Cortex-M cores with the DSP extension and a single-precision FPU: M4F, M7, M33, M55. Cortex-M55's Helium (MVE) is not used: it runs these
//! DSP kernels.
//!
//! Quantized rows interleave each group of four columns as 0, 2, 1, 3. A word of four int8 weights then takes one SXTB16 for columns 0 and 2, one
//! SXTB16 with a rotation for 1 and 3, and an SMLAD for each: two products per instruction. The cortex-m-dsp layout has the same order of
//! columns, so one `quantize` serves both layouts.

#![allow(unsafe_code)]

/// First line of an assembly block. Stable Rust cannot enable the DSP extension on thumbv8m.main, and global assembly loses the target's FPU;
/// Cortex-M4 has exactly the instructions that this set uses.
macro_rules! instructions {
    () => {
        ".cpu cortex-m4"
    };
}

/// After an unrolled loop at label 3: fails to assemble unless it has this many steps of this many bytes, which the computed entry relies on.
/// Fewer bytes make the `.space` negative, more bytes make the `.org` go backwards; neither emits anything otherwise.
macro_rules! assert_steps {
    ($steps:literal, $bytes:literal) => {
        concat!(".space (. - 3b) - ", $steps, " * ", $bytes, "\n.org 3b + ", $steps, " * ", $bytes)
    };
}

mod a12;
mod activation;
mod attention;
mod dsp;
mod elementwise;
mod float;
mod int4;
mod int8;
mod linear;
mod softmax;

use super::set::{Functions, Kernels};

/// The set.
pub static CORTEX_M_DSP: Kernels = Kernels::new(Functions {
    name: "cortex-m-dsp",
    quantize: elementwise::quantize,
    #[cfg(feature = "int8")]
    matmul_i8: linear::matmul_i8,
    #[cfg(feature = "a12")]
    quantize_a12: elementwise::quantize_a12,
    #[cfg(feature = "a12")]
    matmul_i8_a12: linear::matmul_i8_a12,
    #[cfg(feature = "int4")]
    matmul_i4: linear::matmul_i4,
    #[cfg(feature = "f16")]
    matmul_f16: float::matmul_f16,
    #[cfg(feature = "f32")]
    matmul_f32: float::matmul_f32,
    #[cfg(feature = "kv-int8")]
    quantize_query: super::int8_cache::quantize_query,
    #[cfg(feature = "kv-int8")]
    scores: attention::scores,
    #[cfg(feature = "kv-int8")]
    scores_tile: |queries, keys, stride, out, largest| {
        super::int8_cache::scores_tile_of(attention::scores, queries, keys, stride, out, largest)
    },
    #[cfg(feature = "kv-int8")]
    softmax_weights: softmax::softmax_weights,
    #[cfg(feature = "kv-int8")]
    weighted_value_sum: attention::weighted_value_sum,
    #[cfg(feature = "kv-int8")]
    weighted_value_sum_tile: |weights, stride, values, head_dim, out| {
        super::int8_cache::weighted_value_sum_tile_of(attention::weighted_value_sum, weights, stride, values, head_dim, out)
    },
    #[cfg(feature = "kv-float")]
    scores_f32: super::float_cache::scores_float,
    #[cfg(feature = "kv-float")]
    scores_f16: super::float_cache::scores_float,
    #[cfg(feature = "kv-float")]
    softmax_float: super::float_cache::softmax_float,
    #[cfg(feature = "kv-float")]
    add_values_f32: super::float_cache::add_values_float,
    #[cfg(feature = "kv-float")]
    add_values_f16: super::float_cache::add_values_float,
    layer_norm: crate::numeric::layer_norm,
    rms_norm: float::rms_norm,
    activate: activation::activate,
    gate: activation::gate,
});
