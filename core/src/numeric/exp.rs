//! Exponentials in fixed point, and the activation functions that use them.

use super::fixed_point::mul_high;
use super::quantize::pow2;

/// log2(e), for scores in units of powers of two.
pub const LOG2_E: f32 = core::f32::consts::LOG2_E;
/// log2(e) in Q31.
pub(crate) const LOG2_E_Q31: u64 = 3_098_164_009;

/// Minimax polynomial of degree 5 (Remez exchange on the relative error, 2^-23.7) of 2^-(t + 1/2) for t in -1/2..1/2; coefficients in Q30.
pub(crate) const EXP2_NEG: [i32; 6] = [759_250_179, -526_271_921, 182_387_974, -42_143_797, 7_346_156, -1_008_016];

/// 2^-f in Q30 for a fraction `f` in Q32.
#[inline(always)]
pub(crate) fn exp2_neg_fraction(fraction: u32) -> u32 {
    let t = (fraction ^ 0x8000_0000) as i32;
    let [c0, c1, c2, c3, c4, c5] = EXP2_NEG;
    let mut y = c4 + mul_high(t, c5);
    y = c3 + mul_high(t, y);
    y = c2 + mul_high(t, y);
    y = c1 + mul_high(t, y);
    (c0 + mul_high(t, y)) as u32
}

/// e^-|x| in Q30.
///
/// Relative error at most 2^-23.1 before truncation to 30 fraction bits, which rounds down: 0 from |x| = 20.8 on. e^0 is 2^30 - 81.
/// `tests/numeric.rs` measures this and the errors below.
#[inline(always)]
pub fn exp_neg_q30(x: f32) -> u32 {
    let (fraction, whole) = exp_parts(x);
    fraction >> whole.min(31)
}

/// e^-|x| as a number in Q30, at least a half, and the number of times it must be halved, at most 46.
#[inline(always)]
fn exp_parts(x: f32) -> (u32, u32) {
    // |x| in Q26, exact except for bits below 2^-26; magnitudes of 32 and more are clamped to just below 32.
    let bits = x.to_bits() & 0x7fff_ffff;
    let exponent = bits >> 23;
    let mantissa = (bits & 0x007f_ffff | 0x0080_0000) << 7;
    let q26 = match 131u32.checked_sub(exponent) {
        Some(shift) => mantissa >> shift.min(31),
        None => 0x7fff_ffff,
    };
    let q25 = ((q26 as u64 * LOG2_E_Q31) >> 32) as u32;
    (exp2_neg_fraction(q25 << 7), q25 >> 25)
}

/// 2^-d in Q16, rounded, for a distance `d` in Q16: the softmax weight of a key whose score is `d` below the largest one.
/// Error at most 0.51 units.
#[inline(always)]
pub fn exp2_neg_q16(d: u32) -> u32 {
    let whole = (d >> 16).min(17);
    (exp2_neg_fraction(d << 16) + (0x2000 << whole)) >> (14 + whole)
}

/// 1 / (1 + e^-x). Absolute error at most 2^-23.3.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let e = exp_neg_q30(x) as f32 * (1.0 / 1_073_741_824.0);
    let numerator = if x.to_bits() >> 31 == 0 { 1.0 } else { e };
    numerator / (1.0 + e)
}

/// SiLU, x * sigmoid(x) (Elfwing et al. 2017). Error at most 2^-22.6 times the larger of |x| and 1.
#[inline(always)]
pub fn silu(x: f32) -> f32 {
    x * sigmoid(x)
}

/// GELU in its tanh form, written with a sigmoid: x * sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)).
/// Error against that form at most 2^-22.6 times the larger of |x| and 1.
#[inline(always)]
pub fn gelu_tanh(x: f32) -> f32 {
    let inner = x * (1.595_769_2 + 0.071_354_814 * (x * x));
    x * sigmoid(inner)
}

/// GELU by the exact normal distribution: x * Phi(x).
///
/// The tail Phi(-|x|) is `exp(-x^2 / 2)` times a polynomial of degree 5 in `t = 1 / (1 + 0.34 |x|)` (the form of Hastings 1955, with coefficients
/// fitted by weighted least squares, 2^-24.5). Error at most 2^-22.8 times the larger of |x| and 1.
#[inline(always)]
pub fn gelu_erf(x: f32) -> f32 {
    let [c1, c2, c3, c4, c5] = PHI_TAIL;
    let t = 1.0 / (1.0 + PHI_TAIL_SLOPE * f32::from_bits(x.to_bits() & 0x7fff_ffff));
    let polynomial = t * (c1 + t * (c2 + t * (c3 + t * (c4 + t * c5))));
    let tail = (exp_neg_q30(x * x * 0.5) as f32 * (1.0 / 1_073_741_824.0)) * polynomial;
    let phi = if x.to_bits() >> 31 == 0 { 1.0 - tail } else { tail };
    x * phi
}

/// Coefficients of t, t^2, .. t^5 in [`gelu_erf`].
pub(crate) const PHI_TAIL: [f32; 5] = [0.129_464_42, 0.185_577_26, -0.038_889_315, 0.329_919_65, -0.106_074_16];
/// The factor of |x| in t.
pub(crate) const PHI_TAIL_SLOPE: f32 = 0.34;

/// elu(x) + 1, always positive: x + 1 above 0, e^x below (Katharopoulos et al. 2020, equation 7). Relative error at most 2^-22.5. Inputs below
/// -32 are clamped to -32, so no feature becomes exactly 0.
#[inline(always)]
pub fn elu_plus_one(x: f32) -> f32 {
    let (fraction, whole) = exp_parts(x);
    if x > 0.0 { x + 1.0 } else { fraction as f32 * pow2(-30 - whole as i32) }
}

/// tanh(x) as 2 sigmoid(2x) - 1. Absolute error at most 2^-22.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    2.0 * sigmoid(2.0 * x) - 1.0
}

/// max(x, 0)^2 (So et al. 2021, section 3).
#[inline(always)]
pub fn squared_relu(x: f32) -> f32 {
    relu(x) * relu(x)
}

/// max(x, 0), with +0 for every x that is not positive.
#[inline(always)]
pub fn relu(x: f32) -> f32 {
    if x > 0.0 { x } else { 0.0 }
}
