//! What kernels read: matrices, quantized rows, and one layer's keys and values.

use crate::format::{Dtype, Layout};

/// A weight matrix in place, `(rows, columns)`; an output per row.
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
    /// Bytes from one row to the next; a multiple of four.
    pub row_bytes: usize,
    /// Values in their layout, at an address that is a multiple of 16.
    pub values: &'a [u8],
    /// Scale of each row (int8, int4).
    pub scales: &'a [f32],
    /// int4: scale of each group, `(rows, groups)`.
    pub group_scales: &'a [u8],
    /// int4: columns per group.
    pub group: usize,
    /// Added to each output; empty for none.
    pub bias: &'a [f32],
}

impl<'a> Matrix<'a> {
    /// No rows at all.
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

    /// Bytes of row `row` in a layout that keeps rows together; empty outside the matrix.
    #[inline(always)]
    pub fn row(&self, row: usize) -> &'a [u8] {
        let start = row.wrapping_mul(self.row_bytes);
        self.values.get(start..start.wrapping_add(self.row_bytes)).unwrap_or_default()
    }

    /// Scale of row `row`.
    #[inline(always)]
    pub fn scale(&self, row: usize) -> f32 {
        self.scales.get(row).copied().unwrap_or(0.0)
    }

    /// Group scales of row `row` (int4).
    #[inline(always)]
    pub fn group_scales_of(&self, row: usize) -> &'a [u8] {
        let groups = self.columns.div_ceil(self.group.max(1));
        let start = row.wrapping_mul(groups);
        self.group_scales.get(start..start.wrapping_add(groups)).unwrap_or_default()
    }

    /// Bias of row `row`; `None` when the matrix has none.
    #[inline(always)]
    pub fn bias_of(&self, row: usize) -> Option<f32> {
        self.bias.get(row).copied()
    }
}

/// Token rows quantized to eight bits, in the form that the kernel set's own `quantize` wrote: opaque to all others.
#[derive(Clone, Copy, Debug)]
pub struct QuantizedRows<'a> {
    /// `(tokens, stride)`, padded with zeros behind each row's columns.
    pub values: &'a [i16],
    /// Elements from one token to the next; a multiple of four.
    pub stride: usize,
    /// Scale of each token.
    pub scales: &'a [f32],
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
    /// Keys that each query sees: the first ones.
    pub seen: &'a [usize],
}

impl<'a> QueryTile<'a> {
    /// Each query's integers.
    #[inline(always)]
    pub fn rows(&self) -> impl Iterator<Item = &'a [i16]> {
        self.values.chunks_exact(self.head_dim.max(1))
    }
}

/// One head's view of a layer's int8 keys.
#[derive(Clone, Copy, Debug)]
pub struct KeyRows<'a> {
    /// `(tokens, stride)`.
    pub values: &'a [i8],
    /// Elements from one token to the next.
    pub stride: usize,
    /// Where the head begins in a row.
    pub offset: usize,
    /// Scale of each token's row.
    pub scales: &'a [f32],
}

/// One head's view of a layer's int8 values: four neighbouring tokens of a dimension lie together, `(tokens / 4, stride, 4)`.
#[derive(Clone, Copy, Debug)]
pub struct ValueBlocks<'a> {
    /// Whole blocks of four tokens; the last one may hold tokens that are not there yet, whose weight must be zero.
    pub values: &'a [[i8; 4]],
    /// Blocks' width: dimensions of all heads.
    pub stride: usize,
    /// Where the head begins.
    pub offset: usize,
}

/// What the weights of one query add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoftmaxNorm {
    /// Integer sum of 2^(score - largest) in Q16.
    pub sum: u32,
    /// A sum over weighted values counts in units of 2^exponent.
    pub exponent: i32,
}
