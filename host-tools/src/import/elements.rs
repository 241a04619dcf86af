//! Element types of weights files and their dequantization: floats, and GGUF's blocks of small integers.
//!
//! A block is a group of consecutive values of a row with scales of its own. The formulas follow the descriptions of the formats in ggml's
//! documentation.

use half::{bf16, f16};

/// Element type of a stored tensor. A block type is dequantized as `scale * value` or `scale * value + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// 32-bit float.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a 32-bit float.
    BF16,
    /// 32 values of 4 bits, a scale.
    Q4_0,
    /// 32 values of 4 bits, a scale and an offset.
    Q4_1,
    /// 32 values of 5 bits, a scale.
    Q5_0,
    /// 32 values of 5 bits, a scale and an offset.
    Q5_1,
    /// 32 values of 8 bits, a scale.
    Q8_0,
    /// 256 values of 4 bits, eight scales and offsets of 6 bits each, a scale of the scales and one of the offsets.
    Q4K,
    /// 256 values of 5 bits, eight scales and offsets of 6 bits each, a scale of the scales and one of the offsets.
    Q5K,
    /// 256 values of 6 bits, sixteen scales of 8 bits, a scale of the scales.
    Q6K,
}

/// Element type of a GGUF file that cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "element type {number} ({name}) is not supported; supported: F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K; quantize the \
     model to one of these"
)]
pub struct UnsupportedElement {
    /// GGUF's number of the type.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
}

impl ElementType {
    /// The type with GGUF's number.
    ///
    /// # Errors
    /// [`UnsupportedElement`].
    pub fn from_gguf(number: u32) -> Result<Self, UnsupportedElement> {
        let name = match number {
            0 => return Ok(ElementType::F32),
            1 => return Ok(ElementType::F16),
            2 => return Ok(ElementType::Q4_0),
            3 => return Ok(ElementType::Q4_1),
            6 => return Ok(ElementType::Q5_0),
            7 => return Ok(ElementType::Q5_1),
            8 => return Ok(ElementType::Q8_0),
            12 => return Ok(ElementType::Q4K),
            13 => return Ok(ElementType::Q5K),
            14 => return Ok(ElementType::Q6K),
            30 => return Ok(ElementType::BF16),
            9 => "Q8_1",
            10 => "Q2_K",
            11 => "Q3_K",
            15 => "Q8_K",
            16..=23 | 29 => "IQ",
            24..=27 => "integer",
            28 => "F64",
            34 | 35 => "TQ",
            _ => "unknown",
        };
        Err(UnsupportedElement { number, name })
    }

    /// Values of a block, and bytes that store them.
    pub const fn block(self) -> (usize, usize) {
        match self {
            ElementType::F32 => (1, 4),
            ElementType::F16 | ElementType::BF16 => (1, 2),
            ElementType::Q4_0 => (32, 18),
            ElementType::Q4_1 => (32, 20),
            ElementType::Q5_0 => (32, 22),
            ElementType::Q5_1 => (32, 24),
            ElementType::Q8_0 => (32, 34),
            ElementType::Q4K => (256, 144),
            ElementType::Q5K => (256, 176),
            ElementType::Q6K => (256, 210),
        }
    }

    /// The values of whole blocks, dequantized.
    pub fn decode(self, bytes: &[u8]) -> Vec<f32> {
        let (values, block) = self.block();
        let mut out = Vec::with_capacity(bytes.len() / block * values);
        match self {
            ElementType::F32 => out.extend(bytes.as_chunks().0.iter().map(|&word| f32::from_le_bytes(word))),
            ElementType::F16 => out.extend(bytes.as_chunks().0.iter().map(|&half| f16::from_le_bytes(half).to_f32())),
            ElementType::BF16 => out.extend(bytes.as_chunks().0.iter().map(|&half| bf16::from_le_bytes(half).to_f32())),
            ElementType::Q4_0 => for_each_block::<18>(bytes, &mut out, |[d0, d1, nibbles @ ..], out| {
                let d = scale(d0, d1);
                nibble_halves(nibbles, out, |_, nibble| d * (nibble as f32 - 8.0));
            }),
            ElementType::Q4_1 => for_each_block::<20>(bytes, &mut out, |[d0, d1, m0, m1, nibbles @ ..], out| {
                let (d, m) = (scale(d0, d1), scale(m0, m1));
                nibble_halves(nibbles, out, |_, nibble| d * nibble as f32 + m);
            }),
            ElementType::Q5_0 => for_each_block::<22>(bytes, &mut out, |[d0, d1, h0, h1, h2, h3, nibbles @ ..], out| {
                let (d, high) = (scale(d0, d1), u32::from_le_bytes([*h0, *h1, *h2, *h3]));
                nibble_halves(nibbles, out, |at, nibble| d * (with_fifth_bit(high, at, nibble) - 16.0));
            }),
            ElementType::Q5_1 => for_each_block::<24>(bytes, &mut out, |[d0, d1, m0, m1, h0, h1, h2, h3, nibbles @ ..], out| {
                let (d, m, high) = (scale(d0, d1), scale(m0, m1), u32::from_le_bytes([*h0, *h1, *h2, *h3]));
                nibble_halves(nibbles, out, |at, nibble| d * with_fifth_bit(high, at, nibble) + m);
            }),
            ElementType::Q8_0 => for_each_block::<34>(bytes, &mut out, |[d0, d1, values @ ..], out| {
                let d = scale(d0, d1);
                out.extend(values.iter().map(|&value| d * f32::from(value as i8)));
            }),
            ElementType::Q4K => for_each_block::<144>(bytes, &mut out, |[d0, d1, m0, m1, rest @ ..], out| {
                let (scales, nibbles) = rest.split_at(12);
                k_block((scale(d0, d1), scale(m0, m1)), scales, nibbles, |_, _| 0, out);
            }),
            ElementType::Q5K => for_each_block::<176>(bytes, &mut out, |[d0, d1, m0, m1, rest @ ..], out| {
                let (scales, rest) = rest.split_at(12);
                let (fifth, nibbles) = rest.split_at(32);
                k_block((scale(d0, d1), scale(m0, m1)), scales, nibbles, |run, at| (fifth[at] >> run & 1) << 4, out);
            }),
            ElementType::Q6K => for_each_block::<210>(bytes, &mut out, q6_k),
        }
        out
    }
}

