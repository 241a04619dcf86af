//! `numeric::exp`, sixteen at a time.

use super::vector::{ODD, mul_high};
use crate::numeric::exp::{EXP2_NEG, LOG2_E_Q31, PHI_TAIL, PHI_TAIL_SLOPE};
use core::arch::x86_64::*;

/// 2^-f in Q30 for fractions `f` in Q32.
#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
fn exp2_neg_fraction(fraction: __m512i) -> __m512i {
    let t = _mm512_xor_si512(fraction, _mm512_set1_epi32(i32::MIN));
    let [c0, c1, c2, c3, c4, c5] = EXP2_NEG;
    let step = |c, y| _mm512_add_epi32(_mm512_set1_epi32(c), mul_high(t, y));
    let y = step(c4, _mm512_set1_epi32(c5));
    step(c0, step(c1, step(c2, step(c3, y))))
}

/// `numeric::exp_neg_q30`. Shifts by 32 and more give 0 as scalar's by 31 do, since what they shift lies below 2^31.
#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
fn exp_neg_q30(x: __m512) -> __m512i {
    let bits = _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fff_ffff));
    let exponent = _mm512_srli_epi32::<23>(bits);
    let fraction = _mm512_and_si512(bits, _mm512_set1_epi32(0x007f_ffff));
    let mantissa = _mm512_slli_epi32::<7>(_mm512_or_si512(fraction, _mm512_set1_epi32(0x0080_0000)));
    let shift = _mm512_sub_epi32(_mm512_set1_epi32(131), exponent);
    // A negative shift counts as a large one and leaves 0: the largest value takes its place.
    let too_large = _mm512_srli_epi32::<1>(_mm512_srai_epi32::<31>(shift));
    let q26 = _mm512_or_si512(_mm512_srlv_epi32(mantissa, shift), too_large);
    let log2_e = _mm512_set1_epi32(LOG2_E_Q31 as u32 as i32);
    let even = _mm512_srli_epi64::<32>(_mm512_mul_epu32(q26, log2_e));
    let odd = _mm512_mul_epu32(_mm512_srli_epi64::<32>(q26), log2_e);
    let q25 = _mm512_mask_mov_epi32(even, ODD, odd);
    _mm512_srlv_epi32(exp2_neg_fraction(_mm512_slli_epi32::<7>(q25)), _mm512_srli_epi32::<25>(q25))
}

/// `numeric::exp2_neg_q16`.
#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
pub fn exp2_neg_q16(d: __m512i) -> __m512i {
    let whole = _mm512_min_epu32(_mm512_srli_epi32::<16>(d), _mm512_set1_epi32(17));
    let half = _mm512_sllv_epi32(_mm512_set1_epi32(0x2000), whole);
    let y = _mm512_add_epi32(exp2_neg_fraction(_mm512_slli_epi32::<16>(d)), half);
    _mm512_srlv_epi32(y, _mm512_add_epi32(whole, _mm512_set1_epi32(14)))
}

#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
fn sigmoid(x: __m512) -> __m512 {
    let one = _mm512_set1_ps(1.0);
    let e = _mm512_mul_ps(_mm512_cvtepi32_ps(exp_neg_q30(x)), _mm512_set1_ps(1.0 / 1_073_741_824.0));
    // The sign bit chooses.
    let numerator = _mm512_mask_mov_ps(one, _mm512_movepi32_mask(_mm512_castps_si512(x)), e);
    _mm512_div_ps(numerator, _mm512_add_ps(one, e))
}

#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
pub fn silu(x: __m512) -> __m512 {
    _mm512_mul_ps(x, sigmoid(x))
}

#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
pub fn gelu_tanh(x: __m512) -> __m512 {
    let cubic = _mm512_mul_ps(_mm512_set1_ps(0.071_354_814), _mm512_mul_ps(x, x));
    let inner = _mm512_mul_ps(x, _mm512_add_ps(_mm512_set1_ps(1.595_769_2), cubic));
    _mm512_mul_ps(x, sigmoid(inner))
}

#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
pub fn gelu_erf(x: __m512) -> __m512 {
    let one = _mm512_set1_ps(1.0);
    let magnitude = _mm512_and_ps(x, _mm512_castsi512_ps(_mm512_set1_epi32(0x7fff_ffff)));
    let t = _mm512_div_ps(one, _mm512_add_ps(one, _mm512_mul_ps(_mm512_set1_ps(PHI_TAIL_SLOPE), magnitude)));
    let [c1, c2, c3, c4, c5] = PHI_TAIL;
    let step = |c, y| _mm512_add_ps(_mm512_set1_ps(c), _mm512_mul_ps(t, y));
    let polynomial = _mm512_mul_ps(t, step(c1, step(c2, step(c3, step(c4, _mm512_set1_ps(c5))))));
    let half_square = _mm512_mul_ps(_mm512_mul_ps(x, x), _mm512_set1_ps(0.5));
    let e = _mm512_mul_ps(_mm512_cvtepi32_ps(exp_neg_q30(half_square)), _mm512_set1_ps(1.0 / 1_073_741_824.0));
    let tail = _mm512_mul_ps(e, polynomial);
    // The sign bit chooses.
    _mm512_mul_ps(x, _mm512_mask_mov_ps(_mm512_sub_ps(one, tail), _mm512_movepi32_mask(_mm512_castps_si512(x)), tail))
}

#[target_feature(enable = "avx512f,avx512dq")]
#[inline]
pub fn relu(x: __m512) -> __m512 {
    _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(x, _mm512_setzero_ps()), x)
}
