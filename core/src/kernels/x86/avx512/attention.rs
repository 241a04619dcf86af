//! Attention over an int8 KV cache, several queries at a time: keys and values are widened once for all of them.

use super::super::super::int8_cache;
use super::super::super::views::{KeyRows, QueryTile, ValueBlocks};
use super::super::avx2::Strided;
use super::super::cpu::Avx512;
use super::super::softmax::score;
use super::panel::{gather, transpose4x4};
use super::vector::{load_f32_at, mask16, store_i32_at};
use core::arch::x86_64::*;

/// Widest head whose keys are packed: 8 KB of stack.
const WIDEST_HEAD: usize = 256;
/// Queries of a tile.
const TILE: usize = 8;

/// `int8_cache::scores_tile`; `None` for shapes that another function must handle.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,f16c")]
pub fn scores_tile(queries: &QueryTile<'_>, keys: &KeyRows<'_>, stride: usize, out: &mut [i32], largest: &mut [i32]) -> Option<()> {
    let head_dim = queries.head_dim;
    let count = queries.visible.iter().copied().max()?;
    let available = keys.values.len().checked_div(keys.stride)?.min(keys.scales.len()).min(stride);
    let fits = head_dim > 0 && head_dim.is_multiple_of(16) && head_dim <= WIDEST_HEAD && keys.offset.checked_add(head_dim)? <= keys.stride;
    let number = queries.values.len() / head_dim.max(1);
    let complete =
        [queries.exponents.len(), queries.visible.len(), largest.len(), out.len().checked_div(stride)?].iter().all(|&len| len >= number);
    (fits && complete && (16..=available).contains(&count)).then_some(())?;
    let scores = Scores { queries, keys, count, stride };
    let whole = number / TILE * TILE;
    for first in (0..whole).step_by(TILE) {
        scores.tile::<TILE>(first, out, largest);
    }
    for first in whole..number {
        scores.tile::<1>(first, out, largest);
    }
    Some(())
}

/// Operands whose sizes `scores_tile` has checked: all queries, and `count` keys of `head_dim`, a multiple of sixteen.
struct Scores<'a> {
    queries: &'a QueryTile<'a>,
    keys: &'a KeyRows<'a>,
    /// Keys, at least sixteen.
    count: usize,
    /// Scores from one query to the next.
    stride: usize,
}

impl Scores<'_> {
    /// `QUERIES` queries from `first` on.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,f16c")]
    #[inline]
    fn tile<const QUERIES: usize>(&self, first: usize, out: &mut [i32], largest: &mut [i32]) {
        let (keys, head_dim) = (self.keys, self.queries.head_dim);
        let headroom = int8_cache::headroom(head_dim);
        let q = Strided { first: self.queries.values.as_ptr().wrapping_add(first * head_dim), stride: head_dim };
        let exponents = self.queries.exponents.get(first..).unwrap_or_default();
        let visible = self.queries.visible.get(first..).unwrap_or_default();
        debug_assert!(exponents.len() >= QUERIES && visible.len() >= QUERIES);
        let mut tops = [_mm512_set1_epi32(i32::MIN); QUERIES];
        let mut packed = [_mm512_setzero_si512(); WIDEST_HEAD / 2];
        for key in (0..self.count).step_by(16) {
            // If the keys are not a multiple of sixteen, the last sixteen overlap the ones before: the same scores, computed twice.
            let key = key.min(self.count - 16);
            let rows = Strided { first: keys.values.as_ptr().wrapping_add(key * keys.stride + keys.offset).cast(), stride: keys.stride };
            for (at, eight) in (0..head_dim).step_by(16).zip(packed.chunks_exact_mut(8)) {
                // SAFETY: `key + 16 <= count`, so sixteen keys begin here, and the head's dimensions, a multiple of sixteen, end within a row.
                let words = transpose4x4(unsafe { gather(rows, at, 0xf) });
                for (pair, word) in eight.chunks_exact_mut(2).zip(words) {
                    pair.iter_mut().zip(widen(word)).for_each(|(register, widened)| *register = widened);
                }
            }
            // SAFETY: the tile has `QUERIES` queries of `head_dim` elements, an even number, and as many of the keys' are packed.
            let dots = unsafe { dots_of_tile::<QUERIES>(&packed, q, head_dim) };
            let scales = load_f32_at(keys.scales, key);
            for (query, dot) in dots.into_iter().enumerate() {
                let scores = score(Avx512::compiled(), dot, scales, exponents.get(query).copied().unwrap_or_default(), headroom);
                store_i32_at(out, (first + query) * self.stride + key, scores);
                let seen = mask16(visible.get(query).map_or(0, |visible| visible.saturating_sub(key)));
                if let Some(top) = tops.get_mut(query) {
                    *top = _mm512_mask_max_epi32(*top, seen, *top, scores);
                }
            }
        }
        for (largest, top) in largest.iter_mut().skip(first).zip(tops) {
            *largest = _mm512_reduce_max_epi32(top);
        }
    }
}

