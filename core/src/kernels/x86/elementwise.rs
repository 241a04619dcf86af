//! Quantization of a row, and activations.

use super::super::{int8_cache, scalar};
use super::exp::{gelu_erf, gelu_tanh, relu, silu, squared_relu};
use super::vector::Vector;
use crate::format::types::Activation;
use crate::numeric::quantize::{ROUNDER, query_exponent};
use crate::numeric::{LIMIT_8, LIMIT_12, Quantizer, flush_negligible, pow2};

/// A set's form of quantized rows.
pub trait Form<const N: usize, V: Vector<N>> {
    /// Largest integer.
    const LIMIT: f32;
    /// Element of a row.
    type Element;

    /// The memory of a row as elements: as many as `out` has.
    fn elements(v: V, out: &mut [i16]) -> &mut [Self::Element];
    /// Stores integers in `-LIMIT..=LIMIT`.
    fn store(v: V, out: &mut [Self::Element; N], x: V::I32);
    /// As many lanes as `out` has elements.
    fn store_partial(v: V, out: &mut [Self::Element], x: V::I32);
}

/// Eight bits.
pub struct Eight;

impl<const N: usize, V: Vector<N>> Form<N, V> for Eight {
    const LIMIT: f32 = LIMIT_8;
    type Element = V::Quantized;

    #[inline(always)]
    fn elements(v: V, out: &mut [i16]) -> &mut [V::Quantized] {
        v.quantized(out)
    }

    #[inline(always)]
    fn store(v: V, out: &mut [V::Quantized; N], x: V::I32) {
        v.store_quantized(out, x);
    }

    #[inline(always)]
    fn store_partial(v: V, out: &mut [V::Quantized], x: V::I32) {
        v.store_quantized_partial(out, x);
    }
}

/// Twelve bits.
pub struct Twelve;

impl<const N: usize, V: Vector<N>> Form<N, V> for Twelve {
    const LIMIT: f32 = LIMIT_12;
    type Element = i16;

    #[inline(always)]
    fn elements(_: V, out: &mut [i16]) -> &mut [i16] {
        out
    }

    #[inline(always)]
    fn store(v: V, out: &mut [i16; N], x: V::I32) {
        v.store_a12(out, x);
    }

    #[inline(always)]
    fn store_partial(v: V, out: &mut [i16], x: V::I32) {
        v.store_a12_partial(out, x);
    }
}

/// `scalar::quantize` or `scalar::quantize_a12`, in the set's own form of a row. `out` is at least as long as `x`.
#[inline(always)]
pub fn quantize<const N: usize, V: Vector<N>, F: Form<N, V>>(v: V, x: &[f32], in_scale: &[f32], out: &mut [i16]) -> f32 {
    debug_assert!(out.len() >= x.len(), "{} places for {} values", out.len(), x.len());
    let x = x.get(..out.len()).unwrap_or(x);
    if in_scale.is_empty() {
        return quantize_row::<N, V, F, false>(v, x, x, out);
    }
    let count = x.len().min(in_scale.len());
    quantize_row::<N, V, F, true>(v, x.get(..count).unwrap_or_default(), in_scale.get(..count).unwrap_or_default(), out)
}

/// One row, each value multiplied by its scale if `SCALED`. Both slices have the same length.
#[inline(always)]
fn quantize_row<const N: usize, V: Vector<N>, F: Form<N, V>, const SCALED: bool>(v: V, x: &[f32], scale: &[f32], out: &mut [i16]) -> f32 {
    let (x_chunks, x_tail) = x.as_chunks::<N>();
    let (scale_chunks, scale_tail) = scale.as_chunks::<N>();
    let mut tail = v.splat_f32(0.0);
    if !x_tail.is_empty() {
        tail = scaled::<N, V, SCALED>(v, v.load_f32_partial(x_tail), v.load_f32_partial(scale_tail));
    }
    // Magnitudes as integers: without the sign bit, signed and unsigned order agree.
    let mut largest = magnitude(v, tail);
    for (x, scale) in x_chunks.iter().zip(scale_chunks) {
        let x = scaled::<N, V, SCALED>(v, v.load_f32(x), v.load_f32(scale));
        largest = v.max_i32(largest, magnitude(v, x));
    }
    let quantizer = Quantizer::with_limit(v.largest(largest) as u32, F::LIMIT);
    let inverse = v.splat_f32(quantizer.inverse);
    // A row of zeros stores zeros: one that is flushed because it is not finite must not multiply infinity by zero.
    let (x_chunks, mut tail) = if quantizer.inverse == 0.0 { (&[][..], v.splat_f32(0.0)) } else { (x_chunks, tail) };
    let (out_chunks, out_tail) = F::elements(v, out).as_chunks_mut::<N>();
    let mut out_chunks = out_chunks.iter_mut();
    for ((x, scale), out) in x_chunks.iter().zip(scale_chunks).zip(out_chunks.by_ref()) {
        let x = scaled::<N, V, SCALED>(v, v.load_f32(x), v.load_f32(scale));
        F::store(v, out, rounded(v, x, inverse));
    }
    // Lanes after the row hold +0 and become the padding.
    for out in out_chunks {
        F::store(v, out, rounded(v, tail, inverse));
        tail = v.splat_f32(0.0);
    }
    if !out_tail.is_empty() {
        F::store_partial(v, out_tail, rounded(v, tail, inverse));
    }
    quantizer.scale
}

#[inline(always)]
fn scaled<const N: usize, V: Vector<N>, const SCALED: bool>(v: V, x: V::F32, scale: V::F32) -> V::F32 {
    if SCALED { v.mul_f32(x, scale) } else { x }
}

