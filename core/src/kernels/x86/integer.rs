//! int8 and int4 weights against quantized rows.

use super::super::{Matrix, QuantizedRows, scalar};
use super::dots::{Sums, dots_i4, dots_i8};
use super::vector::{load4, store4, sums_i32};
use crate::image::directory::Layout;
use core::arch::x86_64::*;

/// `scalar::matmul_i8`.
#[target_feature(enable = "avx2")]
pub fn matmul_i8(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    match Product::int8(matrix, x, out) {
        Some(product) => product.run::<false>(out),
        None => scalar::matmul_i8(matrix, x, out),
    }
}

/// `scalar::matmul_i4`.
#[target_feature(enable = "avx2")]
pub fn matmul_i4(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    match Product::int4(matrix, x, out) {
        Some(product) => product.run::<true>(out),
        None => scalar::matmul_i4(matrix, x, out),
    }
}

/// A product in the portable layout whose every row and token was found to be there: what the pointers below rely on.
struct Product<'a> {
    matrix: &'a Matrix<'a>,
    x: &'a QuantizedRows<'a>,
    tokens: usize,
    /// Length of a dot.
    columns: usize,
    /// int4: columns per group, whole steps of 32.
    group: usize,
    /// int4: groups per row.
    groups: usize,
}

impl<'a> Product<'a> {
    /// Scalar's sum goes on into the padding, as far as both rows have it.
    fn int8(matrix: &'a Matrix<'a>, x: &'a QuantizedRows<'a>, out: &[f32]) -> Option<Self> {
        let columns = matrix.row_bytes.min(x.stride);
        columns.is_multiple_of(4).then_some(())?;
        Self::checked(matrix, x, out, columns)
    }

    fn int4(matrix: &'a Matrix<'a>, x: &'a QuantizedRows<'a>, out: &[f32]) -> Option<Self> {
        let columns = matrix.columns;
        let group = if matrix.group < columns { matrix.group } else { columns.next_multiple_of(32) };
        let groups = columns.div_ceil(group.max(1));
        let grouped = group != 0 && group.is_multiple_of(32) && matrix.rows.checked_mul(groups)? <= matrix.group_scales.len();
        let long_enough = matrix.row_bytes / 4 >= columns.div_ceil(8) && x.stride >= columns.next_multiple_of(4);
        (grouped && long_enough).then_some(())?;
        Some(Product { group, groups, ..Self::checked(matrix, x, out, columns)? })
    }

    /// `None` leaves the product to scalar.
    fn checked(matrix: &'a Matrix<'a>, x: &'a QuantizedRows<'a>, out: &[f32], columns: usize) -> Option<Self> {
        let rows = matrix.rows;
        let tokens = x.values.len().checked_div(x.stride)?.min(x.scales.len()).min(out.len().checked_div(rows)?);
        let complete = matrix.layout == Layout::Portable
            && rows.checked_mul(matrix.row_bytes)? <= matrix.values.len()
            && matrix.scales.len() >= rows
            && (matrix.bias.is_empty() || matrix.bias.len() >= rows);
        complete.then_some(Product { matrix, x, tokens, columns, group: 0, groups: 0 })
    }

    /// Rows outermost, so that a prefill reads each weight from memory once, however many tokens it has.
    #[target_feature(enable = "avx2")]
    fn run<const INT4: bool>(&self, out: &mut [f32]) {
        for row in (0..self.matrix.rows).step_by(8) {
            for token in (0..self.tokens).step_by(2) {
                if token + 1 < self.tokens {
                    for row in (row..self.matrix.rows.min(row + 8)).step_by(4) {
                        let (first, second) = self.tile::<INT4, 4, 2>(row, token);
                        self.store(first, row, token, out);
                        self.store(second, row, token + 1, out);
                    }
                } else {
                    let (first, second) = self.tile::<INT4, 8, 1>(row, token);
                    self.store(first, row, token, out);
                    if row + 4 < self.matrix.rows {
                        self.store(second, row + 4, token, out);
                    }
                }
            }
        }
    }

    /// Eight dots, four and four: of rows from `row` on with tokens from `token` on, tokens outermost. Rows behind the last one repeat it.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn tile<const INT4: bool, const ROWS: usize, const TOKENS: usize>(&self, row: usize, token: usize) -> (__m128i, __m128i) {
        let last = self.matrix.rows - 1;
        let mut rows = [core::ptr::null::<u8>(); ROWS];
        let mut scales = rows;
        let mut tokens = [core::ptr::null::<i16>(); TOKENS];
        for (index, (values, scales)) in rows.iter_mut().zip(&mut scales).enumerate() {
            let row = last.min(row + index);
            *values = self.matrix.values.as_ptr().wrapping_add(row * self.matrix.row_bytes);
            *scales = self.matrix.group_scales.as_ptr().wrapping_add(row * self.groups);
        }
        for (index, values) in tokens.iter_mut().enumerate() {
            *values = self.x.values.as_ptr().wrapping_add((token + index) * self.x.stride);
        }
        let sums: Sums<ROWS, TOKENS> = if INT4 {
            // SAFETY: `int4` found every row's nibbles and scales and every token's elements; `run` asks for tokens that are there.
            unsafe { dots_i4(rows, scales, tokens, self.columns, self.group) }
        } else {
            // SAFETY: `int8` found `columns` elements in every row and token; `run` asks for tokens that are there.
            unsafe { dots_i8(rows.map(<*const u8>::cast), tokens, self.columns) }
        };
        let mut all = [_mm256_setzero_si256(); 8];
        all.iter_mut().zip(sums.as_flattened()).for_each(|(all, sum)| *all = *sum);
        let sums = sums_i32(all);
        (_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums))
    }

    /// `acc * (row_scale * token_scale) + bias` for four rows of one token.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn store(&self, sums: __m128i, row: usize, token: usize, out: &mut [f32]) {
        let rows = self.matrix.rows;
        let token_scale = self.x.scales.get(token).copied().unwrap_or_default();
        let scale = _mm_mul_ps(load4(self.matrix.scales, row), _mm_set1_ps(token_scale));
        let mut y = _mm_mul_ps(_mm_cvtepi32_ps(sums), scale);
        if !self.matrix.bias.is_empty() {
            y = _mm_add_ps(y, load4(self.matrix.bias, row));
        }
        store4(out.get_mut(token * rows..(token + 1) * rows).unwrap_or_default(), row, y);
    }
}
