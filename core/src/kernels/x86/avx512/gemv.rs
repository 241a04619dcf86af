//! GEMV for few tokens: dot products of one token with eight rows. The rows are not repacked, because each weight is read only once.

use super::super::avx2::{Strided, sums_i32};
use super::vector::{flip_sign, mask64};
use core::arch::x86_64::*;

/// int8 rows against a quantized row of bytes. The weights become unsigned here, 128 more than they are, and the token's bytes signed:
/// `start` is the token's [`zero_point_term`].
///
/// # Safety
/// `columns` bytes of eight rows and of the token may be read.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
#[inline]
pub unsafe fn dots_i8(rows: Strided<u8>, token: *const u8, columns: usize, start: __m512i) -> __m256i {
    let mut sums = [start; 8];
    let mut at = 0;
    while at + 64 <= columns {
        // SAFETY: bytes `at..at + 64` are among the token's `columns`.
        let x = flip_sign(unsafe { _mm512_loadu_si512(token.wrapping_add(at).cast()) });
        for (row, sum) in sums.iter_mut().enumerate() {
            // SAFETY: bytes `at..at + 64` are among the row's `columns`.
            let w = unsafe { _mm512_loadu_si512(rows.at(row, at).cast()) };
            *sum = _mm512_dpbusd_epi32(*sum, flip_sign(w), x);
        }
        at += 64;
    }
    if at < columns {
        let keep = mask64(columns - at);
        // SAFETY: the mask keeps the token's bytes `at..columns`; a masked load does not touch the others.
        let x = unsafe { _mm512_maskz_loadu_epi8(keep, token.wrapping_add(at).cast()) };
        let x = _mm512_maskz_mov_epi8(keep, flip_sign(x));
        for (row, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the mask keeps the row's bytes `at..columns`; a masked load does not touch the others.
            let w = unsafe { _mm512_maskz_loadu_epi8(keep, rows.at(row, at).cast()) };
            *sum = _mm512_dpbusd_epi32(*sum, flip_sign(w), x);
        }
    }
    sums_i32(sums.map(|sum| halves(sum)))
}

/// int8 rows against a row of twelve bits, `128 * high + low`; `start` is the token's [`zero_point_term_a12`]. The sums of the parts are exact modulo
/// 2^32, so the sums of a block of 8,192 columns are exact.
///
/// # Safety
/// `columns`, a multiple of four, bytes of eight rows and `2 * columns` of the token may be read.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
#[inline]
pub unsafe fn dots_a12(rows: Strided<u8>, token: *const u8, columns: usize, start: __m512i) -> __m256i {
    let (mut high, mut low) = ([_mm512_setzero_si512(); 8], [start; 8]);
    let mut at = 0;
    while at + 64 <= columns {
        // SAFETY: bytes `2 * at..2 * at + 128` are among the token's `2 * columns`.
        let [x_high, x_low] = unsafe { high_and_low(token.wrapping_add(2 * at), u64::MAX, u64::MAX) };
        for (row, (high, low)) in high.iter_mut().zip(&mut low).enumerate() {
            // SAFETY: bytes `at..at + 64` are among the row's `columns`.
            let w = flip_sign(unsafe { _mm512_loadu_si512(rows.at(row, at).cast()) });
            *high = _mm512_dpbusd_epi32(*high, w, x_high);
            *low = _mm512_dpbusd_epi32(*low, w, x_low);
        }
        at += 64;
    }
    if at < columns {
        let rest = columns - at;
        // SAFETY: the masks keep the token's bytes of columns `at..columns`.
        let [x_high, x_low] = unsafe { high_and_low(token.wrapping_add(2 * at), mask64(2 * rest), mask64((2 * rest).saturating_sub(64))) };
        for (row, (high, low)) in high.iter_mut().zip(&mut low).enumerate() {
            // SAFETY: the mask keeps the row's bytes `at..columns`; a masked load does not touch the others.
            let w = flip_sign(unsafe { _mm512_maskz_loadu_epi8(mask64(rest), rows.at(row, at).cast()) });
            *high = _mm512_dpbusd_epi32(*high, w, x_high);
            *low = _mm512_dpbusd_epi32(*low, w, x_low);
        }
    }
    let mut sums = [_mm256_setzero_si256(); 8];
    for ((sum, high), low) in sums.iter_mut().zip(high).zip(low) {
        *sum = halves(_mm512_add_epi32(_mm512_slli_epi32::<7>(high), low));
    }
    sums_i32(sums)
}

/// The high and the low parts, signed, of 64 columns of a row of twelve bits; zeros outside the masks of the first and the next 64 bytes, which
/// keep whole words.
///
/// # Safety
/// The masks' bytes may be read.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn high_and_low(token: *const u8, first: u64, second: u64) -> [__m512i; 2] {
    // SAFETY: a masked load does not touch the bytes outside its mask.
    let (a, b) = unsafe { (_mm512_maskz_loadu_epi8(first, token.cast()), _mm512_maskz_loadu_epi8(second, token.wrapping_add(64).cast())) };
    let (a, b) = (_mm512_maskz_mov_epi8(first, flip_sign(a)), _mm512_maskz_mov_epi8(second, flip_sign(b)));
    let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    [_mm512_permutex2var_epi32(a, even, b), _mm512_permutex2var_epi32(a, odd, b)]
}

/// [`zero_point_term`] of a row of twelve bits.
///
/// # Safety
/// `2 * columns` bytes of the token may be read.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
pub unsafe fn zero_point_term_a12(token: *const u8, columns: usize) -> __m512i {
    let (mut high, mut low, unit) = (_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_set1_epi8(i8::MIN));
    for at in (0..columns).step_by(64) {
        let rest = 2 * (columns - at);
        // SAFETY: the masks keep the token's bytes of columns `at..columns`.
        let [x_high, x_low] = unsafe { high_and_low(token.wrapping_add(2 * at), mask64(rest), mask64(rest.saturating_sub(64))) };
        high = _mm512_dpbusd_epi32(high, unit, x_high);
        low = _mm512_dpbusd_epi32(low, unit, x_low);
    }
    _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_add_epi32(_mm512_slli_epi32::<7>(high), low))
}

/// The contribution of the weights' zero point of 128 to a dot, negated: -128 times the sum of a token's values, spread over the lanes of their
/// products.
///
/// # Safety
/// `columns` bytes of the token may be read.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
pub unsafe fn zero_point_term(token: *const u8, columns: usize) -> __m512i {
    let (mut sum, unit) = (_mm512_setzero_si512(), _mm512_set1_epi8(i8::MIN));
    for at in (0..columns).step_by(64) {
        let keep = mask64(columns - at);
        // SAFETY: the mask keeps the token's bytes `at..columns`; a masked load does not touch the others.
        let x = unsafe { _mm512_maskz_loadu_epi8(keep, token.wrapping_add(at).cast()) };
        sum = _mm512_dpbusd_epi32(sum, unit, _mm512_maskz_mov_epi8(keep, flip_sign(x)));
    }
    _mm512_sub_epi32(_mm512_setzero_si512(), sum)
}

/// Lower plus upper half.
#[target_feature(enable = "avx512f,avx2")]
#[inline]
fn halves(x: __m512i) -> __m256i {
    _mm256_add_epi32(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64::<1>(x))
}
