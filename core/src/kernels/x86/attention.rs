//! Attention over an int8 cache: scores of eight keys at a time, weights, and weighted sums of 32 or eight dimensions.

use super::super::{KeyRows, SoftmaxNorm, ValueBlocks, scalar};
use super::dots::{Strided, dots_i8};
use super::exp::exp2_neg_q16;
use super::vector::{
    load_f32, load_f32_at, load_f32_front, load_i32, load_i32_front, mask, mul_high, store_i16, store_i16_front, store_i32, store_i32_at,
    store_i32_front,
};
use core::arch::x86_64::*;

/// `scalar::scores`.
#[target_feature(enable = "avx2")]
pub fn scores(q: &[i16], exponent: i32, keys: &KeyRows<'_>, out: &mut [i32]) -> i32 {
    let fits = !q.is_empty() && q.len().is_multiple_of(4) && keys.offset.checked_add(q.len()).is_some_and(|end| end <= keys.stride);
    let count = keys.values.len().checked_div(keys.stride).unwrap_or(0).min(keys.scales.len()).min(out.len());
    if !fits || count < 8 {
        return scalar::scores(q, exponent, keys, out);
    }
    let headroom = scalar::headroom(q.len());
    let mut largest = _mm256_set1_epi32(i32::MIN);
    for key in (0..count).step_by(8) {
        // The last eight overlap those before where keys do not fill them: the same scores, twice.
        let key = key.min(count - 8);
        let rows = Strided { first: keys.values.as_ptr().wrapping_add(key * keys.stride + keys.offset), stride: keys.stride };
        // SAFETY: the keys are whole rows of `stride` elements, in which the head's `q.len()`, a multiple of four, end.
        let dots = unsafe {
            match q.first_chunk::<8>() {
                Some(q8) if q.len() == 8 => dots_of_8(rows, q8),
                _ => dots_i8::<8, 1>(rows, Strided { first: q.as_ptr(), stride: 0 }, q.len()),
            }
        };
        let scores = score(dots, load_f32_at(keys.scales, key), exponent, headroom);
        largest = _mm256_max_epi32(largest, scores);
        store_i32_at(out, key, scores);
    }
    max_of(largest)
}

/// Dots of eight keys of a head of eight dimensions, two keys to a register.
///
/// # Safety
/// Eight elements of each of eight rows may be read.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn dots_of_8(rows: Strided<i8>, q: &[i16; 8]) -> __m256i {
    // SAFETY: the array is as long as the register.
    let q = _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(q.as_ptr().cast()) });
    let products = |key: usize| {
        // SAFETY: eight bytes are there at each.
        let (low, high) = unsafe { (_mm_loadl_epi64(rows.at(key, 0).cast()), _mm_loadl_epi64(rows.at(key + 4, 0).cast())) };
        _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm_unpacklo_epi64(low, high)), q)
    };
    _mm256_hadd_epi32(_mm256_hadd_epi32(products(0), products(1)), _mm256_hadd_epi32(products(2), products(3)))
}

/// `scalar::score`.
#[target_feature(enable = "avx2")]
#[inline]
fn score(dots: __m256i, scales: __m256, exponent: i32, headroom: u32) -> __m256i {
    let bits = _mm256_castps_si256(scales);
    let (zero, mantissa) = (_mm256_setzero_si256(), _mm256_slli_epi32::<7>(mantissa(bits)));
    let right = _mm256_sub_epi32(_mm256_set1_epi32(exponent.wrapping_add(109 + headroom as i32)), _mm256_srli_epi32::<23>(bits));
    let left = _mm256_max_epi32(_mm256_sub_epi32(zero, right), zero);
    let left = _mm256_min_epi32(left, _mm256_set1_epi32(29));
    let limit = _mm256_srlv_epi32(_mm256_set1_epi32(1 << 29), left);
    let product = mul_high(_mm256_sll_epi32(dots, _mm_cvtsi32_si128(headroom as i32)), mantissa);
    let product = _mm256_min_epi32(_mm256_max_epi32(product, _mm256_sub_epi32(zero, limit)), limit);
    // A shift by 32 and more leaves the sign, as scalar's by 31 does.
    _mm256_srav_epi32(_mm256_sllv_epi32(product, left), _mm256_max_epi32(right, zero))
}

