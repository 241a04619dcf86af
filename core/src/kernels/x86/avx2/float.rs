//! f32 and f16 rows (weights, or the keys of a cache) against f32 rows. A register is scalar's eight lanes.

use super::super::super::scalar;
use super::super::super::views::Matrix;
use super::dots::Strided;
use super::vector::{flat_f32, load_f32_at, load_f32_twice, mask, store_f32_at, store_f32_halves, totals_f32};
use core::arch::x86_64::*;

/// `scalar::matmul_f16` and `scalar::matmul_f32`.
#[target_feature(enable = "avx2,f16c")]
pub fn matmul<const F16: bool>(matrix: &Matrix<'_>, x: &[f32], out: &mut [f32]) {
    match weights_by_tokens(matrix, x, out, if F16 { 2 } else { 4 }) {
        Some(product) => product.run::<F16>(out),
        None if F16 => scalar::matmul_f16(matrix, x, out),
        None => scalar::matmul_f32(matrix, x, out),
    }
}

/// The product of a matrix; `None` leaves it to scalar.
fn weights_by_tokens<'a>(matrix: &'a Matrix<'a>, x: &'a [f32], out: &[f32], element: usize) -> Option<Product<'a>> {
    let Matrix { rows, columns, row_bytes, .. } = *matrix;
    let tokens = x.len().checked_div(columns)?.min(out.len().checked_div(rows)?);
    // Rows are whole words of four bytes: the last one may hold one f16 of padding. Matrices with fewer rows than a tile are left to scalar.
    let complete = rows >= Product::LEAST_ROWS
        && columns.checked_mul(element)?.next_multiple_of(4) <= row_bytes
        && rows.checked_mul(row_bytes)? <= matrix.values.len()
        && (matrix.bias.is_empty() || matrix.bias.len() >= rows);
    complete.then_some(Product {
        rows: Strided { first: matrix.values.as_ptr(), stride: row_bytes },
        row_count: rows,
        tokens: Strided { first: x.as_ptr(), stride: columns },
        token_count: tokens,
        columns,
        out_stride: rows,
        finish: if matrix.bias.is_empty() { Finish::Sum } else { Finish::Bias(matrix.bias) },
    })
}

/// The last operation on each sum.
#[derive(Clone, Copy)]
pub enum Finish<'a> {
    /// None.
    Sum,
    /// Adds each row's bias, `(rows)`.
    Bias(&'a [f32]),
    /// Multiplies by a factor.
    Scale(f32),
}

/// The dot products of all rows with all tokens, `(tokens, rows)`. Whoever makes one has checked that every row and token has `columns` elements,
/// f16 rows whole words of four bytes: the pointers rely on that.
pub struct Product<'a> {
    /// f32 or f16 elements, as bytes.
    pub rows: Strided<u8>,
    /// At least [`Product::LEAST_ROWS`].
    pub row_count: usize,
    pub tokens: Strided<f32>,
    pub token_count: usize,
    /// Length of a row.
    pub columns: usize,
    /// Elements from one token's results to the next, at least `row_count`.
    pub out_stride: usize,
    pub finish: Finish<'a>,
}

impl Product<'_> {
    /// Rows of the largest tile.
    pub const LEAST_ROWS: usize = 8;

    /// Blocks of rows outermost, so that a prefill reads each weight from memory once for all its tokens. If the rows are not a multiple of
    /// a tile's, the last tile overlaps the one before: the same sums, computed twice.
    #[target_feature(enable = "avx2,f16c")]
    pub fn run<const F16: bool>(&self, out: &mut [f32]) {
        if self.token_count == 1 {
            // A loop of its own: compiled together with the other case, it would share its registers.
            for row in (0..self.row_count).step_by(8) {
                self.single::<F16>(row.min(self.row_count - 8), 0, out);
            }
            return;
        }
        for block in (0..self.row_count).step_by(8) {
            for token in (0..self.token_count).step_by(2) {
                if token + 1 < self.token_count {
                    self.pair::<F16>(block.min(self.row_count - 4), token, out);
                    self.pair::<F16>((block + 4).min(self.row_count - 4), token, out);
                } else {
                    self.single::<F16>(block.min(self.row_count - 8), token, out);
                }
            }
        }
    }

    /// Eight rows with one token.
    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    fn single<const F16: bool>(&self, row: usize, token: usize, out: &mut [f32]) {
        let y = totals_f32(flat_f32(self.lanes::<F16, 8, 1>(row, token)));
        let y = match self.finish {
            Finish::Sum => y,
            Finish::Bias(bias) => _mm256_add_ps(y, load_f32_at(bias, row)),
            Finish::Scale(scale) => _mm256_mul_ps(y, _mm256_set1_ps(scale)),
        };
        store_f32_at(out, token * self.out_stride + row, y);
    }

    /// Four rows with two tokens. Of larger tiles, the compiler keeps an accumulator in memory.
    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    fn pair<const F16: bool>(&self, row: usize, token: usize, out: &mut [f32]) {
        let y = totals_f32(flat_f32(self.lanes::<F16, 4, 2>(row, token)));
        let y = match self.finish {
            Finish::Sum => y,
            Finish::Bias(bias) => _mm256_add_ps(y, load_f32_twice(bias, row)),
            Finish::Scale(scale) => _mm256_mul_ps(y, _mm256_set1_ps(scale)),
        };
        let at = token * self.out_stride + row;
        store_f32_halves(out, at, at + self.out_stride, y);
    }

    /// Lanes of the sums of `ROWS` rows from `row` on and `TOKENS` tokens from `token` on.
    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    fn lanes<const F16: bool, const ROWS: usize, const TOKENS: usize>(&self, row: usize, token: usize) -> [[__m256; ROWS]; TOKENS] {
        debug_assert!(row + ROWS <= self.row_count && token + TOKENS <= self.token_count);
        let rows = Strided { first: self.rows.at(row, 0), stride: self.rows.stride };
        let tokens = Strided { first: self.tokens.at(token, 0), stride: self.tokens.stride };
        // SAFETY: the product's rows and tokens have `columns` elements each, f16 rows in whole words, and these rows and tokens exist.
        unsafe { lanes::<F16, ROWS, TOKENS>(rows, tokens, self.columns) }
    }
}

