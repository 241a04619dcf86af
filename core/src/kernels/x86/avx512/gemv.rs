//! Dots of one token with eight rows as they lie: for few tokens, where weights pass by once.

use super::super::dots::Strided;
use super::super::vector::sums_i32;
use super::vector::{flip_sign, mask64};
use core::arch::x86_64::*;

/// int8 rows against a quantized row of bytes. Weights become unsigned here, 128 more than they are: `start` is [`zero_point_term`] for the token.
///
/// # Safety
/// `columns` bytes may be read of eight rows and of the token.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
#[inline]
pub unsafe fn dots_i8(rows: Strided<u8>, token: *const u8, columns: usize, start: __m512i) -> __m256i {
    let mut sums = [start; 8];
    let mut at = 0;
    while at + 64 <= columns {
        // SAFETY: `at + 64` bytes are there.
        let x = flip_sign(unsafe { _mm512_loadu_si512(token.wrapping_add(at).cast()) });
        for (row, sum) in sums.iter_mut().enumerate() {
            // SAFETY: as above.
            let w = unsafe { _mm512_loadu_si512(rows.at(row, at).cast()) };
            *sum = _mm512_dpbusd_epi32(*sum, flip_sign(w), x);
        }
        at += 64;
    }
    if at < columns {
        let keep = mask64(columns - at);
        // SAFETY: the mask covers what is left; the rest of the memory is not touched.
        let x = unsafe { _mm512_maskz_loadu_epi8(keep, token.wrapping_add(at).cast()) };
        let x = _mm512_maskz_mov_epi8(keep, flip_sign(x));
        for (row, sum) in sums.iter_mut().enumerate() {
            // SAFETY: as above.
            let w = unsafe { _mm512_maskz_loadu_epi8(keep, rows.at(row, at).cast()) };
            *sum = _mm512_dpbusd_epi32(*sum, flip_sign(w), x);
        }
    }
    sums_i32(sums.map(|sum| halves(sum)))
}

/// -128 times a token's values, added up in the places where their products go.
///
/// # Safety
/// `columns` bytes of the token may be read.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
pub unsafe fn zero_point_term(token: *const u8, columns: usize) -> __m512i {
    let (mut sum, unit) = (_mm512_setzero_si512(), _mm512_set1_epi8(i8::MIN));
    for at in (0..columns).step_by(64) {
        let keep = mask64(columns - at);
        // SAFETY: the mask covers what is left; the rest of the memory is not touched.
        let x = unsafe { _mm512_maskz_loadu_epi8(keep, token.wrapping_add(at).cast()) };
        sum = _mm512_dpbusd_epi32(sum, unit, _mm512_maskz_mov_epi8(keep, flip_sign(x)));
    }
    _mm512_sub_epi32(_mm512_setzero_si512(), sum)
}

/// Lower plus upper half.
#[target_feature(enable = "avx512f,avx2")]
#[inline]
pub fn halves(x: __m512i) -> __m256i {
    _mm256_add_epi32(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64::<1>(x))
}