/// Mantissas of f32 bits as integers of 24 bits; 0 for zero.
#[target_feature(enable = "avx2")]
#[inline]
fn mantissa(bits: __m256i) -> __m256i {
    let fraction = _mm256_and_si256(bits, _mm256_set1_epi32(0x007f_ffff));
    let zero = _mm256_cmpeq_epi32(bits, _mm256_setzero_si256());
    _mm256_andnot_si256(zero, _mm256_or_si256(fraction, _mm256_set1_epi32(0x0080_0000)))
}

#[target_feature(enable = "avx2")]
#[inline]
fn max_of(x: __m256i) -> i32 {
    let x = _mm_max_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
    let x = _mm_max_epi32(x, _mm_shuffle_epi32::<0b_01_00_11_10>(x));
    _mm_cvtsi128_si32(_mm_max_epi32(x, _mm_shuffle_epi32::<0b_10_11_00_01>(x)))
}

#[target_feature(enable = "avx2")]
#[inline]
fn sum_of(x: __m256i) -> i32 {
    let x = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
    let x = _mm_add_epi32(x, _mm_shuffle_epi32::<0b_01_00_11_10>(x));
    _mm_cvtsi128_si32(_mm_add_epi32(x, _mm_shuffle_epi32::<0b_10_11_00_01>(x)))
}

/// `scalar::softmax_weights`.
#[target_feature(enable = "avx2")]
pub fn softmax_weights(scores: &mut [i32], largest: i32, value_scales: &[f32], out: &mut [i16]) -> SoftmaxNorm {
    let count = scores.len();
    let (Some(value_scales), true) = (value_scales.get(..count), out.len() >= count) else {
        return scalar::softmax_weights(scores, largest, value_scales, out);
    };
    let (scales8, scales_tail) = value_scales.as_chunks::<8>();
    let scales_tail = load_f32_front(scales_tail);
    let exponents = |scales| _mm256_srli_epi32::<23>(_mm256_castps_si256(scales));
    let mut top = exponents(scales_tail);
    for scales in scales8 {
        top = _mm256_max_epi32(top, exponents(load_f32(scales)));
    }
    let top = max_of(top);

    let largest = _mm256_set1_epi32(largest);
    let (mut sum, mut largest_product) = (_mm256_setzero_si256(), _mm256_setzero_si256());
    let (scores8, scores_tail) = scores.as_chunks_mut::<8>();
    for (scores, scales) in scores8.iter_mut().zip(scales8) {
        let e = exp2_neg_q16(_mm256_sub_epi32(largest, load_i32(scores)));
        let product = product(e, load_f32(scales), top);
        store_i32(scores, product);
        sum = _mm256_add_epi32(sum, e);
        largest_product = _mm256_max_epu32(largest_product, product);
    }
    if !scores_tail.is_empty() {
        // A scale of 0 behind the last key makes a product of 0; its e must not count.
        let e = exp2_neg_q16(_mm256_sub_epi32(largest, load_i32_front(scores_tail)));
        let product = product(e, scales_tail, top);
        store_i32_front(scores_tail, product);
        sum = _mm256_add_epi32(sum, _mm256_and_si256(e, mask(4 * scores_tail.len())));
        largest_product = _mm256_max_epu32(largest_product, product);
    }

    // Products lie below 2^31, so that signed order is theirs.
    let shift = 20u32.saturating_sub((max_of(largest_product) as u32).leading_zeros());
    let (half, count_of_bits) = (_mm256_set1_epi32((1 << shift) >> 1), _mm_cvtsi32_si128(shift as i32));
    let round = |product| _mm256_min_epu32(_mm256_srl_epi32(_mm256_add_epi32(product, half), count_of_bits), _mm256_set1_epi32(4095));
    let (out, padding) = out.split_at_mut(count);
    let (out8, out_tail) = out.as_chunks_mut::<8>();
    for (out, products) in out8.iter_mut().zip(&*scores8) {
        store_i16(out, round(load_i32(products)));
    }
    if !out_tail.is_empty() {
        store_i16_front(out_tail, round(load_i32_front(scores_tail)));
    }
    padding.fill(0);
    SoftmaxNorm { sum: sum_of(sum) as u32, exponent: shift as i32 + top - 141 }
}

