//! Linear layer: the matrix product `y = W x + b` with per-token quantization of its input.

use super::ctx::{Ctx, QuantizeScratch};
use crate::format::{Dtype, Role};
use crate::image::Image;
use crate::kernels::layout::rows_per_bundle;
use crate::kernels::{ActivationBits, Kernels, Matrix, QuantizedRows};
use crate::memory::layout::quantized_stride;
use crate::parallel::{Parallel, parts, split_point};
use crate::probe::{Part, Probe, Site};
use crate::slices::{prefix_mut, rows, rows_mut, split_mut};

/// A weight matrix with its bias and input scale, used in place.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    role: Role,
    matrix: Matrix<'a>,
    /// Per-channel factors of the input, applied before it is quantized (SmoothQuant, Xiao et al. 2022); empty for none.
    in_scale: &'a [f32],
    /// Bits to which the input is quantized.
    activation_bits: ActivationBits,
}

/// Granularity, in rows, of a matrix that is split: whole bundles of every layout, and an address that is a multiple of 16.
const SPLIT_UNIT: usize = 16;

impl<'a> Linear<'a> {
    /// The matrix with this role and layer. A checked image holds every matrix that its header implies; for any other the matrix is empty.
    pub fn new(image: &Image<'a>, role: Role, layer: u32) -> Self {
        let Some(entry) = image.entry(role, layer) else {
            return Linear { role, matrix: Matrix::EMPTY, in_scale: &[], activation_bits: ActivationBits::Eight };
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
        let activation_bits = if entry.activations == 12 { ActivationBits::Twelve } else { ActivationBits::Eight };
        Linear { role, matrix, in_scale: optional(entry.in_scale, entry.columns), activation_bits }
    }

    /// The weights.
    pub fn matrix(&self) -> &Matrix<'a> {
        &self.matrix
    }

    /// Per-channel factors of the input; empty for none.
    pub fn in_scale(&self) -> &'a [f32] {
        self.in_scale
    }

    /// Multiplies the rows of `x` `(tokens, columns)` into the front of `out` and returns the product, `(tokens, rows)`.
    pub fn apply<'o, P: Probe>(&self, ctx: &mut Ctx<'_, P>, x: &[f32], out: &'o mut [f32]) -> &'o mut [f32] {
        let out = prefix_mut(out, rows(x, self.matrix.columns).len() * self.matrix.rows);
        ctx.probe.input(Site { layer: ctx.layer, part: Part::Input(self.role), start: ctx.start }, self.matrix.columns, x);
        self.product(ctx.kernels, x, &mut ctx.quantize, out);
        out
    }

    fn product(&self, kernels: &Kernels, x: &[f32], scratch: &mut QuantizeScratch<'_>, out: &mut [f32]) {
        match parts(scratch.parallel, x.len().saturating_mul(self.matrix.rows)) {
            0 | 1 => self.multiply(kernels, x, scratch, out),
            parts => self.share(kernels, parts, x, scratch, out),
        }
    }

    /// Splits the tokens among `parts` threads; the product of a single token is split by its outputs.
    fn share(&self, kernels: &Kernels, parts: usize, x: &[f32], scratch: &mut QuantizeScratch<'_>, out: &mut [f32]) {
        let Matrix { rows: outputs, columns, .. } = self.matrix;
        let tokens = x.len() / columns.max(1);
        if parts < 2 {
            return self.multiply(kernels, x, scratch, out);
        }
        if tokens < 2 {
            return self.share_outputs(kernels, parts, x, scratch, out);
        }
        let left = parts / 2;
        let at = split_point(tokens, left, parts, 1);
        let (x, later_x) = crate::slices::split(x, at * columns);
        let (out, later_out) = split_mut(out, at * outputs);
        let (values, later_values) = split_mut(scratch.values, at * quantized_stride(columns));
        let (scales, later_scales) = split_mut(scratch.scales, at);
        let parallel = scratch.parallel;
        let mut scratch = QuantizeScratch { values, scales, parallel };
        let mut later = QuantizeScratch { values: later_values, scales: later_scales, parallel };
        parallel.join(&mut || self.share(kernels, left, x, &mut scratch, out), &mut || {
            self.share(kernels, parts - left, later_x, &mut later, later_out);
        });
    }

    /// Splits the outputs of one token's product among `parts` threads.
    fn share_outputs(&self, kernels: &Kernels, parts: usize, x: &[f32], scratch: &mut QuantizeScratch<'_>, out: &mut [f32]) {
        let (parallel, matrix) = (scratch.parallel, &self.matrix);
        match matrix.dtype {
            Dtype::F32 | Dtype::F16 => {
                split_outputs(parallel, parts, matrix, out, &|part, out| kernels.matmul_float(part, x, out));
            }
            Dtype::Int8 | Dtype::Int4 => {
                let x = self.quantize(kernels, x, scratch);
                split_outputs(parallel, parts, matrix, out, &|part, out| kernels.matmul_quantized(part, &x, out));
            }
        }
    }

    fn multiply(&self, kernels: &Kernels, x: &[f32], scratch: &mut QuantizeScratch<'_>, out: &mut [f32]) {
        match self.matrix.dtype {
            Dtype::F32 | Dtype::F16 => kernels.matmul_float(&self.matrix, x, out),
            Dtype::Int8 | Dtype::Int4 => kernels.matmul_quantized(&self.matrix, &self.quantize(kernels, x, scratch), out),
        }
    }

    /// Quantizes each row of `x` by its absmax, to the bits of the matrix's activations.
    fn quantize<'s>(&self, kernels: &Kernels, x: &[f32], scratch: &'s mut QuantizeScratch<'_>) -> QuantizedRows<'s> {
        let stride = quantized_stride(self.matrix.columns);
        let tokens = x.len() / self.matrix.columns.max(1);
        let values = prefix_mut(scratch.values, tokens * stride);
        let scales = prefix_mut(scratch.scales, tokens);
        let inputs = rows(x, self.matrix.columns);
        for ((x, out), scale) in inputs.zip(rows_mut(values, stride)).zip(scales.iter_mut()) {
            *scale = kernels.quantize_to(self.activation_bits, x, self.in_scale, out);
        }
        QuantizedRows { values, stride, scales, bits: self.activation_bits }
    }
}

/// Splits the outputs of one token's product into `parts`.
fn split_outputs(
    parallel: &dyn Parallel,
    parts: usize,
    matrix: &Matrix<'_>,
    out: &mut [f32],
    multiply: &(dyn Fn(&Matrix<'_>, &mut [f32]) + Sync),
) {
    let left = parts / 2;
    let at = split_point(matrix.rows, left, parts, SPLIT_UNIT.max(rows_per_bundle(matrix.layout, matrix.dtype)));
    if parts < 2 || at >= matrix.rows {
        return multiply(matrix, out);
    }
    let (above, below) = split_rows(matrix, at);
    let (out, later_out) = split_mut(out, at);
    parallel.join(&mut || split_outputs(parallel, left, &above, out, multiply), &mut || {
        split_outputs(parallel, parts - left, &below, later_out, multiply);
    });
}

/// The rows of a matrix before `at`, where a bundle begins, and the others.
fn split_rows<'a>(matrix: &Matrix<'a>, at: usize) -> (Matrix<'a>, Matrix<'a>) {
    let groups = matrix.columns.div_ceil(matrix.group.max(1));
    // Parts that a matrix does not have are empty on both sides.
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
