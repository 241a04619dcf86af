//! Inputs for the kernel tests: typical values, and the extremes that an image or an overflow can produce.

use super::random::Random;
use attoformer::image::{Dtype, Layout};
use attoformer::kernels::Matrix;
use zerocopy::IntoBytes;

/// Element counts: all small ones, then those around lanes, odd tails and long rows.
pub fn counts() -> impl Iterator<Item = usize> {
    (0..=70).chain([127, 128, 129, 172, 255, 256, 257, 512, 513, 1000, 4096])
}

/// How a row of floats is filled.
pub const FLOATS: [Floats; 9] = [
    Floats::Unit,
    Floats::Wide,
    Floats::Extreme,
    Floats::Zeros,
    Floats::Subnormal,
    Floats::Huge,
    Floats::Infinite,
    Floats::Tiny,
    Floats::Ties,
];

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Floats {
    /// Uniform in -1..1.
    Unit,
    /// Any exponent between 2^-40 and 2^40.
    Wide,
    /// One magnitude, both signs: all quantize to +-127.
    Extreme,
    /// Zeros of both signs.
    Zeros,
    Subnormal,
    /// Close to overflow.
    Huge,
    /// Typical values and an infinity.
    Infinite,
    /// Close to the magnitude below which a row becomes a row of zeros.
    Tiny,
    /// Halves of integers below 127.
    Ties,
}

impl Floats {
    pub fn one(self, random: &mut Random) -> f32 {
        let unit = random.below(1 << 24) as f32 / 8_388_608.0 - 1.0;
        let sign = if unit < 0.0 { -1.0f32 } else { 1.0 };
        match self {
            Floats::Unit => unit,
            Floats::Wide => unit * 2f32.powi(random.below(81) as i32 - 40),
            Floats::Extreme => sign * 3.25,
            Floats::Zeros => sign * 0.0,
            Floats::Subnormal => sign * f32::from_bits(random.below(1 << 23) as u32),
            Floats::Huge => unit * f32::MAX,
            Floats::Infinite if random.below(7) == 0 => sign * f32::INFINITY,
            Floats::Infinite => unit,
            Floats::Tiny => unit * 2f32.powi(-97 - random.below(6) as i32),
            Floats::Ties => (random.below(254) as f32 - 127.0) / 2.0,
        }
    }

    pub fn row(self, random: &mut Random, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.one(random)).collect()
    }
}

/// How a matrix's bytes are filled.
pub const BYTES: [Bytes; 4] = [Bytes::Any, Bytes::Largest, Bytes::Smallest, Bytes::Zero];

#[derive(Clone, Copy, Debug)]
pub enum Bytes {
    /// Any value, including -128 and -8.
    Any,
    /// 127, or 7 twice.
    Largest,
    /// -128, or -8 twice, which only a hostile image contains.
    Smallest,
    Zero,
}

/// A matrix that owns its memory.
pub struct Owned {
    dtype: Dtype,
    layout: Layout,
    rows: usize,
    columns: usize,
    row_bytes: usize,
    group: usize,
    values: Vec<u128>,
    scales: Vec<f32>,
    group_scales: Vec<i8>,
    bias: Vec<f32>,
}

