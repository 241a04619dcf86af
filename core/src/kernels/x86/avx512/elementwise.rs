//! Quantization of a row to bytes.

use super::vector::mask16;
use crate::numeric::Quantizer;
use crate::numeric::quantize::ROUNDER;
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
