//! Attention over an int8 cache, several queries at a time: keys and values are widened once for all of them.

use super::super::dots::Strided;
use super::exp::exp2_neg_q16;
use super::panel::{gather, transpose4x4};
use super::vector::{load_f32_at, load_i32_at, mask16, mul_high, store_i32_at};
use crate::kernels::{KeyRows, QueryTile, SoftmaxNorm, ValueBlocks, scalar};
use core::arch::x86_64::*;

/// Widest head whose keys are packed.
const WIDEST_HEAD: usize = 256;
/// Queries of a tile.
const TILE: usize = 8;

/// `scalar::scores_tile`, but for shapes that it leaves to another function: `None`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub fn scores_tile(queries: &QueryTile<'_>, keys: &KeyRows<'_>, stride: usize, out: &mut [i32], largest: &mut [i32]) -> Option<()> {
    let head_dim = queries.head_dim;
    let count = queries.seen.iter().copied().max()?;
    let there = keys.values.len().checked_div(keys.stride)?.min(keys.scales.len()).min(stride);
    let fits = head_dim > 0 && head_dim.is_multiple_of(16) && head_dim <= WIDEST_HEAD && keys.offset.checked_add(head_dim)? <= keys.stride;
    let number = queries.values.len() / head_dim.max(1);
    let full =
        [queries.exponents.len(), queries.seen.len(), largest.len(), out.len().checked_div(stride)?].iter().all(|&len| len >= number);
    (fits && full && (16..=there).contains(&count)).then_some(())?;
    let whole = number / TILE * TILE;
    for first in (0..whole).step_by(TILE) {
        tile_of_scores::<TILE>(queries, first, keys, count, stride, out, largest);
    }
    for first in whole..number {
        tile_of_scores::<1>(queries, first, keys, count, stride, out, largest);
    }
    Some(())
}

/// Queries from `first` on, with all that `scores_tile` found to be there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
#[inline]
fn tile_of_scores<const QUERIES: usize>(
    queries: &QueryTile<'_>,
    first: usize,
    keys: &KeyRows<'_>,
    count: usize,
    stride: usize,
    out: &mut [i32],
    largest: &mut [i32],
) {
    let head_dim = queries.head_dim;
    let headroom = scalar::headroom(head_dim);
    let q = Strided { first: queries.values.as_ptr().wrapping_add(first * head_dim), stride: head_dim };
    let exponents = queries.exponents.get(first..).unwrap_or_default();
    let seen = queries.seen.get(first..).unwrap_or_default();
    let mut tops = [_mm512_set1_epi32(i32::MIN); QUERIES];
    let mut packed = [_mm512_setzero_si512(); WIDEST_HEAD / 2];
    for key in (0..count).step_by(16) {
        // The last sixteen overlap those before where keys do not fill them: the same scores, twice.
        let key = key.min(count - 16);
        let rows = Strided { first: keys.values.as_ptr().wrapping_add(key * keys.stride + keys.offset).cast(), stride: keys.stride };
        for (at, eight) in (0..head_dim).step_by(16).zip(packed.chunks_exact_mut(8)) {
            // SAFETY: sixteen keys begin here, in whose rows the head's dimensions, a multiple of sixteen, end.
            let words = transpose4x4(unsafe { gather(rows, at, 0xf) });
            for (pair, word) in eight.chunks_exact_mut(2).zip(words) {
                pair.iter_mut().zip(widen(word)).for_each(|(place, widened)| *place = widened);
            }
        }
        // SAFETY: the tile has so many queries of so many dimensions, an even number, and as many of the keys are packed.
        let dots = unsafe { dots_of_tile::<QUERIES>(&packed, q, head_dim) };
        let scales = load_f32_at(keys.scales, key);
        for (query, dot) in dots.into_iter().enumerate() {
            let scores = score(dot, scales, exponents.get(query).copied().unwrap_or_default(), headroom);
            store_i32_at(out, (first + query) * stride + key, scores);
            let seen = mask16(seen.get(query).map_or(0, |seen| seen.saturating_sub(key)));
            if let Some(top) = tops.get_mut(query) {
                *top = _mm512_mask_max_epi32(*top, seen, *top, scores);
            }
        }
    }
    for (largest, top) in largest.iter_mut().skip(first).zip(tops) {
        *largest = _mm512_reduce_max_epi32(top);
    }
}

