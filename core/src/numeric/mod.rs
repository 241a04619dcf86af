//! The arithmetic of the specification (numerics 1): what every kernel set must equal in every bit.
//!
//! Floats use only `+ - * /`, square root and conversions, each rounded to nearest even, never fused; everything transcendental is
//! fixed-point on integers. `docs/numerics.md` states the rules and the measurements behind them.

pub(crate) mod exp;
mod log;
mod norm;
pub(crate) mod quantize;
mod sum;
mod trig;

pub use exp::{LOG2_E, elu_plus_one, exp_neg_q30, exp2_neg_q16, gelu_erf, gelu_tanh, relu, sigmoid, silu, squared_relu, tanh};
pub use log::{ln, log10};
pub use norm::{layer_norm, normalize, rms_norm};
pub use quantize::{Quantizer, flush_negligible, max_magnitude_bits, pow2, quantize_query, round_to_int};
pub use sum::{Lanes, dot};
pub use trig::sin_cos;

/// Number of the numeric specification that this engine computes. An image states the number it was packed for; another one is refused.
pub const NUMERICS: u32 = 1;

/// Square root, correctly rounded.
pub fn sqrt(x: f32) -> f32 {
    libm::sqrtf(x)
}

/// Whether this CPU, as it is set up now, keeps subnormal numbers and rounds to nearest even.
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

/// Upper half of the 64-bit product: SMMUL, `vpmuldq`, `mulh`.
#[inline(always)]
pub(crate) fn mul_high(a: i32, b: i32) -> i32 {
    ((a as i64 * b as i64) >> 32) as i32
}
