//! The specification of attention over an int8 cache: every other kernel set equals these functions in every bit. All in integers.

use super::views::{KeyRows, QueryTile, SoftmaxNorm, ValueBlocks};
use crate::numeric::{self, exp2_neg_q16, mul_high};

/// Quantizes one head's query to 12 bits into `out`; returns the exponent: [`crate::numeric::quantize_query`].
pub fn quantize_query(x: &[f32], factor: f32, out: &mut [i16]) -> i32 {
    numeric::quantize_query(x, factor, |index, value| {
        if let Some(out) = out.get_mut(index) {
            *out = value as i16;
        }
    })
}

/// One head's scores over int8 keys, in units of log2 in Q16; returns the largest. `q` and `exponent` come from [`quantize_query`].
///
/// `score = floor(floor(dot * 2^h * m / 2^32) * 2^-s)`, where m is the mantissa of the key's scale and s follows from its exponent: all in 32-bit
/// integers.
pub fn scores(q: &[i16], exponent: i32, keys: &KeyRows<'_>, out: &mut [i32]) -> i32 {
    let rows = keys.values.chunks_exact(keys.stride.max(1));
    let headroom = headroom(q.len());
    let mut largest = i32::MIN;
    for ((out, row), &scale) in out.iter_mut().zip(rows).zip(keys.scales) {
        let key = row.get(keys.offset..).unwrap_or_default();
        let dot = q.iter().zip(key).fold(0i32, |sum, (&q, &k)| sum.wrapping_add(q as i32 * k as i32));
        *out = score(dot, scale, exponent, headroom);
        largest = largest.max(*out);
    }
    largest
}

/// [`scores`] of several queries of one head, `(queries, stride)`, each over its visible keys, the first ones; the rest of a row is left in any
/// state. `largest` gets the largest of each query.
pub fn scores_tile(queries: &QueryTile<'_>, keys: &KeyRows<'_>, stride: usize, out: &mut [i32], largest: &mut [i32]) {
    scores_tile_of(scores, queries, keys, stride, out, largest);
}

/// [`scores_tile`] by another set's function for one query.
#[inline(always)]
pub(super) fn scores_tile_of(
    scores: impl Fn(&[i16], i32, &KeyRows<'_>, &mut [i32]) -> i32,
    queries: &QueryTile<'_>,
    keys: &KeyRows<'_>,
    stride: usize,
    out: &mut [i32],
    largest: &mut [i32],
) {
    let outs = out.chunks_mut(stride.max(1)).zip(largest);
    for (((q, &exponent), &visible), (out, largest)) in queries.rows().zip(queries.exponents).zip(queries.visible).zip(outs) {
        debug_assert!(visible <= out.len(), "{visible} scores in a row of {}", out.len());
        *largest = scores(q, exponent, keys, out.get_mut(..visible).unwrap_or_default());
    }
}

/// Bits by which a head's dots can be shifted up: |dot| is at most 2^18 * head_dim.
#[inline(always)]
pub(crate) fn headroom(head_dim: usize) -> u32 {
    (head_dim as u32).saturating_sub(1).leading_zeros().saturating_sub(20)
}

/// One score from its exact dot. A shift to the left saturates at +-2^29, a score of 8,192.
#[inline(always)]
pub(crate) fn score(dot: i32, scale: f32, exponent: i32, headroom: u32) -> i32 {
    let bits = scale.to_bits();
    let mantissa = if bits == 0 { 0 } else { ((bits & 0x007f_ffff) | 0x0080_0000) << 7 };
    let right = 109 + headroom as i32 + exponent - (bits >> 23) as i32;
    let left = (-right).clamp(0, 29);
    let limit = (1 << 29) >> left;
    let product = mul_high(dot.wrapping_shl(headroom), mantissa as i32).clamp(-limit, limit);
    (product << left) >> right.clamp(0, 31)
}

/// Softmax weights of the values for one query: 2^(score - largest) times the value's scale, in 12 bits relative to the row's largest product.
///
/// `out` gets a weight per score, then zeros up to a whole block of four tokens. The scores are overwritten.
pub fn softmax_weights(scores: &mut [i32], largest: i32, value_scales: &[f32], out: &mut [i16]) -> SoftmaxNorm {
    let top = value_scales.iter().zip(&*scores).fold(0, |top, (scale, _)| top.max(scale.to_bits() >> 23));
    let (mut sum, mut largest_product) = (0u32, 0u32);
    for (score, &scale) in scores.iter_mut().zip(value_scales) {
        let e = exp2_neg_q16(largest.wrapping_sub(*score) as u32);
        let product = product(e, scale, top);
        *score = product as i32;
        sum = sum.wrapping_add(e);
        largest_product = largest_product.max(product);
    }
    let shift = 20u32.saturating_sub(largest_product.leading_zeros());
    let half = (1 << shift) >> 1;
    let all = scores.iter().map(|&product| ((product as u32 + half) >> shift).min(4095) as i16);
    for (out, weight) in out.iter_mut().zip(all.chain(core::iter::repeat(0))) {
        *out = weight;
    }
    SoftmaxNorm { sum, exponent: shift as i32 + top as i32 - 141 }
}

/// A weight's e (at most 2^16) times the upper 15 bits of its value scale's mantissa, at the largest scale's exponent: below 2^31.
#[inline(always)]
pub(crate) fn product(e: u32, scale: f32, top: u32) -> u32 {
    let bits = scale.to_bits();
    let mantissa = if bits == 0 { 0 } else { ((bits & 0x007f_ffff) | 0x0080_0000) >> 9 };
    (e * mantissa) >> (top - (bits >> 23)).min(31)
}

/// Sum over tokens of softmax weight times value, for each dimension of a head; exact for up to 4,096 tokens. `out` is `(head_dim)`.
pub fn weighted_value_sum(weights: &[i16], values: &ValueBlocks<'_>, out: &mut [i32]) {
    out.fill(0);
    let blocks = values.values.chunks_exact(values.stride.max(1));
    for (w, block) in weights.chunks(4).zip(blocks) {
        let head = block.get(values.offset..).unwrap_or_default();
        for (out, v) in out.iter_mut().zip(head) {
            *out = w.iter().zip(v).fold(*out, |sum, (&w, &v)| sum.wrapping_add(w as i32 * v as i32));
        }
    }
}

/// [`weighted_value_sum`] for several queries: `weights` is `(queries, stride)`, `out` is `(queries, head_dim)`.
pub fn weighted_value_sum_tile(weights: &[i16], stride: usize, values: &ValueBlocks<'_>, head_dim: usize, out: &mut [i32]) {
    weighted_value_sum_tile_of(weighted_value_sum, weights, stride, values, head_dim, out);
}

/// [`weighted_value_sum_tile`] by another set's function for one query.
#[inline(always)]
pub(super) fn weighted_value_sum_tile_of(
    weighted_value_sum: impl Fn(&[i16], &ValueBlocks<'_>, &mut [i32]),
    weights: &[i16],
    stride: usize,
    values: &ValueBlocks<'_>,
    head_dim: usize,
    out: &mut [i32],
) {
    for (weights, out) in weights.chunks_exact(stride.max(1)).zip(out.chunks_exact_mut(head_dim.max(1))) {
        weighted_value_sum(weights, values, out);
    }
}
