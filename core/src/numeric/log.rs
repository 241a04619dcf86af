//! Logarithms.

/// ln(2) as an upper part that is exact in few bits, and the remainder.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// Natural logarithm of a positive, normal, finite x; error at most 2^-22 of the larger of |ln x| and 1/8 (`tests/numeric.rs`).
///
/// `x = 2^e m` with m between sqrt(1/2) and sqrt(2); `ln m = 2 atanh(t)`, `t = (m - 1) / (m + 1)`, as a series in t.
pub fn ln(x: f32) -> f32 {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    // The exponent for which the mantissa is at least sqrt(1/2).
    let shifted = x.to_bits().wrapping_sub(SQRT_HALF);
    let exponent = shifted as i32 >> 23;
    let m = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(SQRT_HALF));
    let t = (m - 1.0) / (m + 1.0);
    let square = t * t;
    let series = square * (0.333_333_34 + square * (0.2 + square * (0.142_857_15 + square * 0.111_111_11)));
    let e = exponent as f32;
    e * LN_2_HIGH + (2.0 * (t + t * series) + e * LN_2_LOW)
}

/// Decimal logarithm of a positive, normal, finite x: [`ln`] times `1 / ln(10)`; error at most 2^-21.9 of the larger of |log10 x| and 1/16.
pub fn log10(x: f32) -> f32 {
    ln(x) * core::f32::consts::LOG10_E
}
