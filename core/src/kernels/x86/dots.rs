//! Exact integer dots: eight at a time, of eight rows with one token, or of four rows with two tokens.
//!
//! A tile keeps its sums in registers. Rows may repeat, so that a matrix whose rows do not fill a tile needs no code of its own.

use super::vector::mask;
use core::arch::x86_64::*;

/// A register of partial sums per row and token, tokens outermost. `ROWS * TOKENS` is 8.
pub type Sums<const ROWS: usize, const TOKENS: usize> = [[__m256i; ROWS]; TOKENS];

/// int8 rows against tokens.
///
/// # Safety
/// `columns` is a multiple of four, and from each pointer on as many elements may be read.
#[target_feature(enable = "avx2")]
#[inline]
pub unsafe fn dots_i8<const ROWS: usize, const TOKENS: usize>(
    rows: [*const i8; ROWS],
    tokens: [*const i16; TOKENS],
    columns: usize,
) -> Sums<ROWS, TOKENS> {
    let mut sums = [[_mm256_setzero_si256(); ROWS]; TOKENS];
    let mut at = 0;
    while at + 16 <= columns {
        let mut x = [_mm256_setzero_si256(); TOKENS];
        for (x, token) in x.iter_mut().zip(tokens) {
            // SAFETY: `at + 16` elements are there.
            *x = unsafe { _mm256_loadu_si256(token.add(at).cast()) };
        }
        for (row, weights) in rows.into_iter().enumerate() {
            // SAFETY: `at + 16` elements are there.
            let w = _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(weights.add(at).cast()) });
            accumulate(&mut sums, row, x, w);
        }
        at += 16;
    }
    if at < columns {
        let rest = columns - at;
        let (w_mask, x_mask) = (_mm256_castsi256_si128(mask(rest)), mask(2 * rest));
        let mut x = [_mm256_setzero_si256(); TOKENS];
        for (x, token) in x.iter_mut().zip(tokens) {
            // SAFETY: the mask covers what is left; the rest of the memory is not touched.
            *x = unsafe { _mm256_maskload_epi32(token.add(at).cast(), x_mask) };
        }
        for (row, weights) in rows.into_iter().enumerate() {
            // SAFETY: the mask covers what is left, a multiple of four bytes; the rest of the memory is not touched.
            let w = _mm256_cvtepi8_epi16(unsafe { _mm_maskload_epi32(weights.add(at).cast(), w_mask) });
            accumulate(&mut sums, row, x, w);
        }
    }
    sums
}