/// Lanes of the sums of every row and token, tokens outermost.
///
/// # Safety
/// `columns` elements of `ROWS` rows, for f16 rounded up to whole words of four bytes, and of `TOKENS` tokens may be read.
#[target_feature(enable = "avx2,f16c")]
#[inline]
unsafe fn lanes<const F16: bool, const ROWS: usize, const TOKENS: usize>(
    rows: Strided<u8>,
    tokens: Strided<f32>,
    columns: usize,
) -> [[__m256; ROWS]; TOKENS] {
    let mut lanes = [[_mm256_setzero_ps(); ROWS]; TOKENS];
    let mut at = 0;
    while at + 8 <= columns {
        let mut x = [_mm256_setzero_ps(); TOKENS];
        for (token, x) in x.iter_mut().enumerate() {
            // SAFETY: elements `at..at + 8` are among the token's `columns`.
            *x = unsafe { _mm256_loadu_ps(tokens.at(token, at)) };
        }
        for row in 0..ROWS {
            // SAFETY: elements `at..at + 8` are among the row's `columns`.
            let w = unsafe {
                if F16 {
                    _mm256_cvtph_ps(_mm_loadu_si128(rows.at(row, 2 * at).cast()))
                } else {
                    _mm256_loadu_ps(rows.at(row, 4 * at).cast())
                }
            };
            accumulate(&mut lanes, row, x, w);
        }
        at += 8;
    }
    if at < columns {
        // Masked lanes add +0, which changes no bit of a sum that began with +0.
        let rest = columns - at;
        let keep = mask(4 * rest);
        let mut x = [_mm256_setzero_ps(); TOKENS];
        for (token, x) in x.iter_mut().enumerate() {
            // SAFETY: the mask keeps the token's elements `at..columns`; a masked load does not touch the others.
            *x = unsafe { _mm256_maskload_ps(tokens.at(token, at), keep) };
        }
        for row in 0..ROWS {
            // SAFETY: the masks keep the row's elements `at..columns`, f16 rounded up to a whole word; masked loads do not touch the others.
            let w = unsafe {
                if F16 {
                    let words = _mm256_castsi256_si128(mask(2 * rest.next_multiple_of(2)));
                    let w = _mm256_cvtph_ps(_mm_maskload_epi32(rows.at(row, 2 * at).cast(), words));
                    // Padding may hold an infinity.
                    _mm256_and_ps(w, _mm256_castsi256_ps(keep))
                } else {
                    _mm256_maskload_ps(rows.at(row, 4 * at).cast(), keep)
                }
            };
            accumulate(&mut lanes, row, x, w);
        }
    }
    lanes
}

/// Adds eight products to the lanes of one row with every token: multiplied, rounded, then added.
#[target_feature(enable = "avx2")]
#[inline]
fn accumulate<const ROWS: usize, const TOKENS: usize>(lanes: &mut [[__m256; ROWS]; TOKENS], row: usize, x: [__m256; TOKENS], w: __m256) {
    for (lanes, x) in lanes.iter_mut().zip(x) {
        if let Some(lane) = lanes.get_mut(row) {
            *lane = _mm256_add_ps(*lane, _mm256_mul_ps(x, w));
        }
    }
}
