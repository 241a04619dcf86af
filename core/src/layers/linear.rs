//! A matrix product with its quantization: `y = W x + b`.

use crate::format::{Dtype, Role};
use crate::image::Image;
use crate::kernels::layout::rows_per_bundle;
use crate::kernels::{Kernels, Matrix, QuantizedRows};
use crate::memory::layout::quantized_stride;
use crate::parallel::{Parallel, cut, parts};
use crate::slices::{prefix_mut, rows, rows_mut};

/// A weight matrix and what belongs to it, used in place.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    matrix: Matrix<'a>,
    /// Multiplied into the input before it is quantized (SmoothQuant, Xiao et al. 2022); empty for none.
    in_scale: &'a [f32],
}

/// Rows of a matrix that stay together when it is cut: whole bundles of every layout, and an address that is a multiple of 16.
const UNIT: usize = 16;

/// Where a linear layer puts its quantized input, and who helps it.
#[derive(Debug)]
pub struct QuantizeScratch<'s> {
    /// `(tokens, columns rounded up to four)`.
    pub values: &'s mut [i16],
    /// `(tokens)`.
    pub scales: &'s mut [f32],
    /// The threads.
    pub parallel: &'s dyn Parallel,
}

impl<'a> Linear<'a> {
    /// The matrix with this role and layer. An image that was checked has it; otherwise the matrix is empty.
    pub fn new(image: &Image<'a>, role: Role, layer: u32) -> Self {
        let Some(entry) = image.entry(role, layer) else {
            return Linear { matrix: Matrix::EMPTY, in_scale: &[] };
        };
        let optional = |offset: u32, count: u32| if offset == 0 { &[] } else { image.view(offset, count) };
        let group = if entry.group == 0 { entry.columns } else { entry.group };
        let matrix = Matrix {
            dtype: entry.dtype,
            layout: entry.layout,
            rows: entry.rows as usize,
            columns: entry.columns as usize,
            row_bytes: entry.row_bytes() as usize,
            values: image.view(entry.values, entry.value_bytes() as u32),
            scales: optional(entry.scales, entry.rows),
            group_scales: if entry.group_scales == 0 {
                &[]
            } else {
                image.view(entry.group_scales, entry.rows * entry.columns.div_ceil(group.max(1)))
            },
            group: group as usize,
            bias: optional(entry.bias, entry.rows),
        };
        Linear { matrix, in_scale: optional(entry.in_scale, entry.columns) }
    }

