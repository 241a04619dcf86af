//! AVX2: eight f32, eight i32 or sixteen i16 at a time.
//!
//! Quantized rows keep scalar's form, i16 in natural order: `vpmaddwd` multiplies sixteen of them with sign-extended weights exactly, whatever
//! the weights are. Multiplications and additions of floats stay apart; FMA is never used.

#![allow(unsafe_code)]

mod attention;
mod avx512;
mod dots;
mod elementwise;
mod exp;
mod float;
mod integer;
mod vector;

use super::{Kernels, KeyRows, Matrix, QuantizedRows, QueryTile, SoftmaxNorm, ValueBlocks};
use crate::format::Activation;

cpufeatures::new!(cpu_avx2, "avx2");

pub use avx512::avx512_vnni;

/// The set, when this CPU (and its operating system) can run it.
pub fn avx2() -> Option<&'static Kernels> {
    cpu_avx2_f16c().then_some(&AVX2)
}

fn cpu_avx2_f16c() -> bool {
    // CPUID leaf 1, ECX bit 29 is F16C. A CPU with AVX2 has this leaf, and F16C needs nothing from the system that AVX2 does not need.
    let f16c = || core::arch::x86_64::__cpuid(1).ecx >> 29 & 1 == 1;
    cpu_avx2::get() && f16c()
}

/// Private, so that [`avx2`] is the only way to its functions: they rely on the CPU having been asked.
static AVX2: Kernels = SET;

const SET: Kernels = Kernels {
    name: "avx2",
    quantize,
    matmul_i8,
    matmul_i4,
    matmul_f16,
    matmul_f32,
    quantize_query: super::scalar::quantize_query,
    scores,
    scores_tile,
    softmax_weights,
    weighted_value_sum,
    weighted_value_sum_tile,
    layer_norm,
    rms_norm,
    activate,
    gate,
};

fn quantize(x: &[f32], in_scale: &[f32], out: &mut [i16]) -> f32 {
    // SAFETY: `avx2` has found the CPU's AVX2 and F16C.
    unsafe { elementwise::quantize(x, in_scale, out) }
}

fn matmul_i8(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    // SAFETY: `avx2` has found the CPU's AVX2 and F16C.
    unsafe { integer::matmul_i8(matrix, x, out) }
}

fn matmul_i4(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    // SAFETY: `avx2` has found the CPU's AVX2 and F16C.
    unsafe { integer::matmul_i4(matrix, x, out) }
}

fn matmul_f16(matrix: &Matrix<'_>, x: &[f32], out: &mut [f32]) {
    // SAFETY: `avx2` has found the CPU's AVX2 and F16C.
    unsafe { float::matmul::<true>(matrix, x, out) }
}

fn matmul_f32(matrix: &Matrix<'_>, x: &[f32], out: &mut [f32]) {
    // SAFETY: `avx2` has found the CPU's AVX2 and F16C.
    unsafe { float::matmul::<false>(matrix, x, out) }
}

fn scores(q: &[i16], exponent: i32, keys: &KeyRows<'_>, out: &mut [i32]) -> i32 {
    // SAFETY: `avx2` has found the CPU's AVX2 and F16C.
    unsafe { attention::scores(q, exponent, keys, out) }
}

fn softmax_weights(scores: &mut [i32], largest: i32, value_scales: &[f32], out: &mut [i16]) -> SoftmaxNorm {
    // SAFETY: `avx2` has found the CPU's AVX2 and F16C.
    unsafe { attention::softmax_weights(scores, largest, value_scales, out) }
}

fn weighted_value_sum(weights: &[i16], values: &ValueBlocks<'_>, out: &mut [i32]) {
    // SAFETY: `avx2` has found the CPU's AVX2 and F16C.
    unsafe { attention::weighted_value_sum(weights, values, out) }
}

fn scores_tile(queries: &QueryTile<'_>, keys: &KeyRows<'_>, stride: usize, out: &mut [i32], largest: &mut [i32]) {
    super::scalar::scores_tile_of(scores, queries, keys, stride, out, largest);
}

fn weighted_value_sum_tile(weights: &[i16], stride: usize, values: &ValueBlocks<'_>, head_dim: usize, out: &mut [i32]) {
    super::scalar::weighted_value_sum_tile_of(weighted_value_sum, weights, stride, values, head_dim, out);
}

fn layer_norm(x: &[f32], scale: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
    // SAFETY: `avx2` has found the CPU's AVX2 and F16C.
    unsafe { float::layer_norm(x, scale, bias, eps, out) }
}

fn rms_norm(x: &[f32], scale: &[f32], eps: f32, out: &mut [f32]) {
    // SAFETY: `avx2` has found the CPU's AVX2 and F16C.
    unsafe { float::rms_norm(x, scale, eps, out) }
}

fn activate(activation: Activation, x: &mut [f32]) {
    // SAFETY: `avx2` has found the CPU's AVX2 and F16C.
    unsafe { elementwise::activate(activation, x) }
}

fn gate(activation: Activation, gate: &[f32], up: &[f32], out: &mut [f32]) {
    // SAFETY: `avx2` has found the CPU's AVX2 and F16C.
    unsafe { elementwise::gate(activation, gate, up, out) }
}
