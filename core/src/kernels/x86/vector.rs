//! One trait over eight lanes (AVX2, `__m256`) and sixteen (AVX-512, `__m512`), so that exponentials, activations, softmax weights and
//! quantization are written once.
//!
//! A generic function cannot enable a target feature. The bodies over this trait are therefore `#[inline(always)]` and become part of the
//! function with `#[target_feature]` that calls them. The trait's values are the CPU's evidence ([`super::cpu`]), so its methods are safe.

/// Registers of `LANES` f32 or i32.
pub trait Vector<const LANES: usize>: Copy {
    /// `LANES` f32.
    type F32: Copy;
    /// `LANES` i32.
    type I32: Copy;
    /// Element of a quantized row: i16, or u8 that is 128 more.
    type Quantized;

    fn load_f32(self, x: &[f32; LANES]) -> Self::F32;
    /// The first `LANES` elements at most, then +0.
    fn load_f32_partial(self, x: &[f32]) -> Self::F32;
    fn store_f32(self, out: &mut [f32; LANES], x: Self::F32);
    /// As many lanes as `out` has elements.
    fn store_f32_partial(self, out: &mut [f32], x: Self::F32);

    fn load_i32(self, x: &[i32; LANES]) -> Self::I32;
    /// The first `LANES` elements at most, then 0.
    fn load_i32_partial(self, x: &[i32]) -> Self::I32;
    fn store_i32(self, out: &mut [i32; LANES], x: Self::I32);
    /// As many lanes as `out` has elements.
    fn store_i32_partial(self, out: &mut [i32], x: Self::I32);

    /// Narrows integers that fit 16 bits.
    fn store_i16(self, out: &mut [i16; LANES], x: Self::I32);
    /// As many lanes as `out` has elements, narrowed.
    fn store_i16_partial(self, out: &mut [i16], x: Self::I32);

    /// The memory of a quantized row as elements: as many as `out` has.
    fn quantized(self, out: &mut [i16]) -> &mut [Self::Quantized];
    /// Narrows integers in -127..=127.
    fn store_quantized(self, out: &mut [Self::Quantized; LANES], x: Self::I32);
    /// As many lanes as `out` has elements, narrowed.
    fn store_quantized_partial(self, out: &mut [Self::Quantized], x: Self::I32);

    /// Stores integers in -2,047..=2,047 in the set's form of rows of twelve bits.
    fn store_a12(self, out: &mut [i16; LANES], x: Self::I32);
    /// As many lanes as `out` has elements.
    fn store_a12_partial(self, out: &mut [i16], x: Self::I32);

    fn splat_f32(self, x: f32) -> Self::F32;
    fn splat_i32(self, x: i32) -> Self::I32;
    /// The bits of floats.
    fn to_bits(self, x: Self::F32) -> Self::I32;
    /// Floats of bits.
    fn float_of_bits(self, x: Self::I32) -> Self::F32;
    /// Integers as floats, rounded to nearest even.
    fn to_f32(self, x: Self::I32) -> Self::F32;

    fn add_f32(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn sub_f32(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn mul_f32(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn div_f32(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The larger of a and b; b if either is NaN.
    fn max_f32(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// x where x > 0, else +0.
    fn relu(self, x: Self::F32) -> Self::F32;
    /// `negative` where the sign bit of `x` is set, else `positive`.
    fn select_by_sign(self, x: Self::F32, negative: Self::F32, positive: Self::F32) -> Self::F32;

    fn add(self, a: Self::I32, b: Self::I32) -> Self::I32;
    fn sub(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Lower half of each 64-bit product.
    fn mul_low(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Upper half of each 64-bit product: `numeric::mul_high`.
    fn mul_high(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Upper half of each 64-bit product of unsigned lanes.
    fn mul_high_u32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    fn and(self, a: Self::I32, b: Self::I32) -> Self::I32;
    fn or(self, a: Self::I32, b: Self::I32) -> Self::I32;
    fn xor(self, a: Self::I32, b: Self::I32) -> Self::I32;
    fn min_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    fn max_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    fn min_u32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    fn max_u32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// All lanes to the left by `bits`; 32 and more give 0.
    fn shl(self, x: Self::I32, bits: u32) -> Self::I32;
    /// All lanes to the right by `bits`, zeros enter; 32 and more give 0.
    fn shr(self, x: Self::I32, bits: u32) -> Self::I32;
    /// All lanes to the right by `bits`, the sign enters; 32 and more leave the sign.
    fn sar(self, x: Self::I32, bits: u32) -> Self::I32;
    /// Each lane to the left by its own count, unsigned; 32 and more give 0.
    fn shl_each(self, x: Self::I32, bits: Self::I32) -> Self::I32;
    /// Each lane to the right by its own count, unsigned, zeros enter; 32 and more give 0.
    fn shr_each(self, x: Self::I32, bits: Self::I32) -> Self::I32;
    /// Each lane to the right by its own count, unsigned, the sign enters; 32 and more leave the sign.
    fn sar_each(self, x: Self::I32, bits: Self::I32) -> Self::I32;
    /// `x` where `of` is not 0, else 0.
    fn where_nonzero(self, of: Self::I32, x: Self::I32) -> Self::I32;
    /// The first `count` lanes of `x`, then 0.
    fn first(self, count: usize, x: Self::I32) -> Self::I32;
    /// The largest lane.
    fn largest(self, x: Self::I32) -> i32;
    /// The wrapping sum of all lanes.
    fn sum(self, x: Self::I32) -> i32;
}