    /// The weights.
    pub fn matrix(&self) -> &Matrix<'a> {
        &self.matrix
    }

    /// What its inputs are multiplied with; empty for nothing.
    pub fn in_scale(&self) -> &'a [f32] {
        self.in_scale
    }

    /// `x` is `(tokens, columns)`, `out` is `(tokens, rows)`.
    pub fn apply(&self, kernels: &Kernels, x: &[f32], scratch: &mut QuantizeScratch<'_>, out: &mut [f32]) {
        match parts(scratch.parallel, x.len().saturating_mul(self.matrix.rows)) {
            0 | 1 => self.multiply(kernels, x, scratch, out),
            parts => self.share(kernels, parts, x, scratch, out),
        }
    }

    /// Cuts the tokens; one token's product is cut by its outputs.
    fn share(&self, kernels: &Kernels, parts: usize, x: &[f32], scratch: &mut QuantizeScratch<'_>, out: &mut [f32]) {
        let Matrix { rows: outputs, columns, .. } = self.matrix;
        let tokens = x.len() / columns.max(1);
        if parts < 2 {
            return self.multiply(kernels, x, scratch, out);
        }
        if tokens < 2 {
            return match self.matrix.dtype {
                Dtype::F32 | Dtype::F16 => {
                    share_outputs(scratch.parallel, parts, &self.matrix, out, &|part, out| kernels.matmul_float(part, x, out));
                }
                Dtype::Int8 | Dtype::Int4 => {
                    let parallel = scratch.parallel;
                    let x = self.quantize(kernels, x, scratch);
                    share_outputs(parallel, parts, &self.matrix, out, &|part, out| kernels.matmul_quantized(part, &x, out));
                }
            };
        }
        let left = parts / 2;
        let at = cut(tokens, left, parts, 1);
        let (x, later_x) = x.split_at_checked(at * columns).unwrap_or_default();
        let (out, later_out) = out.split_at_mut_checked(at * outputs).unwrap_or_default();
        let (values, later_values) = scratch.values.split_at_mut_checked(at * quantized_stride(columns)).unwrap_or_default();
        let (scales, later_scales) = scratch.scales.split_at_mut_checked(at).unwrap_or_default();
        let parallel = scratch.parallel;
        let mut scratch = QuantizeScratch { values, scales, parallel };
        let mut later = QuantizeScratch { values: later_values, scales: later_scales, parallel };
        parallel.join(&mut || self.share(kernels, left, x, &mut scratch, out), &mut || {
            self.share(kernels, parts - left, later_x, &mut later, later_out);
        });
    }

    fn multiply(&self, kernels: &Kernels, x: &[f32], scratch: &mut QuantizeScratch<'_>, out: &mut [f32]) {
        match self.matrix.dtype {
            Dtype::F32 | Dtype::F16 => kernels.matmul_float(&self.matrix, x, out),
            Dtype::Int8 | Dtype::Int4 => kernels.matmul_quantized(&self.matrix, &self.quantize(kernels, x, scratch), out),
        }
    }

    fn quantize<'s>(&self, kernels: &Kernels, x: &[f32], scratch: &'s mut QuantizeScratch<'_>) -> QuantizedRows<'s> {
        let stride = quantized_stride(self.matrix.columns);
        let tokens = x.len() / self.matrix.columns.max(1);
        let values = prefix_mut(scratch.values, tokens * stride);
        let scales = prefix_mut(scratch.scales, tokens);
        let inputs = rows(x, self.matrix.columns);
        for ((x, out), scale) in inputs.zip(rows_mut(values, stride)).zip(scales.iter_mut()) {
            *scale = kernels.quantize(x, self.in_scale, out);
        }
        QuantizedRows { values, stride, scales }
    }
}

/// A product of one token, cut by outputs.
fn share_outputs(
    parallel: &dyn Parallel,
    parts: usize,
    matrix: &Matrix<'_>,
    out: &mut [f32],
    multiply: &(dyn Fn(&Matrix<'_>, &mut [f32]) + Sync),
) {
    let left = parts / 2;
    let at = cut(matrix.rows, left, parts, UNIT.max(rows_per_bundle(matrix.layout, matrix.dtype)));
    if parts < 2 || at >= matrix.rows {
        return multiply(matrix, out);
    }
    let (above, below) = cut_rows(matrix, at);
    let (out, later_out) = out.split_at_mut_checked(at).unwrap_or_default();
    parallel.join(&mut || share_outputs(parallel, left, &above, out, multiply), &mut || {
        share_outputs(parallel, parts - left, &below, later_out, multiply);
    });
}

/// The rows of a matrix before `at`, which begins a bundle, and those from it on.
fn cut_rows<'a>(matrix: &Matrix<'a>, at: usize) -> (Matrix<'a>, Matrix<'a>) {
    let groups = matrix.columns.div_ceil(matrix.group.max(1));
    // What a matrix has none of stays empty on both sides.
    let (values, later_values) = matrix.values.split_at_checked(at * matrix.row_bytes).unwrap_or_default();
    let (scales, later_scales) = matrix.scales.split_at_checked(at).unwrap_or_default();
    let (group_scales, later_group_scales) = matrix.group_scales.split_at_checked(at * groups).unwrap_or_default();
    let (bias, later_bias) = matrix.bias.split_at_checked(at).unwrap_or_default();
    let above = Matrix { rows: at, values, scales, group_scales, bias, ..*matrix };
    let below = Matrix {
        rows: matrix.rows - at,
        values: later_values,
        scales: later_scales,
        group_scales: later_group_scales,
        bias: later_bias,
        ..*matrix
    };
    (above, below)
}