/// int4 rows against tokens, each weight times its group's scale: at most 8 * 255, so that a product of sixteen bits holds it.
///
/// # Safety
/// From each row's pointer on there are `columns` nibbles in whole words of four bytes, from each token's `columns` elements rounded up to
/// four, and from each row's scales on one byte for each group of columns. `group` is a multiple of 32, and not 0.
#[target_feature(enable = "avx2")]
#[inline]
pub unsafe fn dots_i4<const ROWS: usize, const TOKENS: usize>(
    rows: [*const u8; ROWS],
    scales: [*const u8; ROWS],
    tokens: [*const i16; TOKENS],
    columns: usize,
    group: usize,
) -> Sums<ROWS, TOKENS> {
    let mut sums = [[_mm256_setzero_si256(); ROWS]; TOKENS];
    let mut group_scales = [_mm256_setzero_si256(); ROWS];
    let (mut at, mut groups) = (0, 0);
    while at < columns {
        for (all, scales) in group_scales.iter_mut().zip(scales) {
            // SAFETY: the group begins below `columns`, so that its scale is there.
            *all = _mm256_set1_epi16((unsafe { *scales.add(groups) } as i16) << 4);
        }
        let end = columns.min(at + group);
        while at + 32 <= end {
            let mut x = [[_mm256_setzero_si256(); 2]; TOKENS];
            for ([x0, x1], token) in x.iter_mut().zip(tokens) {
                // SAFETY: `at + 32` elements are there.
                (*x0, *x1) = unsafe { (_mm256_loadu_si256(token.add(at).cast()), _mm256_loadu_si256(token.add(at + 16).cast())) };
            }
            for ((row, weights), &scale) in rows.into_iter().enumerate().zip(&group_scales) {
                // SAFETY: `at + 32` nibbles are there.
                let nibbles = unsafe { _mm_loadu_si128(weights.add(at / 2).cast()) };
                accumulate_nibbles(&mut sums, row, &x, nibbles, scale);
            }
            at += 32;
        }
        if at < end {
            let rest = end - at;
            let (load0, load1) = (mask(2 * rest.next_multiple_of(4)), mask(2 * rest.next_multiple_of(4).saturating_sub(16)));
            let (keep0, keep1) = (mask(2 * rest), mask(2 * rest.saturating_sub(16)));
            let w_mask = _mm256_castsi256_si128(mask(rest.div_ceil(8) * 4));
            let mut x = [[_mm256_setzero_si256(); 2]; TOKENS];
            for ([x0, x1], token) in x.iter_mut().zip(tokens) {
                // SAFETY: the masks cover what is left, rounded up to four elements; the rest of the memory is not touched.
                let loaded = unsafe {
                    (_mm256_maskload_epi32(token.add(at).cast(), load0), _mm256_maskload_epi32(token.wrapping_add(at + 16).cast(), load1))
                };
                (*x0, *x1) = (_mm256_and_si256(loaded.0, keep0), _mm256_and_si256(loaded.1, keep1));
            }
            for ((row, weights), &scale) in rows.into_iter().enumerate().zip(&group_scales) {
                // SAFETY: the mask covers whole words of what is left; the rest of the memory is not touched.
                let nibbles = unsafe { _mm_maskload_epi32(weights.add(at / 2).cast(), w_mask) };
                accumulate_nibbles(&mut sums, row, &x, nibbles, scale);
            }
            at = end;
        }
        groups += 1;
    }
    sums
}

/// Adds sixteen products to the sums of one row with every token.
#[target_feature(enable = "avx2")]
#[inline]
fn accumulate<const ROWS: usize, const TOKENS: usize>(sums: &mut Sums<ROWS, TOKENS>, row: usize, x: [__m256i; TOKENS], w: __m256i) {
    for (sums, x) in sums.iter_mut().zip(x) {
        if let Some(sum) = sums.get_mut(row) {
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(x, w));
        }
    }
}

/// Adds 32 products; `scale` is the group's scale times 16.
#[target_feature(enable = "avx2")]
#[inline]
fn accumulate_nibbles<const ROWS: usize, const TOKENS: usize>(
    sums: &mut Sums<ROWS, TOKENS>,
    row: usize,
    x: &[[__m256i; 2]; TOKENS],
    nibbles: __m128i,
    scale: __m256i,
) {
    let bytes = _mm256_broadcastsi128_si256(nibbles);
    let widen = |order| {
        // A byte goes to the upper halves of two words; the even column's nibble moves to the top of the first, the odd one's is there already.
        let words = _mm256_mullo_epi16(_mm256_shuffle_epi8(bytes, order), _mm256_set1_epi32(0x0001_0010));
        // 2^12 w * 2^4 scale / 2^16, exact.
        _mm256_mulhi_epi16(_mm256_and_si256(words, _mm256_set1_epi16(0xf000u16 as i16)), scale)
    };
    let (w0, w1) = (widen(spread(0)), widen(spread(8)));
    for (sums, &[x0, x1]) in sums.iter_mut().zip(x) {
        if let Some(sum) = sums.get_mut(row) {
            *sum = _mm256_add_epi32(*sum, _mm256_add_epi32(_mm256_madd_epi16(x0, w0), _mm256_madd_epi16(x1, w1)));
        }
    }
}

/// Sends each of the eight bytes from `first` on to the upper halves of two neighbouring words.
#[target_feature(enable = "avx2")]
#[inline]
fn spread(first: i32) -> __m256i {
    // Per double word: (zero, byte, zero, byte).
    let byte = |offset: i32| (first + offset) * 0x0100_0100 + 0x0080_0080;
    _mm256_setr_epi32(byte(0), byte(1), byte(2), byte(3), byte(4), byte(5), byte(6), byte(7))
}