/// Dots of sixteen packed keys with each query.
///
/// # Safety
/// `head_dim` elements may be read of each query; it is even and at most `WIDEST_HEAD`.
#[target_feature(enable = "avx512f,avx512vnni")]
#[inline]
unsafe fn dots_of_tile<const QUERIES: usize>(packed: &[__m512i; WIDEST_HEAD / 2], q: Strided<i16>, head_dim: usize) -> [__m512i; QUERIES] {
    let mut dots = [_mm512_setzero_si512(); QUERIES];
    for pair in 0..head_dim / 2 {
        // SAFETY: the caller's.
        let k = unsafe { packed.as_ptr().wrapping_add(pair).read() };
        for (query, dot) in dots.iter_mut().enumerate() {
            // SAFETY: the caller's.
            let q = _mm512_set1_epi32(unsafe { q.at(query, 2 * pair).cast::<i32>().read_unaligned() });
            *dot = _mm512_dpwssd_epi32(*dot, k, q);
        }
    }
    dots
}

/// Signed bytes of words as halfwords: the first two of each word, then the others.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn widen(words: __m512i) -> [__m512i; 2] {
    // Each byte goes to the upper half of its place and is shifted down with its sign; the lower half does not matter.
    let low = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 1, 1, 4, 4, 5, 5, 8, 8, 9, 9, 12, 12, 13, 13));
    let high = _mm512_broadcast_i32x4(_mm_setr_epi8(2, 2, 3, 3, 6, 6, 7, 7, 10, 10, 11, 11, 14, 14, 15, 15));
    [_mm512_srai_epi16::<8>(_mm512_shuffle_epi8(words, low)), _mm512_srai_epi16::<8>(_mm512_shuffle_epi8(words, high))]
}

/// `scalar::weighted_value_sum_tile`, but for shapes that it leaves to another function: `None`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub fn weighted_value_sum_tile(weights: &[i16], stride: usize, values: &ValueBlocks<'_>, head_dim: usize, out: &mut [i32]) -> Option<()> {
    let number = weights.len().checked_div(stride)?.min(out.len().checked_div(head_dim)?);
    let blocks = (stride / 4).min(values.values.len().checked_div(values.stride)?);
    (stride.is_multiple_of(4) && values.offset.checked_add(head_dim)? <= values.stride).then_some(())?;
    let whole = number / TILE * TILE;
    for first in (0..whole).step_by(TILE) {
        tile_of_sums::<TILE>(weights, stride, blocks, first, values, head_dim, out);
    }
    for first in whole..number {
        tile_of_sums::<1>(weights, stride, blocks, first, values, head_dim, out);
    }
    Some(())
}

/// Queries from `first` on, with all that `weighted_value_sum_tile` found to be there.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
#[inline]
fn tile_of_sums<const QUERIES: usize>(
    weights: &[i16],
    stride: usize,
    blocks: usize,
    first: usize,
    values: &ValueBlocks<'_>,
    head_dim: usize,
    out: &mut [i32],
) {
    let w = Strided { first: weights.as_ptr().wrapping_add(first * stride), stride };
    for dim in (0..head_dim).step_by(16) {
        let rows = Strided { first: values.values.as_ptr().wrapping_add(values.offset + dim), stride: values.stride };
        // SAFETY: the mask leaves the head's dimensions, which lie in each block; each query has four weights for it.
        let sums = unsafe { sums_of_tile::<QUERIES>(w, rows, blocks, mask16(head_dim - dim)) };
        for (out, sum) in out.chunks_exact_mut(head_dim).skip(first).zip(sums) {
            store_i32_at(out, dim, sum);
        }
    }
}

/// Weighted sums of the mask's dimensions for each query.
///
/// # Safety
/// These dimensions may be read in each block, and four weights for each block of every query.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn sums_of_tile<const QUERIES: usize>(
    weights: Strided<i16>,
    rows: Strided<[i8; 4]>,
    blocks: usize,
    mask: u16,
) -> [__m512i; QUERIES] {
    let mut sums = [_mm512_setzero_si512(); QUERIES];
    for block in 0..blocks {
        // SAFETY: the caller's; a masked load does not touch the rest.
        let [low, high] = widen(unsafe { _mm512_maskz_loadu_epi32(mask, rows.at(block, 0).cast()) });
        for (query, sum) in sums.iter_mut().enumerate() {
            let at = weights.at(query, 4 * block).cast::<i32>();
            // SAFETY: the caller's.
            let (w_low, w_high) = unsafe { (at.read_unaligned(), at.wrapping_add(1).read_unaligned()) };
            *sum = _mm512_dpwssd_epi32(*sum, low, _mm512_set1_epi32(w_low));
            *sum = _mm512_dpwssd_epi32(*sum, high, _mm512_set1_epi32(w_high));
        }
    }
    sums
}

