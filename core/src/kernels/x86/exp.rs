//! `numeric::exp` in every lane.

use super::vector::Vector;
use crate::numeric::exp::{EXP2_NEG, LOG2_E_Q31, PHI_TAIL, PHI_TAIL_SLOPE};

const ONE_Q30: f32 = 1.0 / 1_073_741_824.0;
const MAGNITUDE: i32 = 0x7fff_ffff;

/// 2^-f in Q30 for fractions `f` in Q32.
#[inline(always)]
fn exp2_neg_fraction<const N: usize, V: Vector<N>>(v: V, fraction: V::I32) -> V::I32 {
    let t = v.xor(fraction, v.splat_i32(i32::MIN));
    let [c0, c1, c2, c3, c4, c5] = EXP2_NEG;
    let y = v.add(v.splat_i32(c4), v.mul_high(t, v.splat_i32(c5)));
    let y = v.add(v.splat_i32(c3), v.mul_high(t, y));
    let y = v.add(v.splat_i32(c2), v.mul_high(t, y));
    let y = v.add(v.splat_i32(c1), v.mul_high(t, y));
    v.add(v.splat_i32(c0), v.mul_high(t, y))
}

/// `numeric::exp_neg_q30`. Shifts by 32 and more give 0, as scalar's by 31 do, since the operand is below 2^31.
#[inline(always)]
pub fn exp_neg_q30<const N: usize, V: Vector<N>>(v: V, x: V::F32) -> V::I32 {
    let bits = v.and(v.to_bits(x), v.splat_i32(MAGNITUDE));
    let fraction = v.and(bits, v.splat_i32(0x007f_ffff));
    let mantissa = v.shl(v.or(fraction, v.splat_i32(0x0080_0000)), 7);
    let shift = v.sub(v.splat_i32(131), v.shr(bits, 23));
    // A negative shift is a large unsigned count and leaves 0: those lanes get the largest value.
    let too_large = v.shr(v.sar(shift, 31), 1);
    let q26 = v.or(v.shr_each(mantissa, shift), too_large);
    let q25 = v.mul_high_u32(q26, v.splat_i32(LOG2_E_Q31 as u32 as i32));
    v.shr_each(exp2_neg_fraction(v, v.shl(q25, 7)), v.shr(q25, 25))
}

/// [`exp_neg_q30`] as a float in 0..=1.
#[inline(always)]
fn exp_neg<const N: usize, V: Vector<N>>(v: V, x: V::F32) -> V::F32 {
    v.mul_f32(v.to_f32(exp_neg_q30(v, x)), v.splat_f32(ONE_Q30))
}

/// `numeric::exp2_neg_q16`.
#[inline(always)]
pub fn exp2_neg_q16<const N: usize, V: Vector<N>>(v: V, d: V::I32) -> V::I32 {
    let whole = v.min_u32(v.shr(d, 16), v.splat_i32(17));
    let half = v.shl_each(v.splat_i32(0x2000), whole);
    let y = v.add(exp2_neg_fraction(v, v.shl(d, 16)), half);
    v.shr_each(y, v.add(whole, v.splat_i32(14)))
}

/// `numeric::sigmoid`.
#[inline(always)]
fn sigmoid<const N: usize, V: Vector<N>>(v: V, x: V::F32) -> V::F32 {
    let (one, e) = (v.splat_f32(1.0), exp_neg(v, x));
    v.div_f32(v.select_by_sign(x, e, one), v.add_f32(one, e))
}

/// `numeric::silu`.
#[inline(always)]
pub fn silu<const N: usize, V: Vector<N>>(v: V, x: V::F32) -> V::F32 {
    v.mul_f32(x, sigmoid(v, x))
}

/// `numeric::gelu_tanh`.
#[inline(always)]
pub fn gelu_tanh<const N: usize, V: Vector<N>>(v: V, x: V::F32) -> V::F32 {
    let cubic = v.mul_f32(v.splat_f32(0.071_354_814), v.mul_f32(x, x));
    let inner = v.mul_f32(x, v.add_f32(v.splat_f32(1.595_769_2), cubic));
    v.mul_f32(x, sigmoid(v, inner))
}

/// `numeric::gelu_erf`.
#[inline(always)]
pub fn gelu_erf<const N: usize, V: Vector<N>>(v: V, x: V::F32) -> V::F32 {
    let one = v.splat_f32(1.0);
    let magnitude = v.float_of_bits(v.and(v.to_bits(x), v.splat_i32(MAGNITUDE)));
    let t = v.div_f32(one, v.add_f32(one, v.mul_f32(v.splat_f32(PHI_TAIL_SLOPE), magnitude)));
    let [c1, c2, c3, c4, c5] = PHI_TAIL;
    let y = v.add_f32(v.splat_f32(c4), v.mul_f32(t, v.splat_f32(c5)));
    let y = v.add_f32(v.splat_f32(c3), v.mul_f32(t, y));
    let y = v.add_f32(v.splat_f32(c2), v.mul_f32(t, y));
    let polynomial = v.mul_f32(t, v.add_f32(v.splat_f32(c1), v.mul_f32(t, y)));
    let half_square = v.mul_f32(v.mul_f32(x, x), v.splat_f32(0.5));
    let tail = v.mul_f32(exp_neg(v, half_square), polynomial);
    v.mul_f32(x, v.select_by_sign(x, tail, v.sub_f32(one, tail)))
}

/// `numeric::relu`.
#[inline(always)]
pub fn relu<const N: usize, V: Vector<N>>(v: V, x: V::F32) -> V::F32 {
    v.relu(x)
}

/// `numeric::squared_relu`.
#[inline(always)]
pub fn squared_relu<const N: usize, V: Vector<N>>(v: V, x: V::F32) -> V::F32 {
    v.mul_f32(v.relu(x), v.relu(x))
}
