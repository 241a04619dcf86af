//! Quantized matrices: quantize, dequantize and the relative error.

use half::f16;

use super::format::Format;
use super::{int4, int8};

/// An f32 matrix in row-major order.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// Columns, at least one.
    pub columns: usize,
    /// Values `(rows, columns)`.
    pub values: &'a [f32],
}

impl<'a> Matrix<'a> {
    /// Iterates over the rows.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &'a [f32]> + use<'a> {
        self.values.chunks_exact(self.columns)
    }
}

/// A quantized matrix: values in row-major order and their scales.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    /// Columns.
    pub columns: usize,
    /// Values `(rows, columns)`.
    pub values: Values,
    /// One scale per row; empty for floats.
    pub row_scales: Vec<f32>,
    /// Int4 only: one scale per group `(rows, groups)`, in units of the row's scale.
    pub group_scales: Vec<i8>,
    /// Columns that share a group scale; the whole row without groups.
    group: usize,
}

/// Values of a quantized matrix, one element each.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// IEEE 754 binary32.
    F32(Vec<f32>),
    /// IEEE 754 binary16.
    F16(Vec<f16>),
    /// Integers in -127..=127.
    Int8(Vec<i8>),
    /// Integers in -7..=7.
    Int4(Vec<i8>),
}

/// Quantizes `matrix`, all of whose values are finite.
pub fn quantize(matrix: Matrix, format: Format) -> Quantized {
    let columns = matrix.columns;
    let group = if format.group() == 0 { columns } else { format.group() as usize };
    let mut row_scales = Vec::new();
    let mut group_scales = Vec::new();
    let values = match format {
        Format::F32 => Values::F32(matrix.values.to_vec()),
        Format::F16 => Values::F16(matrix.values.iter().copied().map(saturating_f16).collect()),
        Format::Int8 => {
            row_scales = matrix.rows().map(int8::scale).collect();
            Values::Int8(matrix.rows().zip(&row_scales).flat_map(|(row, &scale)| int8::round(row, scale)).collect())
        }
        Format::Int4 { .. } => {
            let scales: Vec<int4::Scales> = matrix.rows().map(|row| int4::search(row, group)).collect();
            let values = matrix.rows().zip(&scales).flat_map(|(row, scales)| int4::round(row, group, scales)).collect();
            row_scales = scales.iter().map(|scales| scales.row).collect();
            group_scales = scales.into_iter().flat_map(|scales| scales.groups).collect();
            Values::Int4(values)
        }
    };
    Quantized { columns, values, row_scales, group_scales, group }
}

/// Converts to the nearest binary16; saturates at the largest finite one.
fn saturating_f16(value: f32) -> f16 {
    f16::from_f32(value.clamp(f16::MIN.to_f32(), f16::MAX.to_f32()))
}

impl Quantized {
    /// The dequantized value at `row`, `column`, as the engine computes with it.
    fn value(&self, row: usize, column: usize) -> f32 {
        let at = row * self.columns + column;
        match &self.values {
            Values::F32(values) => values[at],
            Values::F16(values) => values[at].to_f32(),
            Values::Int8(values) => values[at] as f32 * self.row_scales[row],
            Values::Int4(values) => {
                let groups = self.columns.div_ceil(self.group);
                let scale = self.group_scales[row * groups + column / self.group];
                (values[at] as i32 * scale as i32) as f32 * self.row_scales[row]
            }
        }
    }

    /// All dequantized values `(rows, columns)`, as the engine computes with them.
    pub fn dequantize(&self) -> Vec<f32> {
        let count = match &self.values {
            Values::F32(values) => values.len(),
            Values::F16(values) => values.len(),
            Values::Int8(values) | Values::Int4(values) => values.len(),
        };
        (0..count).map(|at| self.value(at / self.columns, at % self.columns)).collect()
    }

    /// Frobenius norm of the quantization error divided by that of `original`; 0 if the original is all zeros.
    pub fn relative_error(&self, original: Matrix) -> f64 {
        let square = |x: f64| x * x;
        let (mut error, mut norm) = (0.0, 0.0);
        for (row, values) in original.rows().enumerate() {
            for (column, &value) in values.iter().enumerate() {
                error += square(self.value(row, column) as f64 - value as f64);
                norm += square(value as f64);
            }
        }
        if norm == 0.0 { 0.0 } else { (error / norm).sqrt() }
    }
}
