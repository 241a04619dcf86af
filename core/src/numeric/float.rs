//! Square root, and a check of the CPU's floating-point mode.

/// Square root, correctly rounded.
pub fn sqrt(x: f32) -> f32 {
    libm::sqrtf(x)
}

/// Whether this CPU, in its present mode, keeps subnormal numbers and rounds to nearest even.
pub fn float_mode_is_ieee() -> bool {
    use core::hint::black_box;
    let subnormal = black_box(f32::MIN_POSITIVE) * black_box(0.5);
    let kept = black_box(subnormal) + black_box(0.0);
    let half_ulp_up = black_box(1.0f32) + black_box(f32::EPSILON / 2.0);
    let half_ulp_tie = black_box(1.0 + f32::EPSILON) + black_box(f32::EPSILON / 2.0);
    let down = black_box(-1.0f32) - black_box(f32::EPSILON / 2.0);
    subnormal.to_bits() == 0x0040_0000
        && kept.to_bits() == 0x0040_0000
        && half_ulp_up == 1.0
        && half_ulp_tie == 1.0 + 2.0 * f32::EPSILON
        && down == -1.0
}
