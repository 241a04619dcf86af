//! Quantized matrices: quantize, dequantize and the relative error.

use half::f16;
use rayon::prelude::*;

use super::format::Format;
use super::hessian::Hessian;
use super::{gptq, int4, int8};

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

/// How weights are rounded to the integers of a format. Floats always take the nearest value.
#[derive(Clone, Copy, Debug)]
pub enum Rounding<'a> {
    /// Each weight to the nearest integer.
    Nearest {
        /// Weights of the columns' squared errors in the search for int4 scales, such as the mean squares of the inputs; all equal if `None`.
        column_weights: Option<&'a [f32]>,
    },
    /// GPTQ: the errors of earlier columns are compensated in later ones.
    Gptq {
        /// Statistics of the matrix's inputs.
        hessian: &'a Hessian,
        /// Share of the way from the quantized to the reference stream's outputs that the target lies at, 0 to 1. It has no effect on a Hessian
        /// without deviation.
        asym: f32,
        /// Ridge as a share of the Hessian's mean diagonal, such as 0.01.
        damping: f32,
    },
}

impl Rounding<'_> {
    /// Rounding to nearest without column weights.
    pub const NEAREST: Self = Rounding::Nearest { column_weights: None };
}

/// Quantizes `matrix`, all of whose values are finite. The result does not depend on the number of threads.
pub fn quantize(matrix: Matrix, format: Format, rounding: Rounding) -> Quantized {
    let floats =
        |values| Quantized { columns: matrix.columns, values, row_scales: Vec::new(), group_scales: Vec::new(), group: matrix.columns };
    match (format, rounding) {
        (Format::F32, _) => floats(Values::F32(matrix.values.to_vec())),
        (Format::F16, _) => floats(Values::F16(matrix.values.iter().copied().map(saturating_f16).collect())),
        (_, Rounding::Nearest { column_weights }) => nearest(matrix, format, column_weights),
        (_, Rounding::Gptq { hessian, asym, damping }) => {
            let diagonal = || hessian.diagonal();
            gptq::quantize(matrix, format, hessian, asym, damping).unwrap_or_else(|| nearest(matrix, format, Some(&diagonal())))
        }
    }
}

/// Rounds each weight to the nearest integer.
fn nearest(matrix: Matrix, format: Format, column_weights: Option<&[f32]>) -> Quantized {
    let columns = matrix.columns;
    let group = format.group_columns(columns);
    let rows = matrix.values.par_chunks_exact(columns);
    let (mut row_scales, mut group_scales) = (Vec::new(), Vec::new());
    let mut integers = vec![0; matrix.rows().len() * columns];
    let rounded = integers.par_chunks_exact_mut(columns).zip(rows);
    let store = |out: &mut [i8], values: &mut dyn Iterator<Item = i8>| out.iter_mut().zip(values).for_each(|(out, value)| *out = value);
    let values = if let Format::Int4 { .. } = format {
        let weights = int4::ColumnWeights::new(columns, column_weights);
        let scales = rounded.map(|(out, row)| {
            let scales = int4::search_weighted(row, group, &weights);
            store(out, &mut int4::round(row, group, &scales));
            scales
        });
        for scales in scales.collect::<Vec<int4::Scales>>() {
            row_scales.push(scales.row);
            group_scales.extend(scales.groups);
        }
        Values::Int4(integers)
    } else {
        let scales = rounded.map(|(out, row)| {
            let scale = int8::scale(row);
            store(out, &mut int8::round(row, scale));
            scale
        });
        scales.collect_into_vec(&mut row_scales);
        Values::Int8(integers)
    };
    Quantized { columns, values, row_scales, group_scales, group }
}

/// Converts to the nearest binary16; saturates at the largest finite one.
fn saturating_f16(value: f32) -> f16 {
    f16::from_f32(value.clamp(f16::MIN.to_f32(), f16::MAX.to_f32()))
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
