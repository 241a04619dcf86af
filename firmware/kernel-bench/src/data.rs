//! Memory for operands, and the values in it.

use attoformer::image::{Dtype, Layout};
use attoformer::kernels::{Matrix, layout::pack_rows};

/// Bytes at an address that is a multiple of 16.
#[repr(align(16))]
pub struct Aligned<T>(pub T);

/// Everything that tests and counts run on.
pub struct Memory {
    /// Weights, portable.
    pub portable: Aligned<[u8; 256 * 512]>,
    /// Weights in another layout.
    pub packed: Aligned<[u8; 256 * 512]>,
    /// Row scales.
    pub scales: [f32; 512],
    /// int4 group scales.
    pub group_scales: [i8; 4096],
    /// Biases.
    pub bias: [f32; 512],
    /// Inputs.
    pub x: [f32; 32 * 1024],
    /// Input scales.
    pub in_scale: [f32; 1024],
    /// Quantized inputs, twice.
    pub quantized: [Aligned<[i16; 32 * 1024]>; 2],
    /// Token scales, twice.
    pub token_scales: [[f32; 32]; 2],
    /// Outputs, twice.
    pub out: [[f32; 32 * 512]; 2],
    /// Integer outputs, twice.
    pub integers: [[i32; 1024]; 2],
    /// Softmax weights, twice.
    pub weights: [Aligned<[i16; 1024]>; 2],
}

impl Memory {
    const ZERO: Self = Memory {
        portable: Aligned([0; 256 * 512]),
        packed: Aligned([0; 256 * 512]),
        scales: [0.0; 512],
        group_scales: [0; 4096],
        bias: [0.0; 512],
        x: [0.0; 32 * 1024],
        in_scale: [0.0; 1024],
        quantized: [const { Aligned([0; 32 * 1024]) }; 2],
        token_scales: [[0.0; 32]; 2],
        out: [[0.0; 32 * 512]; 2],
        integers: [[0; 1024]; 2],
        weights: [const { Aligned([0; 1024]) }; 2],
    };

    /// The only instance; `None` if it was taken before.
    pub fn take() -> Option<&'static mut Self> {
        cortex_m::singleton!(: Memory = Memory::ZERO)
    }
}

/// Reproducible random numbers: xorshift32.
pub struct Random(pub u32);

impl Random {
    /// 32 bits.
    pub fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// Below `limit`.
    pub fn below(&mut self, limit: u32) -> u32 {
        ((u64::from(self.next()) * u64::from(limit)) >> 32) as u32
    }

    /// Evenly in -1..1.
    pub fn unit(&mut self) -> f32 {
        self.next() as i32 as f32 / 2_147_483_648.0
    }

    /// Magnitudes from tiny to huge, sometimes a zero of either sign.
    pub fn wild(&mut self) -> f32 {
        match self.below(16) {
            0 => 0.0,
            1 => -0.0,
            2 => self.unit() * 1.0e-38,
            3 => self.unit() * 1.0e30,
            4 => self.unit() * 30.0,
            _ => self.unit() * 4.0,
        }
    }
}

/// Format and size of a matrix.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Element type.
    pub dtype: Dtype,
    /// Order of the values.
    pub layout: Layout,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    /// int4 group size.
    pub group: usize,
}

impl Shape {
    /// Bytes of a row.
    pub fn row_bytes(&self) -> usize {
        attoformer::internals::format::row_bytes(self.dtype, self.columns as u32) as usize
    }
}

/// Fills values, scales and bias. With `extreme`, integers have the largest magnitude.
pub fn fill_matrix(memory: &mut Memory, shape: Shape, extreme: bool, random: &mut Random) {
    // Extremes of one sign reach the bounds of every sum; those of either sign reach each value.
    let same = extreme && random.below(2) == 0;
    let (same_byte, same_nibble) = ([127u8, 129][random.below(2) as usize], [7u8, 8][random.below(2) as usize]);
    let same_scale = [127, -127, 0][random.below(3) as usize];
    let row_bytes = shape.row_bytes();
    for row in 0..shape.rows {
        for k in 0..row_bytes {
            let inside = match shape.dtype {
                Dtype::Int4 => 2 * k < shape.columns,
                Dtype::Int8 => k < shape.columns,
                Dtype::F16 => k < 2 * shape.columns,
                _ => k < 4 * shape.columns,
            };
            let byte = match shape.dtype {
                Dtype::Int8 if same => same_byte,
                Dtype::Int4 if same => same_nibble * if 2 * k + 1 < shape.columns { 17 } else { 1 },
                Dtype::Int8 if extreme && shape.layout == Layout::Portable => [127i8, -127, -128][random.below(3) as usize] as u8,
                Dtype::Int8 if extreme => [127i8, -127][random.below(2) as usize] as u8,
                Dtype::Int8 => (random.below(255) as i32 - 127) as u8,
                Dtype::Int4 => {
                    let high = if 2 * k + 1 < shape.columns { nibble(extreme, random) << 4 } else { 0 };
                    nibble(extreme, random) | high
                }
                // Finite: the exponent bits are never all ones.
                Dtype::F16 => match random.next() as u8 {
                    byte if k % 2 == 1 && byte & 0x7c == 0x7c => byte & 0xbf,
                    byte => byte,
                },
                _ => {
                    let so_far = memory.portable.0[row * row_bytes + (k & !3)];
                    let number = if k % 4 == 0 { random.unit() } else { 0.0 };
                    if k % 4 == 0 { number.to_le_bytes()[0] } else { (random.next() as u8 ^ so_far) & if k % 4 == 3 { 0xbf } else { 0xff } }
                }
            };
            memory.portable.0[row * row_bytes + k] = if inside { byte } else { 0 };
        }
        memory.scales[row] = if random.below(9) == 0 { 0.0 } else { random.unit() * 0.1 };
        memory.bias[row] = random.unit();
    }
    memory.group_scales.iter_mut().for_each(|scale| *scale = if same { same_scale } else { (random.below(255) as i32 - 127) as i8 });
    if shape.layout != Layout::Portable {
        let bundles = 4 * shape.rows.div_ceil(4) * row_bytes;
        pack_rows(shape.layout, shape.dtype, shape.columns, &memory.portable.0[..shape.rows * row_bytes], &mut memory.packed.0[..bundles]);
    }
}

fn nibble(extreme: bool, random: &mut Random) -> u8 {
    let value = if extreme { [7i8, -7, -8][random.below(3) as usize] } else { random.below(15) as i8 - 7 };
    value as u8 & 15
}

/// The matrix that [`fill_matrix`] made.
pub fn matrix<'a>(shape: Shape, values: (&'a [u8], &'a [u8]), scales: &'a [f32], group_scales: &'a [i8], bias: &'a [f32]) -> Matrix<'a> {
    let row_bytes = shape.row_bytes();
    let group = if shape.group == 0 { shape.columns } else { shape.group };
    let bundle = attoformer::kernels::layout::rows_per_bundle(shape.layout, shape.dtype);
    let values = if shape.layout == Layout::Portable { values.0 } else { values.1 };
    Matrix {
        dtype: shape.dtype,
        layout: shape.layout,
        rows: shape.rows,
        columns: shape.columns,
        row_bytes,
        values: &values[..shape.rows.next_multiple_of(bundle) * row_bytes],
        scales: &scales[..shape.rows],
        group_scales: &group_scales[..shape.rows * shape.columns.div_ceil(group)],
        group,
        bias,
    }
}
