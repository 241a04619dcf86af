//! Scores of an int8 key-value cache, and their softmax weights.

use super::super::int8_cache;
use super::super::views::SoftmaxNorm;
use super::exp::{exp_neg_q30, exp2_neg_q16};
use super::vector::Vector;

/// `int8_cache::score` of a key per lane.
#[inline(always)]
pub fn score<const N: usize, V: Vector<N>>(v: V, dots: V::I32, scales: V::F32, exponent: i32, headroom: u32) -> V::I32 {
    let bits = v.to_bits(scales);
    let (zero, mantissa) = (v.splat_i32(0), v.shl(mantissa(v, bits), 7));
    let right = v.sub(v.splat_i32(exponent.wrapping_add(109 + headroom as i32)), v.shr(bits, 23));
    let left = v.min_i32(v.max_i32(v.sub(zero, right), zero), v.splat_i32(29));
    let limit = v.shr_each(v.splat_i32(1 << 29), left);
    let product = v.mul_high(v.shl(dots, headroom), mantissa);
    let product = v.min_i32(v.max_i32(product, v.sub(zero, limit)), limit);
    // A shift by 32 and more leaves the sign, as scalar's by 31 does.
    v.sar_each(v.shl_each(product, left), v.max_i32(right, zero))
}

/// Mantissas of f32 bits as integers of 24 bits; 0 for zero.
#[inline(always)]
fn mantissa<const N: usize, V: Vector<N>>(v: V, bits: V::I32) -> V::I32 {
    v.where_nonzero(bits, v.or(v.and(bits, v.splat_i32(0x007f_ffff)), v.splat_i32(0x0080_0000)))
}

/// `int8_cache::product`.
#[inline(always)]
fn product<const N: usize, V: Vector<N>>(v: V, e: V::I32, scales: V::F32, top: i32) -> V::I32 {
    let bits = v.to_bits(scales);
    let full = v.mul_low(e, v.shr(mantissa(v, bits), 9));
    // Shifts by 32 and more give 0, as scalar's by 31 do: the full product is below 2^31.
    v.shr_each(full, v.sub(v.splat_i32(top), v.shr(bits, 23)))
}

/// `int8_cache::softmax_weights`.
#[inline(always)]
pub fn softmax_weights<const N: usize, V: Vector<N>>(
    v: V,
    scores: &mut [i32],
    largest: i32,
    value_scales: &[f32],
    out: &mut [i16],
) -> SoftmaxNorm {
    let count = scores.len();
    let (Some(value_scales), true) = (value_scales.get(..count), out.len() >= count) else {
        return int8_cache::softmax_weights(scores, largest, value_scales, out);
    };
    let (scale_chunks, scale_tail) = value_scales.as_chunks::<N>();
    let scale_tail = v.load_f32_partial(scale_tail);
    let mut top = v.shr(v.to_bits(scale_tail), 23);
    for scales in scale_chunks {
        top = v.max_i32(top, v.shr(v.to_bits(v.load_f32(scales)), 23));
    }
    let top = v.largest(top);

    let largest = v.splat_i32(largest);
    let (mut sum, mut largest_product) = (v.splat_i32(0), v.splat_i32(0));
    let (score_chunks, score_tail) = scores.as_chunks_mut::<N>();
    for (scores, scales) in score_chunks.iter_mut().zip(scale_chunks) {
        let e = exp2_neg_q16(v, v.sub(largest, v.load_i32(scores)));
        let product = product(v, e, v.load_f32(scales), top);
        v.store_i32(scores, product);
        sum = v.add(sum, e);
        largest_product = v.max_u32(largest_product, product);
    }
    if !score_tail.is_empty() {
        // After the last key the scale is 0 and makes a product of 0; those lanes' e must not count.
        let e = exp2_neg_q16(v, v.sub(largest, v.load_i32_partial(score_tail)));
        let product = product(v, e, scale_tail, top);
        v.store_i32_partial(score_tail, product);
        sum = v.add(sum, v.first(score_tail.len(), e));
        largest_product = v.max_u32(largest_product, product);
    }

    // Products are below 2^31, so their signed order is their unsigned order.
    let shift = 20u32.saturating_sub((v.largest(largest_product) as u32).leading_zeros());
    let half = v.splat_i32((1 << shift) >> 1);
    let (out, padding) = out.split_at_mut(count);
    let (out_chunks, out_tail) = out.as_chunks_mut::<N>();
    for (out, products) in out_chunks.iter_mut().zip(&*score_chunks) {
        v.store_i16(out, rounded(v, v.load_i32(products), half, shift));
    }
    if !out_tail.is_empty() {
        v.store_i16_partial(out_tail, rounded(v, v.load_i32_partial(score_tail), half, shift));
    }
    padding.fill(0);
    SoftmaxNorm { sum: v.sum(sum) as u32, exponent: shift as i32 + top - 141 }
}

/// Products as weights of 12 bits.
#[inline(always)]
fn rounded<const N: usize, V: Vector<N>>(v: V, products: V::I32, half: V::I32, shift: u32) -> V::I32 {
    v.min_u32(v.shr(v.add(products, half), shift), v.splat_i32(4095))
}

/// Scores whose weights are added in 32 bits, in two halves of 15 and 16 bits: 2^16 * 2^15 is below 2^32.
const SUMMED: usize = 1 << 16;

/// `float_cache::softmax_float`.
#[inline(always)]
pub fn softmax_float<const N: usize, V: Vector<N>>(v: V, scores: &mut [f32]) -> u64 {
    let (chunks, tail) = scores.as_chunks::<N>();
    let mut largest = v.splat_f32(f32::NEG_INFINITY);
    for scores in chunks {
        largest = v.max_f32(v.load_f32(scores), largest);
    }
    let mut all = [f32::NEG_INFINITY; N];
    v.store_f32(&mut all, largest);
    let largest = all.iter().chain(tail).fold(f32::NEG_INFINITY, |largest, &score| if score > largest { score } else { largest });
    let largest = v.splat_f32(largest);
    scores.chunks_mut(SUMMED).fold(0, |total, scores| {
        let (mut low, mut high) = (v.splat_i32(0), v.splat_i32(0));
        let mut add = |e| {
            low = v.add(low, v.and(e, v.splat_i32(0x7fff)));
            high = v.add(high, v.shr(e, 15));
        };
        let (chunks, tail) = scores.as_chunks_mut::<N>();
        for scores in chunks {
            let e = exp_neg_q30(v, v.sub_f32(v.load_f32(scores), largest));
            add(e);
            v.store_f32(scores, v.to_f32(e));
        }
        if !tail.is_empty() {
            let e = v.first(tail.len(), exp_neg_q30(v, v.sub_f32(v.load_f32_partial(tail), largest)));
            add(e);
            v.store_f32_partial(tail, v.to_f32(e));
        }
        total + (u64::from(v.sum(high) as u32) << 15) + u64::from(v.sum(low) as u32)
    })
}
