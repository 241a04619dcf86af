//! Quantization of floats to integers: rounding, and the absmax scale of a row.

/// Bits of 2^-100: a row whose largest magnitude is smaller becomes a row of zeros.
const SMALLEST: u32 = (127 - 100) << 23;
const INFINITY: u32 = 0x7f80_0000;
/// Adding 1.5 * 2^23 leaves the rounded integer in the low mantissa bits.
pub(crate) const ROUNDER: f32 = 12_582_912.0;

/// Nearest integer, ties to even, for |x| up to 2^22.
#[inline(always)]
pub fn round_to_int(x: f32) -> i32 {
    ((x + ROUNDER).to_bits() as i32).wrapping_sub(ROUNDER.to_bits() as i32)
}

/// 2^exponent, with the exponent clamped to the normal range.
#[inline(always)]
pub fn pow2(exponent: i32) -> f32 {
    f32::from_bits(((exponent.clamp(-126, 127) + 127) as u32) << 23)
}

/// Largest magnitude (absmax) as bits. They are compared as integers, so zeros and NaN have the same result on every target.
#[inline(always)]
pub fn max_magnitude_bits(values: impl Iterator<Item = f32>) -> u32 {
    values.fold(0, |max, x| max.max(x.to_bits() & 0x7fff_ffff))
}

/// The bits of a row's absmax, or 0 if it is below 2^-100 or not finite (which only overflow can cause): such a row is quantized to zeros.
#[inline(always)]
pub fn flush_negligible(max_bits: u32) -> u32 {
    if (SMALLEST..INFINITY).contains(&max_bits) { max_bits } else { 0 }
}

/// Largest integer of eight bits.
pub const LIMIT_8: f32 = 127.0;
/// Largest integer of twelve bits.
pub const LIMIT_12: f32 = 2047.0;

/// Symmetric (absmax) quantization of one row: `q = round(x * (limit / max))`, `x ~ q * (max / limit)` to within 0.50003 of a unit with eight
/// bits, where the limit is 127, and 0.5004 with twelve, where it is 2,047.
#[derive(Clone, Copy, Debug)]
pub struct Quantizer {
    /// The factor of a value before rounding; 0 for a row of zeros.
    pub inverse: f32,
    /// The factor that dequantizes an integer; 0 for a row of zeros.
    pub scale: f32,
}

impl Quantizer {
    /// The eight-bit quantizer of a row whose largest magnitude has these bits.
    #[inline(always)]
    pub fn new(max_bits: u32) -> Self {
        Quantizer::with_limit(max_bits, LIMIT_8)
    }

    /// The quantizer of a row whose largest magnitude has these bits, to integers up to `limit`: [`LIMIT_8`] or [`LIMIT_12`].
    #[inline(always)]
    pub fn with_limit(max_bits: u32, limit: f32) -> Self {
        match flush_negligible(max_bits) {
            0 => Quantizer { inverse: 0.0, scale: 0.0 },
            bits => {
                let max = f32::from_bits(bits);
                Quantizer { inverse: limit / max, scale: max / limit }
            }
        }
    }

    /// An integer in `-limit..=limit`: `|x| * inverse` exceeds the limit by at most two roundings, which round back to it.
    #[inline(always)]
    pub fn quantize(self, x: f32) -> i32 {
        // A row that is flushed because it is not finite must not multiply infinity by zero.
        if self.inverse == 0.0 { 0 } else { round_to_int(x * self.inverse) }
    }
}

/// Quantizes a query row of one head to 12 bits, `q = round(x * factor * 2^exponent)` with |q| at most 2,048; returns the exponent.
///
/// The scale is a power of two, so a score needs only its key's scale: one product and one shift. Integers are within 0.5003 of a unit.
pub fn quantize_query(x: &[f32], factor: f32, mut store: impl FnMut(usize, i32)) -> i32 {
    let max = flush_negligible(max_magnitude_bits(x.iter().map(|&x| x * factor)));
    let exponent = query_exponent(max);
    let scale = pow2(exponent);
    for (index, &x) in x.iter().enumerate() {
        store(index, if max == 0 { 0 } else { round_to_int((x * factor) * scale) });
    }
    if max == 0 { 0 } else { exponent }
}

/// The exponent of a query row whose largest magnitude, times the factor, has these bits.
#[inline(always)]
pub(crate) fn query_exponent(max_bits: u32) -> i32 {
    10 + 127 - (max_bits >> 23) as i32
}
