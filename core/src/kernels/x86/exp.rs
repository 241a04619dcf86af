//! `numeric::exp`, eight at a time.

use super::vector::mul_high;
use crate::numeric::exp::{EXP2_NEG, LOG2_E_Q31, PHI_TAIL, PHI_TAIL_SLOPE};
use core::arch::x86_64::*;

/// 2^-f in Q30 for fractions `f` in Q32.
#[target_feature(enable = "avx2")]
#[inline]
fn exp2_neg_fraction(fraction: __m256i) -> __m256i {
    let t = _mm256_xor_si256(fraction, _mm256_set1_epi32(i32::MIN));
    let [c0, c1, c2, c3, c4, c5] = EXP2_NEG;
    let step = |c, y| _mm256_add_epi32(_mm256_set1_epi32(c), mul_high(t, y));
    let y = step(c4, _mm256_set1_epi32(c5));
    step(c0, step(c1, step(c2, step(c3, y))))
}

/// `numeric::exp_neg_q30`. Shifts by 32 and more give 0 as scalar's by 31 do, since what they shift lies below 2^31.
#[target_feature(enable = "avx2")]
#[inline]
fn exp_neg_q30(x: __m256) -> __m256i {
    let bits = _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fff_ffff));
    let exponent = _mm256_srli_epi32::<23>(bits);
    let fraction = _mm256_and_si256(bits, _mm256_set1_epi32(0x007f_ffff));
    let mantissa = _mm256_slli_epi32::<7>(_mm256_or_si256(fraction, _mm256_set1_epi32(0x0080_0000)));
    let shift = _mm256_sub_epi32(_mm256_set1_epi32(131), exponent);
    // A negative shift counts as a large one and leaves 0: the largest value takes its place.
    let too_large = _mm256_srli_epi32::<1>(_mm256_srai_epi32::<31>(shift));
    let q26 = _mm256_or_si256(_mm256_srlv_epi32(mantissa, shift), too_large);
    let log2_e = _mm256_set1_epi32(LOG2_E_Q31 as u32 as i32);
    let even = _mm256_srli_epi64::<32>(_mm256_mul_epu32(q26, log2_e));
    let odd = _mm256_mul_epu32(_mm256_srli_epi64::<32>(q26), log2_e);
    let q25 = _mm256_blend_epi32::<0b1010_1010>(even, odd);
    _mm256_srlv_epi32(exp2_neg_fraction(_mm256_slli_epi32::<7>(q25)), _mm256_srli_epi32::<25>(q25))
}

/// `numeric::exp2_neg_q16`.
#[target_feature(enable = "avx2")]
#[inline]
pub fn exp2_neg_q16(d: __m256i) -> __m256i {
    let whole = _mm256_min_epu32(_mm256_srli_epi32::<16>(d), _mm256_set1_epi32(17));
    let half = _mm256_sllv_epi32(_mm256_set1_epi32(0x2000), whole);
    let y = _mm256_add_epi32(exp2_neg_fraction(_mm256_slli_epi32::<16>(d)), half);
    _mm256_srlv_epi32(y, _mm256_add_epi32(whole, _mm256_set1_epi32(14)))
}

#[target_feature(enable = "avx2")]
#[inline]
fn sigmoid(x: __m256) -> __m256 {
    let one = _mm256_set1_ps(1.0);
    let e = _mm256_mul_ps(_mm256_cvtepi32_ps(exp_neg_q30(x)), _mm256_set1_ps(1.0 / 1_073_741_824.0));
    // The sign bit chooses.
    let numerator = _mm256_blendv_ps(one, e, x);
    _mm256_div_ps(numerator, _mm256_add_ps(one, e))
}

#[target_feature(enable = "avx2")]
#[inline]
pub fn silu(x: __m256) -> __m256 {
    _mm256_mul_ps(x, sigmoid(x))
}

#[target_feature(enable = "avx2")]
#[inline]
pub fn gelu_tanh(x: __m256) -> __m256 {
    let cubic = _mm256_mul_ps(_mm256_set1_ps(0.071_354_814), _mm256_mul_ps(x, x));
    let inner = _mm256_mul_ps(x, _mm256_add_ps(_mm256_set1_ps(1.595_769_2), cubic));
    _mm256_mul_ps(x, sigmoid(inner))
}

#[target_feature(enable = "avx2")]
#[inline]
pub fn gelu_erf(x: __m256) -> __m256 {
    let one = _mm256_set1_ps(1.0);
    let magnitude = _mm256_and_ps(x, _mm256_castsi256_ps(_mm256_set1_epi32(0x7fff_ffff)));
    let t = _mm256_div_ps(one, _mm256_add_ps(one, _mm256_mul_ps(_mm256_set1_ps(PHI_TAIL_SLOPE), magnitude)));
    let [c1, c2, c3, c4, c5] = PHI_TAIL;
    let step = |c, y| _mm256_add_ps(_mm256_set1_ps(c), _mm256_mul_ps(t, y));
    let polynomial = _mm256_mul_ps(t, step(c1, step(c2, step(c3, step(c4, _mm256_set1_ps(c5))))));
    let half_square = _mm256_mul_ps(_mm256_mul_ps(x, x), _mm256_set1_ps(0.5));
    let e = _mm256_mul_ps(_mm256_cvtepi32_ps(exp_neg_q30(half_square)), _mm256_set1_ps(1.0 / 1_073_741_824.0));
    let tail = _mm256_mul_ps(e, polynomial);
    // The sign bit chooses.
    _mm256_mul_ps(x, _mm256_blendv_ps(_mm256_sub_ps(one, tail), tail, x))
}

#[target_feature(enable = "avx2")]
#[inline]
pub fn relu(x: __m256) -> __m256 {
    _mm256_and_ps(x, _mm256_cmp_ps::<_CMP_GT_OQ>(x, _mm256_setzero_ps()))
}