/// `scalar::score`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
#[inline]
fn score(dots: __m512i, scales: __m512, exponent: i32, headroom: u32) -> __m512i {
    let bits = _mm512_castps_si512(scales);
    let (zero, mantissa) = (_mm512_setzero_si512(), _mm512_slli_epi32::<7>(mantissa(bits)));
    let right = _mm512_sub_epi32(_mm512_set1_epi32(exponent.wrapping_add(109 + headroom as i32)), _mm512_srli_epi32::<23>(bits));
    let left = _mm512_max_epi32(_mm512_sub_epi32(zero, right), zero);
    let left = _mm512_min_epi32(left, _mm512_set1_epi32(29));
    let limit = _mm512_srlv_epi32(_mm512_set1_epi32(1 << 29), left);
    let product = mul_high(_mm512_sll_epi32(dots, _mm_cvtsi32_si128(headroom as i32)), mantissa);
    let product = _mm512_min_epi32(_mm512_max_epi32(product, _mm512_sub_epi32(zero, limit)), limit);
    // A shift by 32 and more leaves the sign, as scalar's by 31 does.
    _mm512_srav_epi32(_mm512_sllv_epi32(product, left), _mm512_max_epi32(right, zero))
}

/// Mantissas of f32 bits as integers of 24 bits; 0 for zero.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
#[inline]
fn mantissa(bits: __m512i) -> __m512i {
    let fraction = _mm512_and_si512(bits, _mm512_set1_epi32(0x007f_ffff));
    _mm512_maskz_or_epi32(_mm512_test_epi32_mask(bits, bits), fraction, _mm512_set1_epi32(0x0080_0000))
}

/// `scalar::softmax_weights`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub fn softmax_weights(scores: &mut [i32], largest: i32, value_scales: &[f32], out: &mut [i16]) -> SoftmaxNorm {
    let count = scores.len();
    let (Some(value_scales), true) = (value_scales.get(..count), out.len() >= count) else {
        return scalar::softmax_weights(scores, largest, value_scales, out);
    };
    let mut top = _mm512_setzero_si512();
    for at in (0..count).step_by(16) {
        top = _mm512_max_epi32(top, _mm512_srli_epi32::<23>(_mm512_castps_si512(load_f32_at(value_scales, at))));
    }
    let top = _mm512_reduce_max_epi32(top);

    let largest = _mm512_set1_epi32(largest);
    let (mut sum, mut largest_product) = (_mm512_setzero_si512(), _mm512_setzero_si512());
    for at in (0..count).step_by(16) {
        // A scale of 0 behind the last key makes a product of 0; its e must not count.
        let e = exp2_neg_q16(_mm512_sub_epi32(largest, load_i32_at(scores, at)));
        let product = product(e, load_f32_at(value_scales, at), top);
        store_i32_at(scores, at, product);
        sum = _mm512_mask_add_epi32(sum, mask16(count - at), sum, e);
        largest_product = _mm512_max_epu32(largest_product, product);
    }

    // Products lie below 2^31, so that signed order is theirs.
    let shift = 20u32.saturating_sub(_mm512_reduce_max_epu32(largest_product).leading_zeros());
    let (half, count_of_bits) = (_mm512_set1_epi32((1 << shift) >> 1), _mm_cvtsi32_si128(shift as i32));
    let (out, padding) = out.split_at_mut(count);
    for at in (0..count).step_by(16) {
        let rounded = _mm512_srl_epi32(_mm512_add_epi32(load_i32_at(scores, at), half), count_of_bits);
        let narrow = _mm512_cvtepi32_epi16(_mm512_min_epu32(rounded, _mm512_set1_epi32(4095)));
        // SAFETY: there are `count` weights; the mask leaves out what lies behind them.
        unsafe { _mm256_mask_storeu_epi16(out.as_mut_ptr().wrapping_add(at), mask16(count - at), narrow) };
    }
    padding.fill(0);
    SoftmaxNorm { sum: _mm512_reduce_add_epi32(sum) as u32, exponent: shift as i32 + top - 141 }
}

/// `scalar::product`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
#[inline]
fn product(e: __m512i, scales: __m512, top: i32) -> __m512i {
    let bits = _mm512_castps_si512(scales);
    let full = _mm512_mullo_epi32(e, _mm512_srli_epi32::<9>(mantissa(bits)));
    // Shifts by 32 and more give 0 as scalar's by 31 do: the full product lies below 2^31.
    _mm512_srlv_epi32(full, _mm512_sub_epi32(_mm512_set1_epi32(top), _mm512_srli_epi32::<23>(bits)))
}
