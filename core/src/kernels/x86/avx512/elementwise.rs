//! Quantization of a row to bytes, and non-linearities.

use super::exp::{gelu_erf, gelu_tanh, relu, silu};
use super::vector::{load_f32_at, mask16, store_f32_at};
use crate::format::Activation;
use crate::kernels::scalar;
use crate::numeric::quantize::{ROUNDER, query_exponent};
use crate::numeric::{Quantizer, flush_negligible, pow2};
use core::arch::x86_64::*;

/// `scalar::quantize`, but each value as a byte that is 128 more, in the front of `out`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub fn quantize(x: &[f32], in_scale: &[f32], out: &mut [i16]) -> f32 {
    // As many values as scalar would write.
    let x = x.get(..out.len()).unwrap_or(x);
    if in_scale.is_empty() {
        quantize_row(x, x, out, |x, _| x)
    } else {
        let count = x.len().min(in_scale.len());
        let (x, in_scale) = (x.get(..count).unwrap_or_default(), in_scale.get(..count).unwrap_or_default());
        quantize_row(x, in_scale, out, |x, scale| _mm512_mul_ps(x, scale))
    }
}

/// A row, each value made of two of equal places.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
#[inline]
fn quantize_row(x: &[f32], with: &[f32], out: &mut [i16], of: impl Fn(__m512, __m512) -> __m512) -> f32 {
    let load = |at: usize, mask: u16| {
        // SAFETY: the mask leaves out what lies behind the rows, which are of equal length.
        unsafe { of(_mm512_maskz_loadu_ps(mask, x.as_ptr().wrapping_add(at)), _mm512_maskz_loadu_ps(mask, with.as_ptr().wrapping_add(at))) }
    };
    // Magnitudes as integers; without the sign bit, signed and unsigned order agree.
    let magnitude = |x| _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fff_ffff));
    let mut max = _mm512_setzero_si512();
    for at in (0..x.len()).step_by(16) {
        max = _mm512_max_epi32(max, magnitude(load(at, mask16(x.len() - at))));
    }
    let quantizer = Quantizer::new(_mm512_reduce_max_epi32(max) as u32);
    let count = out.len();
    let bytes = out.as_mut_ptr().cast::<i8>();
    let (inverse, rounder) = (_mm512_set1_ps(quantizer.inverse), _mm512_set1_ps(ROUNDER));
    // What the rounder's low byte gets becomes 128 more.
    for at in (0..count).step_by(16) {
        let mask = mask16(x.len().saturating_sub(at));
        let moved = _mm512_castps_si512(_mm512_add_ps(_mm512_mul_ps(load(at, mask), inverse), rounder));
        // A row that is cleared because it is not finite must not multiply infinity by zero.
        let integers = if quantizer.inverse == 0.0 { _mm512_setzero_si512() } else { moved };
        let narrow = _mm_xor_si128(_mm512_cvtepi32_epi8(integers), _mm_set1_epi8(i8::MIN));
        // SAFETY: `count` bytes lie within `count` i16; the mask leaves out what lies behind them.
        unsafe { _mm_mask_storeu_epi8(bytes.wrapping_add(at), mask16(count - at), narrow) };
    }
    quantizer.scale
}

/// `scalar::activate`.
#[target_feature(enable = "avx512f,avx512dq")]
pub fn activate(of: Activation, x: &mut [f32]) {
    match of {
        Activation::GeluTanh => activate_all(x, |x| gelu_tanh(x)),
        Activation::Silu => activate_all(x, |x| silu(x)),
        Activation::GeluErf => activate_all(x, |x| gelu_erf(x)),
        Activation::Relu => activate_all(x, |x| relu(x)),
        Activation::SquaredRelu => activate_all(x, |x| _mm512_mul_ps(relu(x), relu(x))),
    }
}

#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
fn activate_all(x: &mut [f32], of: impl Fn(__m512) -> __m512) {
    for at in (0..x.len()).step_by(16) {
        let y = of(load_f32_at(x, at));
        store_f32_at(x, at, y);
    }
}

/// `scalar::gate`.
#[target_feature(enable = "avx512f,avx512dq")]
pub fn gate(of: Activation, gate: &[f32], up: &[f32], out: &mut [f32]) {
    if gate.len() != out.len() || up.len() != out.len() {
        return scalar::gate(of, gate, up, out);
    }
    match of {
        Activation::GeluTanh => gate_all(gate, up, out, |x| gelu_tanh(x)),
        Activation::Silu => gate_all(gate, up, out, |x| silu(x)),
        Activation::GeluErf => gate_all(gate, up, out, |x| gelu_erf(x)),
        Activation::Relu => gate_all(gate, up, out, |x| relu(x)),
        Activation::SquaredRelu => gate_all(gate, up, out, |x| _mm512_mul_ps(relu(x), relu(x))),
    }
}

/// All of one length.
#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
fn gate_all(gate: &[f32], up: &[f32], out: &mut [f32], of: impl Fn(__m512) -> __m512) {
    for at in (0..out.len()).step_by(16) {
        store_f32_at(out, at, _mm512_mul_ps(of(load_f32_at(gate, at)), load_f32_at(up, at)));
    }
}

/// `scalar::quantize_query`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub fn quantize_query(x: &[f32], factor: f32, out: &mut [i16]) -> i32 {
    if out.len() < x.len() {
        return scalar::quantize_query(x, factor, out);
    }
    let factor = _mm512_set1_ps(factor);
    let mut max = _mm512_setzero_si512();
    for at in (0..x.len()).step_by(16) {
        let magnitude = _mm512_castps_si512(_mm512_mul_ps(load_f32_at(x, at), factor));
        // The factor is finite, so that lanes behind the row hold zeros.
        max = _mm512_max_epi32(max, _mm512_and_si512(magnitude, _mm512_set1_epi32(0x7fff_ffff)));
    }
    let max = flush_negligible(_mm512_reduce_max_epi32(max) as u32);
    if max == 0 {
        out.iter_mut().take(x.len()).for_each(|out| *out = 0);
        return 0;
    }
    let exponent = query_exponent(max);
    let (scale, rounder) = (_mm512_set1_ps(pow2(exponent)), _mm512_set1_ps(ROUNDER));
    for at in (0..x.len()).step_by(16) {
        let scaled = _mm512_mul_ps(_mm512_mul_ps(load_f32_at(x, at), factor), scale);
        let moved = _mm512_castps_si512(_mm512_add_ps(scaled, rounder));
        let narrow = _mm512_cvtepi32_epi16(_mm512_sub_epi32(moved, _mm512_castps_si512(rounder)));
        // SAFETY: `out` is at least as long as `x`; the mask leaves out what lies behind that.
        unsafe { _mm256_mask_storeu_epi16(out.as_mut_ptr().wrapping_add(at), mask16(x.len() - at), narrow) };
    }
    exponent
}