/// `scalar::product`.
#[target_feature(enable = "avx2")]
#[inline]
fn product(e: __m256i, scales: __m256, top: i32) -> __m256i {
    let bits = _mm256_castps_si256(scales);
    let full = _mm256_mullo_epi32(e, _mm256_srli_epi32::<9>(mantissa(bits)));
    // Shifts by 32 and more give 0 as scalar's by 31 do: the full product lies below 2^31.
    _mm256_srlv_epi32(full, _mm256_sub_epi32(_mm256_set1_epi32(top), _mm256_srli_epi32::<23>(bits)))
}

/// `scalar::weighted_value_sum`.
#[target_feature(enable = "avx2")]
pub fn weighted_value_sum(weights: &[i16], values: &ValueBlocks<'_>, out: &mut [i32]) {
    if values.stride == 0 || values.offset.checked_add(out.len()).is_none_or(|end| end > values.stride) {
        return scalar::weighted_value_sum(weights, values, out);
    }
    let mut offset = values.offset;
    let (out32, rest) = out.as_chunks_mut::<32>();
    for out in out32 {
        mix_units::<4>(weights, &ValueBlocks { offset, ..*values }, out.as_chunks_mut().0);
        offset += 32;
    }
    let (out8, rest) = rest.as_chunks_mut::<8>();
    for out in out8 {
        mix_units::<1>(weights, &ValueBlocks { offset, ..*values }, core::slice::from_mut(out));
        offset += 8;
    }
    if !rest.is_empty() {
        scalar::weighted_value_sum(weights, &ValueBlocks { offset, ..*values }, rest);
    }
}

/// `UNITS` times eight dimensions from the offset on, which lie within the stride.
#[target_feature(enable = "avx2")]
#[inline]
fn mix_units<const UNITS: usize>(weights: &[i16], values: &ValueBlocks<'_>, out: &mut [[i32; 8]]) {
    // Per dimension two sums: of the products with tokens 0 and 1, and with 2 and 3.
    let mut sums = [[_mm256_setzero_si256(); 2]; UNITS];
    let (quads, behind) = weights.as_chunks::<4>();
    let mut blocks = values.values.chunks_exact(values.stride);
    for (w, block) in quads.iter().zip(blocks.by_ref()) {
        mix_block(&mut sums, w, block, values.offset);
    }
    if let (false, Some(block)) = (behind.is_empty(), blocks.next()) {
        let mut w = [0; 4];
        w.iter_mut().zip(behind).for_each(|(w, &behind)| *w = behind);
        mix_block(&mut sums, &w, block, values.offset);
    }
    for (out, [low, high]) in out.iter_mut().zip(sums) {
        store_i32(out, _mm256_permute4x64_epi64::<0b_11_01_10_00>(_mm256_hadd_epi32(low, high)));
    }
}

/// Adds one block of four tokens.
#[target_feature(enable = "avx2")]
#[inline]
fn mix_block<const UNITS: usize>(sums: &mut [[__m256i; 2]; UNITS], w: &[i16; 4], block: &[[i8; 4]], offset: usize) {
    let Some(head) = block.get(offset..offset + 8 * UNITS) else { return };
    // SAFETY: four i16 are eight bytes.
    let w = _mm256_set1_epi64x(unsafe { w.as_ptr().cast::<i64>().read_unaligned() });
    let (units, _) = head.as_chunks::<8>();
    for ([low, high], unit) in sums.iter_mut().zip(units) {
        // SAFETY: a unit is 32 bytes.
        let (v_low, v_high) = unsafe { (_mm_loadu_si128(unit.as_ptr().cast()), _mm_loadu_si128(unit.as_ptr().add(4).cast())) };
        *low = _mm256_add_epi32(*low, _mm256_madd_epi16(_mm256_cvtepi8_epi16(v_low), w));
        *high = _mm256_add_epi32(*high, _mm256_madd_epi16(_mm256_cvtepi8_epi16(v_high), w));
    }
}
