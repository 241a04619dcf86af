//! Sine and cosine of angles in fractions of a turn, for RoPE and for the FFT's twiddle factors.

use super::fixed_point::mul_high;

/// sin(pi/4 v) / v in v^2, error 2^-28.6; Q30.
const SIN: [i32; 4] = [843_314_854, -86_699_750, 2_673_625, -38_606];
/// cos(pi/4 v) in v^2, error 2^-25.1; Q30.
const COS: [i32; 4] = [1_073_741_794, -331_168_021, 17_018_717, -342_395];

/// (sin, cos) of `phase / 2^32` turns. Absolute error at most 2^-23.9, measured in `tests/numeric.rs`.
///
/// Angles are integer fractions of a turn, so position times frequency wraps exactly for texts of any length.
pub fn sin_cos(phase: u32) -> (f32, f32) {
    let quadrant = phase.wrapping_add(1 << 29) >> 30;
    // At most an eighth of a turn to either side; v in Q31 is in eighths of a turn.
    let v = (phase.wrapping_sub(quadrant << 30) as i32) << 2;
    let square = mul_high(v, v).min(0x3fff_ffff) << 1;
    let horner = |c: [i32; 4]| {
        let [c0, c1, c2, c3] = c;
        let y = c2 + (mul_high(square, c3) << 1);
        let y = c1 + (mul_high(square, y) << 1);
        c0 + (mul_high(square, y) << 1)
    };
    let unit = 1.0 / 1_073_741_824.0;
    let sin = (mul_high(v, horner(SIN)) << 1) as f32 * unit;
    let cos = horner(COS) as f32 * unit;
    match quadrant & 3 {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}
