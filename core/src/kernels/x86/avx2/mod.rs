//! AVX2: eight f32, eight i32 or sixteen i16 per register.
//!
//! Quantized rows keep scalar's form, i16 in natural order: `vpmaddwd` multiplies sixteen of them with sign-extended weights exactly, for all
//! weights. Multiplications and additions of floats are separate instructions; FMA is never used, since it rounds once instead of twice.

mod attention;
mod dots;
mod float;
#[cfg(feature = "kv-float")]
mod float_cache;
mod integer;
mod norms;
mod vector;

pub use dots::Strided;
pub use integer::matmul_i4_bytes;
pub use vector::{load_f32_at, store_f32_at, sums_i32};

#[cfg(feature = "kv-float")]
use super::super::float_cache::{FloatKeys, FloatTile, FloatValues};
use super::super::int8_cache::{scores_tile_of, weighted_value_sum_tile_of};
use super::super::set::{Functions, Kernels};
use super::super::views::{KeyRows, Matrix, QuantizedRows, QueryTile, SoftmaxNorm, ValueBlocks};
use super::cpu::Avx2;
use super::elementwise::{Eight, Twelve};
use crate::format::types::Activation;

/// The set, for a CPU that has the instructions.
pub fn kernels(_: Avx2) -> &'static Kernels {
    &AVX2
}

/// Private, so that a caller gets this set only after the CPU check. [`FUNCTIONS`] may be reused only by sets whose CPUs have AVX2.
static AVX2: Kernels = Kernels::new(FUNCTIONS);

/// The AVX-512 set reuses the functions whose eight-lane summation order the specification fixes.
pub const FUNCTIONS: Functions = Functions {
    name: "avx2",
    quantize,
    #[cfg(feature = "int8")]
    matmul_i8,
    #[cfg(feature = "a12")]
    quantize_a12,
    #[cfg(feature = "a12")]
    matmul_i8_a12,
    #[cfg(feature = "int4")]
    matmul_i4,
    #[cfg(feature = "f16")]
    matmul_f16,
    #[cfg(feature = "f32")]
    matmul_f32,
    #[cfg(feature = "kv-int8")]
    quantize_query,
    #[cfg(feature = "kv-int8")]
    scores,
    #[cfg(feature = "kv-int8")]
    scores_tile,
    #[cfg(feature = "kv-int8")]
    softmax_weights,
    #[cfg(feature = "kv-int8")]
    weighted_value_sum,
    #[cfg(feature = "kv-int8")]
    weighted_value_sum_tile,
    #[cfg(feature = "kv-float")]
    scores_f32,
    #[cfg(feature = "kv-float")]
    scores_f16,
    #[cfg(feature = "kv-float")]
    softmax_float,
    #[cfg(feature = "kv-float")]
    add_values_f32,
    #[cfg(feature = "kv-float")]
    add_values_f16,
    layer_norm,
    rms_norm,
    activate,
    gate,
};

/// `int8_cache::scores_tile`, query by query.
pub fn scores_tile(queries: &QueryTile<'_>, keys: &KeyRows<'_>, stride: usize, out: &mut [i32], largest: &mut [i32]) {
    scores_tile_of(scores, queries, keys, stride, out, largest);
}

/// `int8_cache::weighted_value_sum_tile`, query by query.
pub fn weighted_value_sum_tile(weights: &[i16], stride: usize, values: &ValueBlocks<'_>, head_dim: usize, out: &mut [i32]) {
    weighted_value_sum_tile_of(weighted_value_sum, weights, stride, values, head_dim, out);
}

/// The table's functions: each calls one that is compiled for the set's instructions.
macro_rules! entries {
    ($($(#[$attribute:meta])* $name:ident($($argument:ident: $kind:ty),*) $(-> $out:ty)? = $call:expr;)+) => {$(
        $(#[$attribute])*
        fn $name($($argument: $kind),*) $(-> $out)? {
            #[target_feature(enable = "avx2,f16c")]
            fn compiled($($argument: $kind),*) $(-> $out)? {
                $call
            }
            // SAFETY: a set with this function is for CPUs with AVX2 and F16C only.
            unsafe { compiled($($argument),*) }
        }
    )+};
}

entries! {
    quantize(x: &[f32], in_scale: &[f32], out: &mut [i16]) -> f32 =
        super::elementwise::quantize::<8, _, Eight>(Avx2::compiled(), x, in_scale, out);
    quantize_a12(x: &[f32], in_scale: &[f32], out: &mut [i16]) -> f32 =
        super::elementwise::quantize::<8, _, Twelve>(Avx2::compiled(), x, in_scale, out);
    quantize_query(x: &[f32], factor: f32, out: &mut [i16]) -> i32 = super::elementwise::quantize_query(Avx2::compiled(), x, factor, out);
    activate(activation: Activation, x: &mut [f32]) = super::elementwise::activate(Avx2::compiled(), activation, x);
    gate(activation: Activation, gate: &[f32], up: &[f32], out: &mut [f32]) =
        super::elementwise::gate(Avx2::compiled(), activation, gate, up, out);
    softmax_weights(scores: &mut [i32], largest: i32, value_scales: &[f32], out: &mut [i16]) -> SoftmaxNorm =
        super::softmax::softmax_weights(Avx2::compiled(), scores, largest, value_scales, out);
    matmul_i8(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) = integer::matmul_i8(matrix, x, out);
    matmul_i8_a12(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) = integer::matmul_i8_a12(matrix, x, out);
    matmul_i4(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) = integer::matmul_i4(matrix, x, out);
    matmul_f16(matrix: &Matrix<'_>, x: &[f32], out: &mut [f32]) = float::matmul::<true>(matrix, x, out);
    matmul_f32(matrix: &Matrix<'_>, x: &[f32], out: &mut [f32]) = float::matmul::<false>(matrix, x, out);
    scores(q: &[i16], exponent: i32, keys: &KeyRows<'_>, out: &mut [i32]) -> i32 = attention::scores(q, exponent, keys, out);
    weighted_value_sum(weights: &[i16], values: &ValueBlocks<'_>, out: &mut [i32]) = attention::weighted_value_sum(weights, values, out);
    #[cfg(feature = "kv-float")]
    scores_f32(queries: &FloatTile<'_>, keys: &FloatKeys<'_, f32>, scale: f32, stride: usize, out: &mut [f32]) =
        float_cache::scores::<false, f32>(queries, keys, scale, stride, out);
    #[cfg(feature = "kv-float")]
    scores_f16(queries: &FloatTile<'_>, keys: &FloatKeys<'_, u16>, scale: f32, stride: usize, out: &mut [f32]) =
        float_cache::scores::<true, u16>(queries, keys, scale, stride, out);
    #[cfg(feature = "kv-float")]
    softmax_float(scores: &mut [f32]) -> u64 = super::softmax::softmax_float(Avx2::compiled(), scores);
    #[cfg(feature = "kv-float")]
    add_values_f32(weights: &FloatTile<'_>, values: &FloatValues<'_, f32>, stride: usize, out: &mut [f32]) =
        float_cache::add_values::<false, f32>(weights, values, stride, out);
    #[cfg(feature = "kv-float")]
    add_values_f16(weights: &FloatTile<'_>, values: &FloatValues<'_, u16>, stride: usize, out: &mut [f32]) =
        float_cache::add_values::<true, u16>(weights, values, stride, out);
    layer_norm(x: &[f32], scale: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) = norms::layer_norm(x, scale, bias, eps, out);
    rms_norm(x: &[f32], scale: &[f32], eps: f32, out: &mut [f32]) = norms::rms_norm(x, scale, eps, out);
}