/// Calls `decode` for each block of `N` bytes.
fn for_each_block<const N: usize>(bytes: &[u8], out: &mut Vec<f32>, decode: impl Fn(&[u8; N], &mut Vec<f32>)) {
    bytes.as_chunks().0.iter().for_each(|block| decode(block, out));
}

/// A scale, an IEEE 754 binary16.
fn scale(low: &u8, high: &u8) -> f32 {
    f16::from_le_bytes([*low, *high]).to_f32()
}

/// The values of bytes with two nibbles each: the low nibbles are the first half of the block, the high nibbles the second half.
fn nibble_halves(bytes: &[u8], out: &mut Vec<f32>, value: impl Fn(usize, u8) -> f32) {
    out.extend(bytes.iter().enumerate().map(|(at, byte)| value(at, byte & 15)));
    out.extend(bytes.iter().enumerate().map(|(at, byte)| value(bytes.len() + at, byte >> 4)));
}

/// A nibble with its fifth bit, bit `at` of `high`.
fn with_fifth_bit(high: u32, at: usize, nibble: u8) -> f32 {
    f32::from(nibble | ((high >> at & 1) << 4) as u8)
}

/// Eight runs of 32 values. Two neighboring runs share 32 bytes, the first in their low nibbles. `upper` returns the bits above a nibble.
fn k_block((d, d_min): (f32, f32), scales: &[u8], nibbles: &[u8], upper: impl Fn(usize, usize) -> u8, out: &mut Vec<f32>) {
    for run in 0..8 {
        let (factor, offset) = scale_and_offset(scales, run);
        let (factor, offset) = (d * f32::from(factor), d_min * f32::from(offset));
        let bytes = nibbles[run / 2 * 32..].iter().take(32).enumerate();
        out.extend(bytes.map(|(at, byte)| {
            let nibble = if run % 2 == 0 { byte & 15 } else { byte >> 4 };
            factor * f32::from(nibble | upper(run, at)) - offset
        }));
    }
}

/// Scale and offset of a run, 6 bits each. Twelve bytes store eight of both; those of the last four runs are split over two bytes.
fn scale_and_offset(packed: &[u8], run: usize) -> (u8, u8) {
    match run {
        0..4 => (packed[run] & 63, packed[run + 4] & 63),
        _ => (packed[run + 4] & 15 | packed[run - 4] >> 6 << 4, packed[run + 4] >> 4 | packed[run] >> 6 << 4),
    }
}

/// Q6_K: two halves of 128 values. In each, 64 bytes store the four low bits of four runs of 32, and 32 bytes the two high bits of all four.
fn q6_k(block: &[u8; 210], out: &mut Vec<f32>) {
    let [low @ .., d0, d1] = block;
    let (low, rest) = low.split_at(128);
    let (high, scales) = rest.split_at(64);
    let d = scale(d0, d1);
    for half in 0..2 {
        let (low, high, scales) = (&low[half * 64..], &high[half * 32..], &scales[half * 8..]);
        for run in 0..4 {
            out.extend((0..32).map(|at| {
                let byte = low[run % 2 * 32 + at];
                let nibble = if run < 2 { byte & 15 } else { byte >> 4 };
                let value = nibble | (high[at] >> (2 * run) & 3) << 4;
                d * f32::from(scales[run * 2 + at / 16] as i8) * (f32::from(value) - 32.0)
            }));
        }
    }
}
