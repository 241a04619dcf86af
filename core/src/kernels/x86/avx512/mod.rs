//! AVX-512 with VNNI: `vpdpbusd` multiplies 64 bytes, one operand unsigned, and adds four neighbours to each of sixteen sums; `vpdpwssd` does so
//! with 32 halfwords. Neither saturates.
//!
//! A quantized row is bytes, `q + 128`, in the front of its place. Products with the 128 are taken off again: the sum of a row's weights is
//! there once for many tokens. What is left to AVX2 has eight lanes by the specification.

mod attention;
mod elementwise;
mod exp;
mod gemv;
mod int4;
mod int8;
mod panel;
mod vector;

use super::{SET, cpu_avx2_f16c};
use crate::format::Activation;
use crate::kernels::{Kernels, KeyRows, Matrix, QuantizedRows, QueryTile, SoftmaxNorm, ValueBlocks};

cpufeatures::new!(cpu_avx512, "avx512f", "avx512bw", "avx512dq", "avx512vl");

/// The set, when this CPU (and its operating system) can run it.
pub fn avx512_vnni() -> Option<&'static Kernels> {
    // CPUID leaf 7, ECX bit 11 is AVX512_VNNI. A CPU with AVX-512 has this leaf, and VNNI needs nothing from the system beyond AVX-512.
    let vnni = || core::arch::x86_64::__cpuid_count(7, 0).ecx >> 11 & 1 == 1;
    (cpu_avx2_f16c() && cpu_avx512::get() && vnni()).then_some(&AVX512_VNNI)
}

/// Private, so that [`avx512_vnni`] is the only way to its functions: they rely on the CPU having been asked.
static AVX512_VNNI: Kernels = Kernels {
    name: "avx512-vnni",
    quantize,
    matmul_i8,
    matmul_i4,
    quantize_query,
    scores_tile,
    softmax_weights,
    weighted_value_sum_tile,
    activate,
    gate,
    ..SET
};

fn quantize(x: &[f32], in_scale: &[f32], out: &mut [i16]) -> f32 {
    // SAFETY: `avx512_vnni` has found the CPU's AVX-512 and VNNI.
    unsafe { elementwise::quantize(x, in_scale, out) }
}

fn matmul_i8(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    // SAFETY: `avx512_vnni` has found the CPU's AVX-512 and VNNI.
    unsafe { int8::matmul_i8(matrix, x, out) }
}

fn matmul_i4(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    // SAFETY: `avx512_vnni` has found the CPU's AVX-512 and VNNI.
    unsafe { int4::matmul_i4(matrix, x, out) }
}

fn quantize_query(x: &[f32], factor: f32, out: &mut [i16]) -> i32 {
    // SAFETY: `avx512_vnni` has found the CPU's AVX-512 and VNNI.
    unsafe { elementwise::quantize_query(x, factor, out) }
}

fn scores_tile(queries: &QueryTile<'_>, keys: &KeyRows<'_>, stride: usize, out: &mut [i32], largest: &mut [i32]) {
    // SAFETY: `avx512_vnni` has found the CPU's AVX-512 and VNNI.
    if unsafe { attention::scores_tile(queries, keys, stride, out, largest) }.is_none() {
        (SET.scores_tile)(queries, keys, stride, out, largest);
    }
}

fn softmax_weights(scores: &mut [i32], largest: i32, value_scales: &[f32], out: &mut [i16]) -> SoftmaxNorm {
    // SAFETY: `avx512_vnni` has found the CPU's AVX-512 and VNNI.
    unsafe { attention::softmax_weights(scores, largest, value_scales, out) }
}

fn weighted_value_sum_tile(weights: &[i16], stride: usize, values: &ValueBlocks<'_>, head_dim: usize, out: &mut [i32]) {
    // SAFETY: `avx512_vnni` has found the CPU's AVX-512 and VNNI.
    if unsafe { attention::weighted_value_sum_tile(weights, stride, values, head_dim, out) }.is_none() {
        (SET.weighted_value_sum_tile)(weights, stride, values, head_dim, out);
    }
}

fn activate(activation: Activation, x: &mut [f32]) {
    // SAFETY: `avx512_vnni` has found the CPU's AVX-512 and VNNI.
    unsafe { elementwise::activate(activation, x) }
}

fn gate(activation: Activation, gate: &[f32], up: &[f32], out: &mut [f32]) {
    // SAFETY: `avx512_vnni` has found the CPU's AVX-512 and VNNI.
    unsafe { elementwise::gate(activation, gate, up, out) }
}

/// Values of a quantized row, for what is left to scalar.
fn values(row: &[i16]) -> impl Iterator<Item = i32> {
    let bytes = row.iter().flat_map(|pair| pair.to_le_bytes()).take(row.len());
    bytes.map(|byte| byte as i32 - 128)
}
