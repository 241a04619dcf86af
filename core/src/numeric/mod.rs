//! The arithmetic of the specification (numerics 2), which every kernel set equals in every bit.
//!
//! Floats use only `+ - * /`, square root and conversions, each rounded to nearest even, never fused; everything transcendental is
//! fixed-point on integers. `docs/numerics.md` states the rules and the measurements that support them.

pub(crate) mod exp;
mod fixed_point;
mod float;
mod log;
mod norm;
pub(crate) mod quantize;
mod sum;
mod trig;

pub use exp::{LOG2_E, elu_plus_one, exp_neg_q30, exp2_neg_q16, gelu_erf, gelu_tanh, relu, sigmoid, silu, squared_relu, tanh};
pub(crate) use fixed_point::mul_high;
pub use float::{float_mode_is_ieee, sqrt};
pub use log::{ln, log10};
pub use norm::{l2_normalize, layer_norm, rms_norm};
pub use quantize::{LIMIT_8, LIMIT_12, Quantizer, flush_negligible, max_magnitude_bits, pow2, quantize_query, round_to_int};
pub use sum::{Lanes, dot};
pub use trig::sin_cos;
