//! RMSNorm and layer norm. A register is scalar's eight lanes.

use super::vector::{load_f32, load_f32_partial, mask, store_f32};
use core::arch::x86_64::*;

/// `numeric::rms_norm`.
#[target_feature(enable = "avx2")]
#[inline]
pub fn rms_norm(x: &[f32], scale: &[f32], eps: f32, out: &mut [f32]) {
    if out.len() != x.len() || scale.len() != x.len() {
        return crate::numeric::rms_norm(x, scale, eps, out);
    }
    let (x8, x_tail) = x.as_chunks::<8>();
    let square = |lanes, x| _mm256_add_ps(lanes, _mm256_mul_ps(x, x));
    let mut lanes = _mm256_setzero_ps();
    for x in x8 {
        lanes = square(lanes, load_f32(x));
    }
    let mean = total(square(lanes, load_f32_partial(x_tail))) / x.len() as f32;
    let inverse = 1.0 / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(mean + eps)));
    let (scale8, scale_tail) = scale.as_chunks::<8>();
    let (out8, out_tail) = out.as_chunks_mut::<8>();
    for ((x, scale), out) in x8.iter().zip(scale8).zip(out8) {
        store_f32(out, _mm256_mul_ps(_mm256_mul_ps(load_f32(x), _mm256_set1_ps(inverse)), load_f32(scale)));
    }
    for ((out, &x), &scale) in out_tail.iter_mut().zip(x_tail).zip(scale_tail) {
        *out = (x * inverse) * scale;
    }
}

/// `numeric::Lanes::total`.
#[target_feature(enable = "avx2")]
#[inline]
fn total(lanes: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps::<1>(lanes));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

/// `numeric::layer_norm`.
#[target_feature(enable = "avx2")]
#[inline]
pub fn layer_norm(x: &[f32], scale: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
    if out.len() != x.len() || scale.len() != x.len() || bias.len() != x.len() {
        return crate::numeric::layer_norm(x, scale, bias, eps, out);
    }
    let (x8, x_tail) = x.as_chunks::<8>();
    let count = x.len() as f32;
    let mut sum = _mm256_setzero_ps();
    for x in x8 {
        sum = _mm256_add_ps(sum, load_f32(x));
    }
    let mean = total(_mm256_add_ps(sum, load_f32_partial(x_tail))) / count;
    let means = _mm256_set1_ps(mean);
    let centred = |x| _mm256_sub_ps(x, means);
    let square = |squares, x| _mm256_add_ps(squares, _mm256_mul_ps(x, x));
    let mut squares = _mm256_setzero_ps();
    for x in x8 {
        squares = square(squares, centred(load_f32(x)));
    }
    // Lanes after the row stay +0.
    let last = _mm256_and_ps(centred(load_f32_partial(x_tail)), _mm256_castsi256_ps(mask(4 * x_tail.len())));
    let variance = total(square(squares, last)) / count;
    let inverse = 1.0 / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(variance + eps)));
    let (scale8, scale_tail) = scale.as_chunks::<8>();
    let (bias8, bias_tail) = bias.as_chunks::<8>();
    let (out8, out_tail) = out.as_chunks_mut::<8>();
    for (((x, scale), bias), out) in x8.iter().zip(scale8).zip(bias8).zip(out8) {
        let normed = _mm256_mul_ps(centred(load_f32(x)), _mm256_set1_ps(inverse));
        store_f32(out, _mm256_add_ps(_mm256_mul_ps(normed, load_f32(scale)), load_f32(bias)));
    }
    for (((out, &x), &scale), &bias) in out_tail.iter_mut().zip(x_tail).zip(scale_tail).zip(bias_tail) {
        *out = ((x - mean) * inverse) * scale + bias;
    }
}
