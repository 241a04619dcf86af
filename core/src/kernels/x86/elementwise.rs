//! Quantization of a row, and non-linearities.

use super::super::scalar;
use super::exp::{gelu_erf, gelu_tanh, relu, silu};
use super::vector::{load_f32, load_f32_front, store_f32, store_f32_front, store_i16, store_i16_front};
use crate::format::Activation;
use crate::numeric::Quantizer;
use crate::numeric::quantize::ROUNDER;
use core::arch::x86_64::*;

/// `scalar::quantize`.
#[target_feature(enable = "avx2")]
pub fn quantize(x: &[f32], in_scale: &[f32], out: &mut [i16]) -> f32 {
    let fits = (x.len()..=x.len() / 8 * 8 + 8).contains(&out.len()) && (in_scale.is_empty() || in_scale.len() == x.len());
    if !fits {
        return scalar::quantize(x, in_scale, out);
    }
    if in_scale.is_empty() {
        return quantize_row(x, out, |x, _| x, |x| x);
    }
    let (scale8, scale_tail) = in_scale.as_chunks::<8>();
    let scale_tail = load_f32_front(scale_tail);
    let scaled = |x, at: usize| scale8.get(at).map_or(x, |scale| _mm256_mul_ps(x, load_f32(scale)));
    quantize_row(x, out, scaled, |x| _mm256_mul_ps(x, scale_tail))
}

/// One row, its chunks of eight and its tail each passed through a function first. `out` may reach into the chunk behind the last whole one.
#[target_feature(enable = "avx2")]
#[inline]
fn quantize_row(x: &[f32], out: &mut [i16], chunk: impl Fn(__m256, usize) -> __m256, tail: impl Fn(__m256) -> __m256) -> f32 {
    let (x8, x_tail) = x.as_chunks::<8>();
    // Magnitudes as integers; without the sign bit, signed and unsigned order agree.
    let magnitude = |x| _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fff_ffff));
    let behind = tail(load_f32_front(x_tail));
    let mut max = magnitude(behind);
    for (at, x) in x8.iter().enumerate() {
        max = _mm256_max_epi32(max, magnitude(chunk(load_f32(x), at)));
    }
    let max = _mm_max_epi32(_mm256_castsi256_si128(max), _mm256_extracti128_si256::<1>(max));
    let max = _mm_max_epi32(max, _mm_shuffle_epi32::<0b_01_00_11_10>(max));
    let max = _mm_max_epi32(max, _mm_shuffle_epi32::<0b_10_11_00_01>(max));
    let quantizer = Quantizer::new(_mm_cvtsi128_si32(max) as u32);
    if quantizer.inverse == 0.0 {
        // A row that is cleared because it is not finite must not multiply infinity by zero.
        out.fill(0);
        return quantizer.scale;
    }
    let (inverse, rounder) = (_mm256_set1_ps(quantizer.inverse), _mm256_set1_ps(ROUNDER));
    let integer = |x| {
        let moved = _mm256_castps_si256(_mm256_add_ps(_mm256_mul_ps(x, inverse), rounder));
        _mm256_sub_epi32(moved, _mm256_castps_si256(rounder))
    };
    let (out8, out_tail) = out.as_chunks_mut::<8>();
    let mut out8 = out8.iter_mut();
    for ((at, x), out) in x8.iter().enumerate().zip(out8.by_ref()) {
        store_i16(out, integer(chunk(load_f32(x), at)));
    }
    // Lanes behind the row hold +0 and become the padding.
    match out8.next() {
        Some(out) => store_i16(out, integer(behind)),
        None => store_i16_front(out_tail, integer(behind)),
    }
    quantizer.scale
}

/// `scalar::activate`.
#[target_feature(enable = "avx2")]
pub fn activate(of: Activation, x: &mut [f32]) {
    match of {
        Activation::Relu => activate_all(x, |x| relu(x)),
        Activation::GeluTanh => activate_all(x, |x| gelu_tanh(x)),
        Activation::Silu => activate_all(x, |x| silu(x)),
        Activation::GeluErf => activate_all(x, |x| gelu_erf(x)),
        Activation::SquaredRelu => activate_all(x, |x| _mm256_mul_ps(relu(x), relu(x))),
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn activate_all(x: &mut [f32], of: impl Fn(__m256) -> __m256) {
    let (x8, tail) = x.as_chunks_mut::<8>();
    for x in x8 {
        store_f32(x, of(load_f32(x)));
    }
    if !tail.is_empty() {
        store_f32_front(tail, of(load_f32_front(tail)));
    }
}

/// `scalar::gate`.
#[target_feature(enable = "avx2")]
pub fn gate(of: Activation, gate: &[f32], up: &[f32], out: &mut [f32]) {
    if gate.len() != out.len() || up.len() != out.len() {
        return scalar::gate(of, gate, up, out);
    }
    match of {
        Activation::Relu => gate_all(gate, up, out, |x| relu(x)),
        Activation::GeluTanh => gate_all(gate, up, out, |x| gelu_tanh(x)),
        Activation::Silu => gate_all(gate, up, out, |x| silu(x)),
        Activation::GeluErf => gate_all(gate, up, out, |x| gelu_erf(x)),
        Activation::SquaredRelu => gate_all(gate, up, out, |x| _mm256_mul_ps(relu(x), relu(x))),
    }
}

/// All of one length.
#[target_feature(enable = "avx2")]
#[inline]
fn gate_all(gate: &[f32], up: &[f32], out: &mut [f32], of: impl Fn(__m256) -> __m256) {
    let (gate8, gate_tail) = gate.as_chunks::<8>();
    let (up8, up_tail) = up.as_chunks::<8>();
    let (out8, out_tail) = out.as_chunks_mut::<8>();
    for ((gate, up), out) in gate8.iter().zip(up8).zip(out8) {
        store_f32(out, _mm256_mul_ps(of(load_f32(gate)), load_f32(up)));
    }
    if !out_tail.is_empty() {
        store_f32_front(out_tail, _mm256_mul_ps(of(load_f32_front(gate_tail)), load_f32_front(up_tail)));
    }
}
