//! Attention over an int8 KV cache: scores of eight keys at a time, weighted sums of 32 or eight dimensions of the values.

use super::super::super::int8_cache;
use super::super::super::views::{KeyRows, ValueBlocks};
use super::super::cpu::Avx2;
use super::super::softmax::score;
use super::dots::{Strided, dots_i8};
use super::vector::{largest, load_f32_at, store_i32, store_i32_at};
use core::arch::x86_64::*;

/// `int8_cache::scores`.
#[target_feature(enable = "avx2,f16c")]
#[inline]
pub fn scores(q: &[i16], exponent: i32, keys: &KeyRows<'_>, out: &mut [i32]) -> i32 {
    let fits = !q.is_empty() && q.len().is_multiple_of(4) && keys.offset.checked_add(q.len()).is_some_and(|end| end <= keys.stride);
    let count = keys.values.len().checked_div(keys.stride).unwrap_or(0).min(keys.scales.len()).min(out.len());
    if !fits || count < 8 {
        return int8_cache::scores(q, exponent, keys, out);
    }
    let headroom = int8_cache::headroom(q.len());
    let mut top = _mm256_set1_epi32(i32::MIN);
    for key in (0..count).step_by(8) {
        // If the keys are not a multiple of eight, the last eight overlap the ones before: the same scores, computed twice.
        let key = key.min(count - 8);
        let rows = Strided { first: keys.values.as_ptr().wrapping_add(key * keys.stride + keys.offset), stride: keys.stride };
        // SAFETY: `key + 8 <= count`, so eight whole rows of `stride` elements follow, and `fits` found that the head's `q.len()` elements, a
        // multiple of four, end within a row. The query has `q.len()` elements.
        let dots = unsafe {
            match q.first_chunk::<8>() {
                Some(q8) if q.len() == 8 => dots_of_8(rows, q8),
                _ => dots_i8::<8, 1>(rows, Strided { first: q.as_ptr(), stride: 0 }, q.len()),
            }
        };
        let scores = score(Avx2::compiled(), dots, load_f32_at(keys.scales, key), exponent, headroom);
        top = _mm256_max_epi32(top, scores);
        store_i32_at(out, key, scores);
    }
    largest(top)
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
        // SAFETY: `key` is at most 3, and the caller lets eight bytes of rows 0 to 7 be read.
        let (low, high) = unsafe { (_mm_loadl_epi64(rows.at(key, 0).cast()), _mm_loadl_epi64(rows.at(key + 4, 0).cast())) };
        _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm_unpacklo_epi64(low, high)), q)
    };
    _mm256_hadd_epi32(_mm256_hadd_epi32(products(0), products(1)), _mm256_hadd_epi32(products(2), products(3)))
}

/// `int8_cache::weighted_value_sum`.
#[target_feature(enable = "avx2,f16c")]
#[inline]
pub fn weighted_value_sum(weights: &[i16], values: &ValueBlocks<'_>, out: &mut [i32]) {
    if values.stride == 0 || values.offset.checked_add(out.len()).is_none_or(|end| end > values.stride) {
        return int8_cache::weighted_value_sum(weights, values, out);
    }
    let mut offset = values.offset;
    let (out32, rest) = out.as_chunks_mut::<32>();
    for out in out32 {
        sum_units::<4>(weights, &ValueBlocks { offset, ..*values }, out.as_chunks_mut().0);
        offset += 32;
    }
    let (out8, rest) = rest.as_chunks_mut::<8>();
    for out in out8 {
        sum_units::<1>(weights, &ValueBlocks { offset, ..*values }, core::slice::from_mut(out));
        offset += 8;
    }
    if !rest.is_empty() {
        int8_cache::weighted_value_sum(weights, &ValueBlocks { offset, ..*values }, rest);
    }
}

/// `UNITS` times eight dimensions from the offset on, all of them within the stride.
#[target_feature(enable = "avx2")]
#[inline]
fn sum_units<const UNITS: usize>(weights: &[i16], values: &ValueBlocks<'_>, out: &mut [[i32; 8]]) {
    // Two accumulators per dimension: of the products with tokens 0 and 1, and with 2 and 3.
    let mut sums = [[_mm256_setzero_si256(); 2]; UNITS];
    let (quads, rest) = weights.as_chunks::<4>();
    let mut blocks = values.values.chunks_exact(values.stride);
    for (w, block) in quads.iter().zip(blocks.by_ref()) {
        add_block(&mut sums, w, block, values.offset);
    }
    if let (false, Some(block)) = (rest.is_empty(), blocks.next()) {
        let mut w = [0; 4];
        w.iter_mut().zip(rest).for_each(|(w, &rest)| *w = rest);
        add_block(&mut sums, &w, block, values.offset);
    }
    for (out, [low, high]) in out.iter_mut().zip(sums) {
        store_i32(out, _mm256_permute4x64_epi64::<0b_11_01_10_00>(_mm256_hadd_epi32(low, high)));
    }
}

/// Adds one block of four tokens.
#[target_feature(enable = "avx2")]
#[inline]
fn add_block<const UNITS: usize>(sums: &mut [[__m256i; 2]; UNITS], w: &[i16; 4], block: &[[i8; 4]], offset: usize) {
    let Some(head) = block.get(offset..offset + 8 * UNITS) else {
        debug_assert!(false, "the head ends after its block");
        return;
    };
    // SAFETY: four i16 are eight bytes.
    let w = _mm256_set1_epi64x(unsafe { w.as_ptr().cast::<i64>().read_unaligned() });
    let (units, _) = head.as_chunks::<8>();
    for ([low, high], unit) in sums.iter_mut().zip(units) {
        let unit = unit.as_ptr();
        // SAFETY: a unit has eight elements of four bytes: 16 bytes from the start, and 16 from element 4.
        let (v_low, v_high) = unsafe { (_mm_loadu_si128(unit.cast()), _mm_loadu_si128(unit.add(4).cast())) };
        *low = _mm256_add_epi32(*low, _mm256_madd_epi16(_mm256_cvtepi8_epi16(v_low), w));
        *high = _mm256_add_epi32(*high, _mm256_madd_epi16(_mm256_cvtepi8_epi16(v_high), w));
    }
}