/// Bits without the sign.
#[inline(always)]
fn magnitude<const N: usize, V: Vector<N>>(v: V, x: V::F32) -> V::I32 {
    v.and(v.to_bits(x), v.splat_i32(0x7fff_ffff))
}

/// `numeric::round_to_int` of `x * factor`.
#[inline(always)]
fn rounded<const N: usize, V: Vector<N>>(v: V, x: V::F32, factor: V::F32) -> V::I32 {
    let rounder = v.splat_f32(ROUNDER);
    v.sub(v.to_bits(v.add_f32(v.mul_f32(x, factor), rounder)), v.to_bits(rounder))
}

/// `int8_cache::quantize_query`.
#[inline(always)]
pub fn quantize_query<const N: usize, V: Vector<N>>(v: V, x: &[f32], factor: f32, out: &mut [i16]) -> i32 {
    let Some(out) = out.get_mut(..x.len()) else { return int8_cache::quantize_query(x, factor, out) };
    let (chunks, tail) = x.as_chunks::<N>();
    let factor = v.splat_f32(factor);
    // The factor is finite, so lanes after the row stay +0.
    let tail = v.mul_f32(v.load_f32_partial(tail), factor);
    let mut largest = magnitude(v, tail);
    for x in chunks {
        largest = v.max_i32(largest, magnitude(v, v.mul_f32(v.load_f32(x), factor)));
    }
    let largest = flush_negligible(v.largest(largest) as u32);
    if largest == 0 {
        out.fill(0);
        return 0;
    }
    let exponent = query_exponent(largest);
    let scale = v.splat_f32(pow2(exponent));
    let (out_chunks, out_tail) = out.as_chunks_mut::<N>();
    for (x, out) in chunks.iter().zip(out_chunks) {
        v.store_i16(out, rounded(v, v.mul_f32(v.load_f32(x), factor), scale));
    }
    if !out_tail.is_empty() {
        v.store_i16_partial(out_tail, rounded(v, tail, scale));
    }
    exponent
}

/// An activation function over the lanes of a register. A trait instead of closures: the methods are inlined always.
trait Function {
    fn apply<const N: usize, V: Vector<N>>(v: V, x: V::F32) -> V::F32;
}

/// Types that implement [`Function`] by one of [`super::exp`]'s functions.
macro_rules! functions {
    ($($name:ident = $function:ident;)+) => {$(
        struct $name;
        impl Function for $name {
            #[inline(always)]
            fn apply<const N: usize, V: Vector<N>>(v: V, x: V::F32) -> V::F32 {
                $function(v, x)
            }
        }
    )+};
}

functions! {
    Relu = relu;
    GeluTanh = gelu_tanh;
    Silu = silu;
    GeluErf = gelu_erf;
    SquaredRelu = squared_relu;
}

/// `scalar::activate`.
#[inline(always)]
pub fn activate<const N: usize, V: Vector<N>>(v: V, activation: Activation, x: &mut [f32]) {
    match activation {
        Activation::Relu => activate_all::<N, V, Relu>(v, x),
        Activation::GeluTanh => activate_all::<N, V, GeluTanh>(v, x),
        Activation::Silu => activate_all::<N, V, Silu>(v, x),
        Activation::GeluErf => activate_all::<N, V, GeluErf>(v, x),
        Activation::SquaredRelu => activate_all::<N, V, SquaredRelu>(v, x),
    }
}

#[inline(always)]
fn activate_all<const N: usize, V: Vector<N>, F: Function>(v: V, x: &mut [f32]) {
    let (chunks, tail) = x.as_chunks_mut::<N>();
    for x in chunks {
        v.store_f32(x, F::apply(v, v.load_f32(x)));
    }
    if !tail.is_empty() {
        v.store_f32_partial(tail, F::apply(v, v.load_f32_partial(tail)));
    }
}

/// `scalar::gate`.
#[inline(always)]
pub fn gate<const N: usize, V: Vector<N>>(v: V, activation: Activation, gate: &[f32], up: &[f32], out: &mut [f32]) {
    if gate.len() != out.len() || up.len() != out.len() {
        return scalar::gate(activation, gate, up, out);
    }
    match activation {
        Activation::Relu => gate_all::<N, V, Relu>(v, gate, up, out),
        Activation::GeluTanh => gate_all::<N, V, GeluTanh>(v, gate, up, out),
        Activation::Silu => gate_all::<N, V, Silu>(v, gate, up, out),
        Activation::GeluErf => gate_all::<N, V, GeluErf>(v, gate, up, out),
        Activation::SquaredRelu => gate_all::<N, V, SquaredRelu>(v, gate, up, out),
    }
}

/// All slices have the same length.
#[inline(always)]
fn gate_all<const N: usize, V: Vector<N>, F: Function>(v: V, gate: &[f32], up: &[f32], out: &mut [f32]) {
    let (gate_chunks, gate_tail) = gate.as_chunks::<N>();
    let (up_chunks, up_tail) = up.as_chunks::<N>();
    let (out_chunks, out_tail) = out.as_chunks_mut::<N>();
    for ((gate, up), out) in gate_chunks.iter().zip(up_chunks).zip(out_chunks) {
        v.store_f32(out, v.mul_f32(F::apply(v, v.load_f32(gate)), v.load_f32(up)));
    }
    if !out_tail.is_empty() {
        v.store_f32_partial(out_tail, v.mul_f32(F::apply(v, v.load_f32_partial(gate_tail)), v.load_f32_partial(up_tail)));
    }
}
