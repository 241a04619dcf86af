//! Operands of the kernels: weight matrices, quantized rows, and one layer's keys and values.

use crate::format::{Dtype, Layout};

/// A weight matrix `(rows, columns)` in the image; each row makes one output.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// Element type.
    pub dtype: Dtype,
    /// Order of the values.
    pub layout: Layout,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    /// Bytes from one row to the next, a multiple of four.
    pub row_bytes: usize,
    /// Values in their layout, at an address that is a multiple of 16.
    pub values: &'a [u8],
    /// Scale of each row, per-channel (int8, int4).
    pub scales: &'a [f32],
    /// int4: scale of each group, `(rows, groups)`.
    pub group_scales: &'a [i8],
    /// int4: group size in columns.
    pub group: usize,
    /// Bias of each output, or empty.
    pub bias: &'a [f32],
}

impl<'a> Matrix<'a> {
    /// A matrix without rows.
    pub const EMPTY: Matrix<'static> = Matrix {
        dtype: Dtype::F32,
        layout: Layout::Portable,
        rows: 0,
        columns: 0,
        row_bytes: 0,
        values: &[],
        scales: &[],
        group_scales: &[],
        group: 0,
        bias: &[],
    };

    /// Bytes of row `row` in a layout that keeps rows contiguous; empty outside the matrix.
    #[inline(always)]
    #[must_use]
    pub fn row(&self, row: usize) -> &'a [u8] {
        let start = row.wrapping_mul(self.row_bytes);
        self.values.get(start..start.wrapping_add(self.row_bytes)).unwrap_or_default()
    }

    /// Scale of row `row`.
    #[inline(always)]
    #[must_use]
    pub fn scale(&self, row: usize) -> f32 {
        self.scales.get(row).copied().unwrap_or(0.0)
    }

    /// Group scales of row `row` (int4).
    #[inline(always)]
    #[must_use]
    pub fn group_scales_of(&self, row: usize) -> &'a [i8] {
        let groups = self.columns.div_ceil(self.group.max(1));
        let start = row.wrapping_mul(groups);
        self.group_scales.get(start..start.wrapping_add(groups)).unwrap_or_default()
    }

    /// Bias of row `row`; `None` if the matrix has none.
    #[inline(always)]
    #[must_use]
    pub fn bias_of(&self, row: usize) -> Option<f32> {
        self.bias.get(row).copied()
    }
}

/// Bits of quantized activations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ActivationBits {
    /// Integers in -127..=127, for int8 and int4 weights.
    #[default]
    Eight,
    /// Integers in -2,047..=2,047, for int8 weights.
    Twelve,
}

/// Quantized token rows, in the form that the kernel set's own `quantize` or `quantize_a12` writes; no other set can read them.
#[derive(Clone, Copy, Debug)]
pub struct QuantizedRows<'a> {
    /// `(tokens, stride)`; each row is padded with zeros.
    pub values: &'a [i16],
    /// Elements from one token to the next, a multiple of four.
    pub stride: usize,
    /// Scale of each token.
    pub scales: &'a [f32],
    /// Bits of the integers.
    pub bits: ActivationBits,
}

impl<'a> QuantizedRows<'a> {
    /// Each token's integers and scale.
    #[inline(always)]
    pub fn tokens(&self) -> impl Iterator<Item = (&'a [i16], f32)> {
        self.values.chunks_exact(self.stride.max(1)).zip(self.scales.iter().copied())
    }
}

/// Several quantized queries of one head.
#[derive(Clone, Copy, Debug)]
pub struct QueryTile<'a> {
    /// `(queries, head_dim)`.
    pub values: &'a [i16],
    /// Elements of a query.
    pub head_dim: usize,
    /// Exponent of each query.
    pub exponents: &'a [i32],
    /// Number of keys visible to each query: the first ones.
    pub visible: &'a [usize],
}

impl<'a> QueryTile<'a> {
    /// Each query's integers.
    #[inline(always)]
    pub fn rows(&self) -> impl Iterator<Item = &'a [i16]> {
        self.values.chunks_exact(self.head_dim.max(1))
    }
}

/// One head's view of a layer's int8 keys in the KV cache.
#[derive(Clone, Copy, Debug)]
pub struct KeyRows<'a> {
    /// `(tokens, stride)`.
    pub values: &'a [i8],
    /// Elements from one token to the next.
    pub stride: usize,
    /// The head's first element in a row.
    pub offset: usize,
    /// Scale of each token's row.
    pub scales: &'a [f32],
}

/// One head's view of a layer's int8 values in the KV cache. Four consecutive tokens of a dimension are adjacent: `(tokens / 4, stride, 4)`.
#[derive(Clone, Copy, Debug)]
pub struct ValueBlocks<'a> {
    /// Whole blocks of four tokens. The last block may contain tokens that were not stored yet; their weights must be zero.
    pub values: &'a [[i8; 4]],
    /// Width of a block: the dimensions of all heads.
    pub stride: usize,
    /// The head's first dimension in a block.
    pub offset: usize,
}

/// The denominator and the unit of one query's softmax weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoftmaxNorm {
    /// Integer sum of 2^(score - largest) in Q16.
    pub sum: u32,
    /// Weighted sums of values are in units of 2^exponent.
    pub exponent: i32,
}
