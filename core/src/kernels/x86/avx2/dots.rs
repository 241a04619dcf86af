//! Microkernels of exact integer dots: eight rows by one token, or four rows by two tokens, with all accumulators in registers.

use super::vector::{flat_i32, mask, sums_i32};
use core::arch::x86_64::*;

/// An accumulator register per row and token.
type Sums<const ROWS: usize, const TOKENS: usize> = [[__m256i; ROWS]; TOKENS];

/// Consecutive rows: the address of the first, and the elements (bytes for nibbles) from one to the next.
#[derive(Clone, Copy)]
pub struct Strided<T> {
    pub first: *const T,
    pub stride: usize,
}

impl<T> Strided<T> {
    /// Address of an element of a row.
    #[inline(always)]
    pub fn at(self, row: usize, element: usize) -> *const T {
        self.first.wrapping_add(row * self.stride + element)
    }
}

/// int8 rows against tokens: complete sums, tokens outermost. `ROWS * TOKENS` is 8. With tokens of twelve bits, two products are at most
/// 2 * 128 * 2,047 and the sums of a block of 8,192 columns fit 32 bits, as all their parts do.
///
/// # Safety
/// `columns` is a multiple of four; `columns` elements of `ROWS` rows and of `TOKENS` tokens may be read.
#[target_feature(enable = "avx2")]
#[inline]
pub unsafe fn dots_i8<const ROWS: usize, const TOKENS: usize>(rows: Strided<i8>, tokens: Strided<i16>, columns: usize) -> __m256i {
    debug_assert!(columns.is_multiple_of(4));
    let mut sums = [[_mm256_setzero_si256(); ROWS]; TOKENS];
    let mut at = 0;
    while at + 16 <= columns {
        let mut x = [_mm256_setzero_si256(); TOKENS];
        for (token, x) in x.iter_mut().enumerate() {
            // SAFETY: elements `at..at + 16` are among the token's `columns`.
            *x = unsafe { _mm256_loadu_si256(tokens.at(token, at).cast()) };
        }
        for row in 0..ROWS {
            // SAFETY: elements `at..at + 16` are among the row's `columns`.
            let w = _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(rows.at(row, at).cast()) });
            accumulate(&mut sums, row, x, w);
        }
        at += 16;
    }
    if at < columns {
        let rest = columns - at;
        let (w_mask, x_mask) = (_mm256_castsi256_si128(mask(rest)), mask(2 * rest));
        let mut x = [_mm256_setzero_si256(); TOKENS];
        for (token, x) in x.iter_mut().enumerate() {
            // SAFETY: the mask keeps the token's elements `at..columns`; a masked load does not touch the others.
            *x = unsafe { _mm256_maskload_epi32(tokens.at(token, at).cast(), x_mask) };
        }
        for row in 0..ROWS {
            // SAFETY: the mask keeps the row's elements `at..columns`, whole words; a masked load does not touch the others.
            let w = _mm256_cvtepi8_epi16(unsafe { _mm_maskload_epi32(rows.at(row, at).cast(), w_mask) });
            accumulate(&mut sums, row, x, w);
        }
    }
    sums_i32(flat_i32(sums))
}

/// Columns whose sum of products with 2^12 times an int4 weight fits 32 bits: 128 * 127 * 2^15 < 2^31.
const SAFE_COLUMNS: usize = 128;

