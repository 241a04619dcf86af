//! AVX-512 with VNNI: `vpdpbusd` multiplies 64 bytes, one operand unsigned, and adds four neighboring products to each of sixteen
//! accumulators; `vpdpwssd` does so with 32 halfwords. Neither saturates.
//!
//! A quantized row is bytes with a zero point of 128, `q + 128`, at the start of its memory. The products with the zero point are subtracted:
//! the sum of a row's weights is computed once for many tokens. A row of twelve bits is `128 * high + low`: for each four columns, four bytes of
//! the high parts and four of the low ones, both with that zero point, so that it is multiplied as two rows of bytes. Functions whose summation order the specification fixes at eight lanes are reused from the AVX2 set.

mod attention;
mod gemv;
mod int4;
mod int8;
mod panel;
mod vector;

use super::super::set::{Functions, Kernels};
use super::super::views::{KeyRows, Matrix, QuantizedRows, QueryTile, SoftmaxNorm, ValueBlocks};
use super::avx2;
use super::cpu::Avx512;
use super::elementwise::{Eight, Twelve};
use crate::format::types::Activation;

/// The set, for a CPU that has the instructions.
pub fn kernels(_: Avx512) -> &'static Kernels {
    &AVX512_VNNI
}

/// Private: whoever has this set has the evidence that its functions rely on.
static AVX512_VNNI: Kernels = Kernels::new(Functions {
    name: "avx512-vnni",
    quantize,
    #[cfg(feature = "a12")]
    quantize_a12,
    #[cfg(feature = "a12")]
    matmul_i8_a12,
    #[cfg(feature = "int8")]
    matmul_i8,
    #[cfg(feature = "int4")]
    matmul_i4,
    #[cfg(feature = "kv-int8")]
    quantize_query,
    #[cfg(feature = "kv-int8")]
    scores_tile,
    #[cfg(feature = "kv-int8")]
    softmax_weights,
    #[cfg(feature = "kv-int8")]
    weighted_value_sum_tile,
    #[cfg(feature = "kv-float")]
    softmax_float,
    activate,
    gate,
    ..avx2::FUNCTIONS
});

/// The table's functions: each calls one that is compiled for the set's instructions.
macro_rules! entries {
    ($($(#[$attribute:meta])* $name:ident($($argument:ident: $kind:ty),*) $(-> $out:ty)? = $call:expr;)+) => {$(
        $(#[$attribute])*
        fn $name($($argument: $kind),*) $(-> $out)? {
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,f16c")]
            fn compiled($($argument: $kind),*) $(-> $out)? {
                $call
            }
            // SAFETY: a set with this function is for CPUs with AVX-512, VNNI, AVX2 and F16C only.
            unsafe { compiled($($argument),*) }
        }
    )+};
}

entries! {
    quantize(x: &[f32], in_scale: &[f32], out: &mut [i16]) -> f32 =
        super::elementwise::quantize::<16, _, Eight>(Avx512::compiled(), x, in_scale, out);
    quantize_a12(x: &[f32], in_scale: &[f32], out: &mut [i16]) -> f32 =
        super::elementwise::quantize::<16, _, Twelve>(Avx512::compiled(), x, in_scale, out);
    quantize_query(x: &[f32], factor: f32, out: &mut [i16]) -> i32 = super::elementwise::quantize_query(Avx512::compiled(), x, factor, out);
    activate(activation: Activation, x: &mut [f32]) = super::elementwise::activate(Avx512::compiled(), activation, x);
    gate(activation: Activation, gate: &[f32], up: &[f32], out: &mut [f32]) =
        super::elementwise::gate(Avx512::compiled(), activation, gate, up, out);
    softmax_weights(scores: &mut [i32], largest: i32, value_scales: &[f32], out: &mut [i16]) -> SoftmaxNorm =
        super::softmax::softmax_weights(Avx512::compiled(), scores, largest, value_scales, out);
    #[cfg(feature = "kv-float")]
    softmax_float(scores: &mut [f32]) -> u64 = super::softmax::softmax_float(Avx512::compiled(), scores);
    matmul_i8(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) = int8::matmul_i8(matrix, x, out);
    matmul_i8_a12(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) = int8::matmul_i8_a12(matrix, x, out);
    matmul_i4(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) = int4::matmul_i4(matrix, x, out);
    scores_tile(queries: &QueryTile<'_>, keys: &KeyRows<'_>, stride: usize, out: &mut [i32], largest: &mut [i32]) =
        attention::scores_tile(queries, keys, stride, out, largest).unwrap_or_else(|| {
            avx2::scores_tile(queries, keys, stride, out, largest);
        });
    weighted_value_sum_tile(weights: &[i16], stride: usize, values: &ValueBlocks<'_>, head_dim: usize, out: &mut [i32]) =
        attention::weighted_value_sum_tile(weights, stride, values, head_dim, out).unwrap_or_else(|| {
            avx2::weighted_value_sum_tile(weights, stride, values, head_dim, out);
        });
}
