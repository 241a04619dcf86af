//! int8 and int4 weights against quantized rows.

use super::super::super::scalar;
use super::super::super::scalar::A12_BLOCK;
use super::super::super::views::{Matrix, QuantizedRows};
use super::dots::{Strided, dots_i4, dots_i8};
use super::vector::{load_f32_at, load_f32_twice, store_f32_at, store_f32_halves};
use crate::format::Layout;
use core::arch::x86_64::*;

/// `scalar::matmul_i8`.
#[target_feature(enable = "avx2")]
#[inline]
pub fn matmul_i8(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    match Product::int8(matrix, x, out) {
        Some(product) => product.run::<INT8>(out),
        None => scalar::matmul_i8(matrix, x, out),
    }
}

/// `scalar::matmul_i8_a12`.
#[target_feature(enable = "avx2")]
#[inline]
pub fn matmul_i8_a12(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    match Product::int8(matrix, x, out) {
        Some(product) => product.run::<INT8_A12>(out),
        None => scalar::matmul_i8_a12(matrix, x, out),
    }
}

/// `scalar::matmul_i4`.
#[target_feature(enable = "avx2")]
#[inline]
pub fn matmul_i4(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    match Product::int4(matrix, x, out) {
        Some(product) => product.run::<INT4>(out),
        None => scalar::matmul_i4(matrix, x, out),
    }
}

/// `scalar::matmul_i4` for quantized rows of bytes with a zero point of 128; `None` leaves the product to scalar.
#[target_feature(enable = "avx2")]
pub fn matmul_i4_bytes(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) -> Option<()> {
    Product::int4(matrix, x, out).map(|product| product.run::<INT4_BYTES>(out))
}

/// The formats of a product's operands.
const INT8: u8 = 0;
const INT4: u8 = 1;
/// int4 weights, and tokens of bytes with a zero point of 128.
const INT4_BYTES: u8 = 2;
/// int8 weights, and tokens of twelve bits.
const INT8_A12: u8 = 3;

/// A product in the portable layout whose sizes were checked: the pointers below rely on that.
struct Product<'a> {
    matrix: &'a Matrix<'a>,
    x: &'a QuantizedRows<'a>,
    tokens: usize,
    /// Length of a dot.
    columns: usize,
    /// int4: group size in columns, a multiple of 32.
    group: usize,
    /// int4: groups per row.
    groups: usize,
}

impl<'a> Product<'a> {
    /// Like scalar's, a dot runs on into the padding as far as both rows have it.
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

    /// `None` leaves the product to scalar: other layouts, and matrices of fewer rows than a tile.
    fn checked(matrix: &'a Matrix<'a>, x: &'a QuantizedRows<'a>, out: &[f32], columns: usize) -> Option<Self> {
        let rows = matrix.rows;
        let tokens = x.values.len().checked_div(x.stride)?.min(x.scales.len()).min(out.len().checked_div(rows)?);
        let complete = matrix.layout == Layout::Portable
            && rows >= 8
            && rows.checked_mul(matrix.row_bytes)? <= matrix.values.len()
            && matrix.scales.len() >= rows
            && (matrix.bias.is_empty() || matrix.bias.len() >= rows);
        complete.then_some(Product { matrix, x, tokens, columns, group: 0, groups: 0 })
    }

    /// Rows outermost, so that a prefill reads each weight from memory once for all its tokens. If the rows are not a multiple of a tile's,
    /// the last tile overlaps the one before: the same sums, computed twice.
    #[target_feature(enable = "avx2")]
    fn run<const KIND: u8>(&self, out: &mut [f32]) {
        let rows = self.matrix.rows;
        if self.tokens == 1 {
            // A loop of its own: compiled together with the other case, it would share its registers.
            for row in (0..rows).step_by(8) {
                self.token_tile::<KIND>(row.min(rows - 8), 0, out);
            }
            return;
        }
        for block in (0..rows).step_by(8) {
            for (pair, out) in out.chunks_mut(2 * rows).take(self.tokens.div_ceil(2)).enumerate() {
                if 2 * pair + 1 < self.tokens {
                    self.pair_tile::<KIND>(block.min(rows - 4), 2 * pair, out);
                    self.pair_tile::<KIND>((block + 4).min(rows - 4), 2 * pair, out);
                } else {
                    self.token_tile::<KIND>(block.min(rows - 8), 2 * pair, out);
                }
            }
        }
    }