/// int4 rows against tokens, each group's sum times the group's scale: complete sums, tokens outermost. `ROWS * TOKENS` is 8. A sum is exact
/// for token values in -127..=127, which `quantize` guarantees. Tokens are i16, or `BYTES` with a zero point of 128; their stride counts bytes.
///
/// # Safety
/// Of `ROWS` rows, `columns` nibbles, rounded up to whole words of four bytes, and a scale for each `group` columns may be read; of `TOKENS`
/// tokens, `columns` elements, rounded up to a multiple of four. `group` is a multiple of 32.
#[target_feature(enable = "avx2")]
#[inline]
pub unsafe fn dots_i4<const BYTES: bool, const ROWS: usize, const TOKENS: usize>(
    rows: Strided<u8>,
    scales: Strided<i8>,
    tokens: Strided<u8>,
    columns: usize,
    group: usize,
) -> __m256i {
    debug_assert!(group.is_multiple_of(32) && group > 0);
    let mut total = _mm256_setzero_si256();
    let (mut at, mut index, mut group_end) = (0, 0, group);
    while at < columns {
        let mut sums = [[_mm256_setzero_si256(); ROWS]; TOKENS];
        let end = columns.min(group_end).min(at + SAFE_COLUMNS);
        while at + 32 <= end {
            let mut x = [[_mm256_setzero_si256(); 2]; TOKENS];
            for (token, x) in x.iter_mut().enumerate() {
                // SAFETY: elements `at..at + 32` are among the token's `columns`.
                *x = unsafe {
                    if BYTES {
                        let x0 = from_bytes(_mm_loadu_si128(tokens.at(token, at).cast()));
                        deinterleave(x0, from_bytes(_mm_loadu_si128(tokens.at(token, at + 16).cast())))
                    } else {
                        let x0 = _mm256_loadu_si256(tokens.at(token, 2 * at).cast());
                        deinterleave(x0, _mm256_loadu_si256(tokens.at(token, 2 * at + 32).cast()))
                    }
                };
            }
            for row in 0..ROWS {
                // SAFETY: nibbles `at..at + 32`, sixteen bytes, are among the row's `columns`.
                let nibbles = unsafe { _mm_loadu_si128(rows.at(row, at / 2).cast()) };
                accumulate_nibbles(&mut sums, row, &x, nibbles);
            }
            at += 32;
        }
        if at < end {
            let rest = end - at;
            let whole = rest.next_multiple_of(4);
            let load = [mask(2 * whole), mask(2 * whole.saturating_sub(16))];
            let keep = [mask(2 * rest), mask(2 * rest.saturating_sub(16))];
            let w_mask = _mm256_castsi256_si128(mask(4 * rest.div_ceil(8)));
            let mut x = [[_mm256_setzero_si256(); 2]; TOKENS];
            for (token, x) in x.iter_mut().enumerate() {
                // SAFETY: the masks keep the elements `at..end`, rounded up to a multiple of four; masked loads do not touch the others.
                *x = unsafe {
                    let (x0, x1) = if BYTES {
                        let bytes = _mm256_maskload_epi32(tokens.at(token, at).cast(), mask(whole));
                        (from_bytes(_mm256_castsi256_si128(bytes)), from_bytes(_mm256_extracti128_si256::<1>(bytes)))
                    } else {
                        let x0 = _mm256_maskload_epi32(tokens.at(token, 2 * at).cast(), load[0]);
                        (x0, _mm256_maskload_epi32(tokens.at(token, 2 * at + 32).cast(), load[1]))
                    };
                    deinterleave(_mm256_and_si256(x0, keep[0]), _mm256_and_si256(x1, keep[1]))
                };
            }
            for row in 0..ROWS {
                // SAFETY: the mask keeps whole words up to nibble `end`; a masked load does not touch the others.
                let nibbles = unsafe { _mm_maskload_epi32(rows.at(row, at / 2).cast(), w_mask) };
                accumulate_nibbles(&mut sums, row, &x, nibbles);
            }
            at = end;
        }
        // SAFETY: group `index` begins before column `columns`, so the row has its scale.
        let scale = |row: usize| i32::from(unsafe { *scales.at(row % ROWS, index) });
        let scale = _mm256_setr_epi32(scale(0), scale(1), scale(2), scale(3), scale(4), scale(5), scale(6), scale(7));
        let sums = _mm256_srai_epi32::<12>(sums_i32(flat_i32(sums)));
        total = _mm256_add_epi32(total, _mm256_mullo_epi32(sums, scale));
        if at == group_end {
            index += 1;
            group_end += group;
        }
    }
    total
}

/// Sixteen values from bytes with a zero point of 128.
#[target_feature(enable = "avx2")]
#[inline]
fn from_bytes(bytes: __m128i) -> __m256i {
    _mm256_sub_epi16(_mm256_cvtepu8_epi16(bytes), _mm256_set1_epi16(128))
}

/// The even and the odd ones of 32 columns.
#[target_feature(enable = "avx2")]
#[inline]
fn deinterleave(x0: __m256i, x1: __m256i) -> [__m256i; 2] {
    let order = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
    let (x0, x1) = (_mm256_shuffle_epi8(x0, order), _mm256_shuffle_epi8(x1, order));
    let (even, odd) = (_mm256_unpacklo_epi64(x0, x1), _mm256_unpackhi_epi64(x0, x1));
    [_mm256_permute4x64_epi64::<0b11_01_10_00>(even), _mm256_permute4x64_epi64::<0b11_01_10_00>(odd)]
}

/// Adds sixteen products to the accumulators of one row with every token.
#[target_feature(enable = "avx2")]
#[inline]
fn accumulate<const ROWS: usize, const TOKENS: usize>(sums: &mut Sums<ROWS, TOKENS>, row: usize, x: [__m256i; TOKENS], w: __m256i) {
    for (sums, x) in sums.iter_mut().zip(x) {
        if let Some(sum) = sums.get_mut(row) {
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(x, w));
        }
    }
}

/// Adds 32 products with 2^12 times a weight; `x` is even and odd columns.
#[target_feature(enable = "avx2")]
#[inline]
fn accumulate_nibbles<const ROWS: usize, const TOKENS: usize>(
    sums: &mut Sums<ROWS, TOKENS>,
    row: usize,
    x: &[[__m256i; 2]; TOKENS],
    nibbles: __m128i,
) {
    // The nibble moves to the top of its halfword, where its top bit is the sign.
    let bytes = _mm256_cvtepu8_epi16(nibbles);
    let w_even = _mm256_slli_epi16::<12>(bytes);
    let w_odd = _mm256_and_si256(_mm256_slli_epi16::<8>(bytes), _mm256_set1_epi16(0xf000u16 as i16));
    for (sums, &[even, odd]) in sums.iter_mut().zip(x) {
        if let Some(sum) = sums.get_mut(row) {
            *sum = _mm256_add_epi32(*sum, _mm256_add_epi32(_mm256_madd_epi16(even, w_even), _mm256_madd_epi16(odd, w_odd)));
        }
    }
}
