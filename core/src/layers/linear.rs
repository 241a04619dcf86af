//! A matrix product with its quantization: `y = W x + b`.

use super::{front, rows, rows_mut};
use crate::arena::quantized_stride;
use crate::image::Image;
use crate::image::directory::{Dtype, Role};
use crate::kernels::{Kernels, Matrix, QuantizedRows};

/// A weight matrix and what belongs to it, used in place.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    matrix: Matrix<'a>,
    /// Multiplied into the input before it is quantized (SmoothQuant, Xiao et al. 2022); empty for none.
    in_scale: &'a [f32],
}

/// Where a linear layer puts its quantized input.
#[derive(Debug)]
pub struct QuantizeScratch<'s> {
    /// `(tokens, columns rounded up to four)`.
    pub values: &'s mut [i16],
    /// `(tokens)`.
    pub scales: &'s mut [f32],
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

    /// `x` is `(tokens, columns)`, `out` is `(tokens, rows)`.
    pub fn apply(&self, kernels: &Kernels, x: &[f32], scratch: &mut QuantizeScratch<'_>, out: &mut [f32]) {
        match self.matrix.dtype {
            Dtype::F32 => (kernels.matmul_f32)(&self.matrix, x, out),
            Dtype::F16 => (kernels.matmul_f16)(&self.matrix, x, out),
            Dtype::Int8 => (kernels.matmul_i8)(&self.matrix, &self.quantize(kernels, x, scratch), out),
            Dtype::Int4 => (kernels.matmul_i4)(&self.matrix, &self.quantize(kernels, x, scratch), out),
        }
    }

    fn quantize<'s>(&self, kernels: &Kernels, x: &[f32], scratch: &'s mut QuantizeScratch<'_>) -> QuantizedRows<'s> {
        let stride = quantized_stride(self.matrix.columns);
        let tokens = x.len() / self.matrix.columns.max(1);
        let values = front(scratch.values, tokens * stride);
        let scales = front(scratch.scales, tokens);
        let inputs = rows(x, self.matrix.columns);
        for ((x, out), scale) in inputs.zip(rows_mut(values, stride)).zip(scales.iter_mut()) {
            *scale = (kernels.quantize)(x, self.in_scale, out);
        }
        QuantizedRows { values, stride, scales }
    }
}
