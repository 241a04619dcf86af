//! Quantizes a matrix by one of two methods: round to nearest, or GPTQ.

use half::f16;
use rayon::prelude::*;

use super::format::Format;
use super::hessian::Hessian;
use super::matrix::Matrix;
use super::quantized::{Quantized, Values};
use super::{gptq, int4, int8};

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