impl Owned {
    pub fn view(&self) -> Matrix<'_> {
        let stored = match (self.layout, self.dtype) {
            (Layout::Portable, _) => self.rows,
            (Layout::CortexMDsp, Dtype::Int4) => self.rows.next_multiple_of(4),
            _ => self.rows.next_multiple_of(2),
        };
        Matrix {
            dtype: self.dtype,
            layout: self.layout,
            rows: self.rows,
            columns: self.columns,
            row_bytes: self.row_bytes,
            // The slice ends with the last row, so a sanitizer detects reads beyond it.
            values: &self.values.as_bytes()[..stored * self.row_bytes],
            scales: &self.scales,
            group_scales: &self.group_scales,
            group: self.group,
            bias: &self.bias,
        }
    }

    /// Scales of 1, no bias.
    fn of_bytes((dtype, layout): (Dtype, Layout), (rows, columns): (usize, usize), group: usize, bytes: &[u8], row_bytes: usize) -> Self {
        let mut values = vec![0u128; bytes.len().div_ceil(16)];
        values.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
        let groups = columns.div_ceil(group.max(1));
        Owned {
            dtype,
            layout,
            rows,
            columns,
            row_bytes,
            group,
            values,
            scales: vec![1.0; rows],
            group_scales: vec![1; rows * groups],
            bias: Vec::new(),
        }
    }

    /// Portable zeros of one byte each, scales of 1.
    pub fn zeros(dtype: Dtype, rows: usize, columns: usize) -> Self {
        Owned::of_bytes((dtype, Layout::Portable), (rows, columns), 0, &vec![0; rows * columns], columns)
    }

    pub fn set_byte(&mut self, at: usize, value: u8) {
        self.values.as_mut_bytes()[at] = value;
    }

    /// int8 or int4. A `group` of 0 means the whole row.
    pub fn integers(random: &mut Random, dtype: Dtype, layout: Layout, fill: Bytes, shape: (usize, usize), group: usize) -> Self {
        let (rows, columns) = shape;
        let row_bytes = if dtype == Dtype::Int4 { columns.div_ceil(2) } else { columns }.next_multiple_of(4);
        let byte = |random: &mut Random| match (fill, dtype) {
            (Bytes::Any, _) => random.below(256) as u8,
            (Bytes::Largest, Dtype::Int4) => 0x77,
            (Bytes::Largest, _) => 0x7f,
            (Bytes::Smallest, Dtype::Int4) => 0x88,
            (Bytes::Smallest, _) => 0x80,
            (Bytes::Zero, _) => 0,
        };
        let bytes: Vec<u8> = (0..row_bytes * rows.next_multiple_of(4)).map(|_| byte(random)).collect();
        let group = if group == 0 { columns.max(1) } else { group };
        let mut owned = Owned::of_bytes((dtype, layout), shape, group, &bytes, row_bytes);
        owned.scales = (0..rows).map(|_| Floats::Wide.one(random)).collect();
        let any = matches!(fill, Bytes::Any | Bytes::Zero);
        // An image's scales are in -127..=127. Zero makes a group zeros.
        let extreme = random.pick(&[127, -127, 0]);
        owned.group_scales.iter_mut().for_each(|scale| *scale = if any { (random.below(255) as i32 - 127) as i8 } else { extreme });
        owned.bias = Self::bias(random, rows);
        owned
    }

    /// f16 or f32, finite as in every checked image; the padding of an odd row of f16 may be anything.
    pub fn floats(random: &mut Random, dtype: Dtype, fill: Floats, rows: usize, columns: usize) -> Self {
        let mut bytes = Vec::new();
        for _ in 0..rows {
            for _ in 0..columns {
                let w = match fill {
                    Floats::Infinite => Floats::Unit.one(random),
                    fill => fill.one(random),
                };
                match dtype {
                    Dtype::F16 => bytes.extend(f16_bits(w, random).to_le_bytes()),
                    _ => bytes.extend(w.to_le_bytes()),
                }
            }
            if dtype == Dtype::F16 && columns % 2 == 1 {
                bytes.extend(0x7c00u16.to_le_bytes());
            }
        }
        let row_bytes = bytes.len() / rows.max(1);
        let mut owned = Owned::of_bytes((dtype, Layout::Portable), (rows, columns), 0, &bytes, row_bytes);
        owned.bias = Self::bias(random, rows);
        owned
    }

    /// Every other matrix has none.
    fn bias(random: &mut Random, rows: usize) -> Vec<f32> {
        if random.below(2) == 0 { Vec::new() } else { Floats::Wide.row(random, rows) }
    }
}

/// A finite f16 near `w`, sometimes any finite one, including subnormals.
fn f16_bits(w: f32, random: &mut Random) -> u16 {
    let any = random.below(1 << 16) as u16;
    let finite = |bits: u16| if bits & 0x7c00 == 0x7c00 { bits & 0x83ff } else { bits };
    if random.below(4) == 0 { finite(any) } else { finite(half::f16::from_f32(w).to_bits()) }
}

/// Equal in every bit. A NaN equals a NaN: the specification does not choose between them.
pub fn same(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()))
}