/// Dots of sixteen packed keys with each query.
///
/// # Safety
/// `head_dim` elements of each query may be read; `head_dim` is even and at most `WIDEST_HEAD`.
#[target_feature(enable = "avx512f,avx512vnni")]
#[inline]
unsafe fn dots_of_tile<const QUERIES: usize>(packed: &[__m512i; WIDEST_HEAD / 2], q: Strided<i16>, head_dim: usize) -> [__m512i; QUERIES] {
    debug_assert!(head_dim <= WIDEST_HEAD && head_dim.is_multiple_of(2));
    let packed = packed.as_ptr();
    let mut dots = [_mm512_setzero_si512(); QUERIES];
    for pair in 0..head_dim / 2 {
        // SAFETY: `pair` is below `head_dim / 2`, at most the array's length.
        let k = unsafe { packed.wrapping_add(pair).read() };
        for (query, dot) in dots.iter_mut().enumerate() {
            // SAFETY: elements `2 * pair` and the next one are among the query's `head_dim`.
            let q = _mm512_set1_epi32(unsafe { q.at(query, 2 * pair).cast::<i32>().read_unaligned() });
            *dot = _mm512_dpwssd_epi32(*dot, k, q);
        }
    }
    dots
}

/// Signed bytes of words as halfwords: the first two of each word, then the other two.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn widen(words: __m512i) -> [__m512i; 2] {
    // Each byte moves to the upper half of its halfword and is shifted down with its sign; the lower half does not matter.
    let low = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 1, 1, 4, 4, 5, 5, 8, 8, 9, 9, 12, 12, 13, 13));
    let high = _mm512_broadcast_i32x4(_mm_setr_epi8(2, 2, 3, 3, 6, 6, 7, 7, 10, 10, 11, 11, 14, 14, 15, 15));
    [_mm512_srai_epi16::<8>(_mm512_shuffle_epi8(words, low)), _mm512_srai_epi16::<8>(_mm512_shuffle_epi8(words, high))]
}

/// `int8_cache::weighted_value_sum_tile`; `None` for shapes that another function must handle.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub fn weighted_value_sum_tile(weights: &[i16], stride: usize, values: &ValueBlocks<'_>, head_dim: usize, out: &mut [i32]) -> Option<()> {
    let number = weights.len().checked_div(stride)?.min(out.len().checked_div(head_dim)?);
    let blocks = (stride / 4).min(values.values.len().checked_div(values.stride)?);
    (stride.is_multiple_of(4) && values.offset.checked_add(head_dim)? <= values.stride).then_some(())?;
    let sums = Sums { weights, stride, values, blocks, head_dim };
    let whole = number / TILE * TILE;
    for first in (0..whole).step_by(TILE) {
        sums.tile::<TILE>(first, out);
    }
    for first in whole..number {
        sums.tile::<1>(first, out);
    }
    Some(())
}

/// Operands whose sizes `weighted_value_sum_tile` has checked: four weights of each query for every block, and the head within each block.
struct Sums<'a> {
    weights: &'a [i16],
    /// Weights from one query to the next.
    stride: usize,
    values: &'a ValueBlocks<'a>,
    blocks: usize,
    head_dim: usize,
}

impl Sums<'_> {
    /// `QUERIES` queries from `first` on; `out` is `(queries, head_dim)`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    #[inline]
    fn tile<const QUERIES: usize>(&self, first: usize, out: &mut [i32]) {
        let weights = Strided { first: self.weights.as_ptr().wrapping_add(first * self.stride), stride: self.stride };
        let values = self.values;
        for dim in (0..self.head_dim).step_by(16) {
            let rows = Strided { first: values.values.as_ptr().wrapping_add(values.offset + dim), stride: values.stride };
            // SAFETY: the mask keeps the head's dimensions, which each of the blocks has; each query has four weights for each block.
            let sums = unsafe { sums_of_tile::<QUERIES>(weights, rows, self.blocks, mask16(self.head_dim - dim)) };
            for (out, sum) in out.chunks_exact_mut(self.head_dim).skip(first).zip(sums) {
                store_i32_at(out, dim, sum);
            }
        }
    }
}

/// Weighted sums of the mask's dimensions for each query.
///
/// # Safety
/// In each of `blocks` rows the mask's elements may be read, and `4 * blocks` weights of every query.
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
        // SAFETY: the caller lets the mask's elements be read; a masked load does not touch the others.
        let [low, high] = widen(unsafe { _mm512_maskz_loadu_epi32(mask, rows.at(block, 0).cast()) });
        for (query, sum) in sums.iter_mut().enumerate() {
            let at = weights.at(query, 4 * block).cast::<i32>();
            // SAFETY: weights `4 * block` to `4 * block + 3` are among the query's `4 * blocks`: two words.
            let (w_low, w_high) = unsafe { (at.read_unaligned(), at.wrapping_add(1).read_unaligned()) };
            *sum = _mm512_dpwssd_epi32(*sum, low, _mm512_set1_epi32(w_low));
            *sum = _mm512_dpwssd_epi32(*sum, high, _mm512_set1_epi32(w_high));
        }
    }
    sums
}
