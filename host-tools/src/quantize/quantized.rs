//! Quantized matrices: their values and scales, dequantization and the relative error.

use half::f16;

use super::matrix::Matrix;

/// A quantized matrix: values in row-major order and their scales.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    /// Columns.
    pub columns: usize,
    /// Values `(rows, columns)`.
    pub values: Values,
    /// One scale per row; empty for floats.
    pub row_scales: Vec<f32>,
    /// Int4 only: one scale per group `(rows, groups)`, in units of the row's scale, in -127..=127.
    pub group_scales: Vec<i8>,
    /// Columns that share a group scale; the whole row without groups.
    pub(super) group: usize,
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
    /// Integers in -8..=7.
    Int4(Vec<i8>),
}

impl Quantized {
    /// The dequantized values of one row, as the engine computes with them.
    pub fn dequantized_row(&self, row: usize) -> impl Iterator<Item = f32> + '_ {
        let groups = self.columns.div_ceil(self.group);
        (0..self.columns).map(move |column| {
            let at = row * self.columns + column;
            match &self.values {
                Values::F32(values) => values[at],
                Values::F16(values) => values[at].to_f32(),
                Values::Int8(values) => values[at] as f32 * self.row_scales[row],
                Values::Int4(values) => {
                    let scale = self.group_scales[row * groups + column / self.group];
                    (values[at] as i32 * scale as i32) as f32 * self.row_scales[row]
                }
            }
        })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        let count = match &self.values {
            Values::F32(values) => values.len(),
            Values::F16(values) => values.len(),
            Values::Int8(values) | Values::Int4(values) => values.len(),
        };
        count / self.columns
    }

    /// All dequantized values `(rows, columns)`, as the engine computes with them.
    pub fn dequantize(&self) -> Vec<f32> {
        (0..self.rows()).flat_map(|row| self.dequantized_row(row)).collect()
    }

    /// Frobenius norm of the quantization error divided by that of `original`; 0 if the original is all zeros.
    pub fn relative_error(&self, original: Matrix) -> f64 {
        let [error, norm] = self.squared_error(original);
        if norm == 0.0 { 0.0 } else { (error / norm).sqrt() }
    }

    /// Sums of squares of the quantization error and of `original`.
    pub fn squared_error(&self, original: Matrix) -> [f64; 2] {
        let square = |x: f64| x * x;
        let (mut error, mut norm) = (0.0, 0.0);
        for (row, values) in original.rows().enumerate() {
            for (quantized, &value) in self.dequantized_row(row).zip(values) {
                error += square(quantized as f64 - value as f64);
                norm += square(value as f64);
            }
        }
        [error, norm]
    }
}
