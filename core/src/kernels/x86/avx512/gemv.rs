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