    /// Eight rows with one token; `out` is `(rows, ..)`.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn token_tile<const KIND: u8>(&self, row: usize, token: usize, out: &mut [f32]) {
        let sums = self.dots::<KIND, 8, 1>(row, token);
        let token_scale = _mm256_set1_ps(self.x.scales.get(token).copied().unwrap_or_default());
        let scale = _mm256_mul_ps(load_f32_at(self.matrix.scales, row), token_scale);
        let mut y = _mm256_mul_ps(sums, scale);
        if !self.matrix.bias.is_empty() {
            y = _mm256_add_ps(y, load_f32_at(self.matrix.bias, row));
        }
        store_f32_at(out, row, y);
    }

    /// Four rows with two tokens; `out` is `(2, rows)`.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn pair_tile<const KIND: u8>(&self, row: usize, token: usize, out: &mut [f32]) {
        let sums = self.dots::<KIND, 4, 2>(row, token);
        let token_scale = |token| _mm_set1_ps(self.x.scales.get(token).copied().unwrap_or_default());
        let token_scales = _mm256_set_m128(token_scale(token + 1), token_scale(token));
        let scale = _mm256_mul_ps(load_f32_twice(self.matrix.scales, row), token_scales);
        let mut y = _mm256_mul_ps(sums, scale);
        if !self.matrix.bias.is_empty() {
            y = _mm256_add_ps(y, load_f32_twice(self.matrix.bias, row));
        }
        store_f32_halves(out, row, row + self.matrix.rows, y);
    }

    /// Eight sums as floats, of `ROWS` rows from `row` on and `TOKENS` tokens from `token` on.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn dots<const KIND: u8, const ROWS: usize, const TOKENS: usize>(&self, row: usize, token: usize) -> __m256 {
        debug_assert!(row + ROWS <= self.matrix.rows && token + TOKENS <= self.tokens);
        let stride = self.matrix.row_bytes;
        let first = self.matrix.values.as_ptr().wrapping_add(row * stride);
        let tokens = Strided { first: self.x.values.as_ptr().wrapping_add(token * self.x.stride), stride: self.x.stride };
        if KIND == INT8 {
            // SAFETY: `int8` found `columns` elements, a multiple of four, in every row and token, and these rows and tokens exist.
            let sums = unsafe { dots_i8::<ROWS, TOKENS>(Strided { first: first.cast(), stride }, tokens, self.columns) };
            return _mm256_cvtepi32_ps(sums);
        }
        if KIND == INT8_A12 {
            let block = |start: usize| {
                let rows = Strided { first: first.wrapping_add(start).cast(), stride };
                let tokens = Strided { first: tokens.first.wrapping_add(start), ..tokens };
                // SAFETY: as above, for the columns from `start` on, which is below `columns`: both are multiples of four.
                _mm256_cvtepi32_ps(unsafe { dots_i8::<ROWS, TOKENS>(rows, tokens, (self.columns - start).min(A12_BLOCK)) })
            };
            let later = (A12_BLOCK..self.columns).step_by(A12_BLOCK);
            return later.fold(block(0), |sum, start| _mm256_add_ps(sum, block(start)));
        }
        let rows = Strided { first, stride };
        let scales = Strided { first: self.matrix.group_scales.as_ptr().wrapping_add(row * self.groups), stride: self.groups };
        let tokens = Strided { first: tokens.first.cast(), stride: 2 * tokens.stride };
        // SAFETY: `int4` found every row's nibbles and scales and every token's elements, `checked` the rows and tokens themselves.
        let sums = unsafe {
            if KIND == INT4_BYTES {
                dots_i4::<true, ROWS, TOKENS>(rows, scales, tokens, self.columns, self.group)
            } else {
                dots_i4::<false, ROWS, TOKENS>(rows, scales, tokens, self.columns, self.group)
            }
        };
        _mm256_cvtepi32_ps(sums)
    }
}
