//! f32 and f16 weights against f32 rows, RMSNorm and layer norm. A register is scalar's eight lanes.

use super::super::super::scalar;
use super::super::super::views::Matrix;
use super::dots::Strided;
use super::vector::{
    flat_f32, load_f32, load_f32_at, load_f32_partial, load_f32_twice, mask, store_f32, store_f32_at, store_f32_halves, totals_f32,
};
use core::arch::x86_64::*;

/// `scalar::matmul_f16` and `scalar::matmul_f32`.
#[target_feature(enable = "avx2,f16c")]
pub fn matmul<const F16: bool>(matrix: &Matrix<'_>, x: &[f32], out: &mut [f32]) {
    match Product::checked(matrix, x, out, if F16 { 2 } else { 4 }) {
        Some(product) => product.run::<F16>(out),
        None if F16 => scalar::matmul_f16(matrix, x, out),
        None => scalar::matmul_f32(matrix, x, out),
    }
}

/// A product whose sizes were checked: the pointers below rely on that.
struct Product<'a> {
    matrix: &'a Matrix<'a>,
    x: &'a [f32],
    tokens: usize,
}

impl<'a> Product<'a> {
    /// `None` leaves the product to scalar.
    fn checked(matrix: &'a Matrix<'a>, x: &'a [f32], out: &[f32], element: usize) -> Option<Self> {
        let Matrix { rows, columns, row_bytes, .. } = *matrix;
        let tokens = x.len().checked_div(columns)?.min(out.len().checked_div(rows)?);
        // Rows are whole words of four bytes: the last one may hold one f16 of padding. Matrices with fewer rows than a tile are left to scalar.
        let complete = rows >= 8
            && columns.checked_mul(element)?.next_multiple_of(4) <= row_bytes
            && rows.checked_mul(row_bytes)? <= matrix.values.len()
            && (matrix.bias.is_empty() || matrix.bias.len() >= rows);
        complete.then_some(Product { matrix, x, tokens })
    }

    /// Rows outermost, so that a prefill reads each weight from memory once for all its tokens. If the rows are not a multiple of a tile's,
    /// the last tile overlaps the one before: the same sums, computed twice.
    #[target_feature(enable = "avx2,f16c")]
    fn run<const F16: bool>(&self, out: &mut [f32]) {
        let rows = self.matrix.rows;
        if self.tokens == 1 {
            // A loop of its own: compiled together with the other case, it would share its registers.
            for row in (0..rows).step_by(8) {
                self.token_tile::<F16>(row.min(rows - 8), 0, out);
            }
            return;
        }
        for block in (0..rows).step_by(8) {
            for (pair, out) in out.chunks_mut(2 * rows).take(self.tokens.div_ceil(2)).enumerate() {
                if 2 * pair + 1 < self.tokens {
                    self.pair_tile::<F16>(block.min(rows - 4), 2 * pair, out);
                    self.pair_tile::<F16>((block + 4).min(rows - 4), 2 * pair, out);
                } else {
                    self.token_tile::<F16>(block.min(rows - 8), 2 * pair, out);
                }
            }
        }
    }

    /// Eight rows with one token; `out` is `(rows, ..)`.
    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    fn token_tile<const F16: bool>(&self, row: usize, token: usize, out: &mut [f32]) {
        let mut y = totals_f32(flat_f32(self.lanes::<F16, 8, 1>(row, token)));
        if !self.matrix.bias.is_empty() {
            y = _mm256_add_ps(y, load_f32_at(self.matrix.bias, row));
        }
        store_f32_at(out, row, y);
    }

    /// Four rows with two tokens; `out` is `(2, rows)`.
    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    fn pair_tile<const F16: bool>(&self, row: usize, token: usize, out: &mut [f32]) {
        let mut y = totals_f32(flat_f32(self.lanes::<F16, 4, 2>(row, token)));
        if !self.matrix.bias.is_empty() {
            y = _mm256_add_ps(y, load_f32_twice(self.matrix.bias, row));
        }
        store_f32_halves(out, row, row + self.matrix.rows, y);
    }

    /// Lanes of the sums of `ROWS` rows from `row` on and `TOKENS` tokens from `token` on.
    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    fn lanes<const F16: bool, const ROWS: usize, const TOKENS: usize>(&self, row: usize, token: usize) -> [[__m256; ROWS]; TOKENS] {
        debug_assert!(row + ROWS <= self.matrix.rows && token + TOKENS <= self.tokens);
        let Matrix { columns, row_bytes, values, .. } = *self.matrix;
        let rows = Strided { first: values.as_ptr().wrapping_add(row * row_bytes), stride: row_bytes };
        let tokens = Strided { first: self.x.as_ptr().wrapping_add(token * columns), stride: columns };
        // SAFETY: `checked` found `columns` elements in every row and token, f16 rows in whole words, and these rows and tokens exist.
        unsafe { lanes::<F16, ROWS, TOKENS>(rows, tokens, columns) }
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

/// `numeric::rms_norm`.
#[target_feature(enable = "avx2")]
#[inline]
pub fn rms_norm(x: &[f32], scale: &[f32], eps: f32, out: &mut [f32]) {
    if out.len() != x.len() || scale.len() != x.len() {
        return crate::numeric::rms_norm(x, scale, eps, out);
    }
    let (x8, x_tail) = x.as_chunks::<8>();
    let square = |lanes, x| _mm256_add_ps(lanes, _mm256_mul_ps(x, x));
    let mut lanes = _mm256_setzero_ps();
    for x in x8 {
        lanes = square(lanes, load_f32(x));
    }
    let mean = total(square(lanes, load_f32_partial(x_tail))) / x.len() as f32;
    let inverse = 1.0 / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(mean + eps)));
    let (scale8, scale_tail) = scale.as_chunks::<8>();
    let (out8, out_tail) = out.as_chunks_mut::<8>();
    for ((x, scale), out) in x8.iter().zip(scale8).zip(out8) {
        store_f32(out, _mm256_mul_ps(_mm256_mul_ps(load_f32(x), _mm256_set1_ps(inverse)), load_f32(scale)));
    }
    for ((out, &x), &scale) in out_tail.iter_mut().zip(x_tail).zip(scale_tail) {
        *out = (x * inverse) * scale;
    }
}

/// `numeric::Lanes::total`.
#[target_feature(enable = "avx2")]
#[inline]
fn total(lanes: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps::<1>(lanes));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

/// `numeric::layer_norm`.
#[target_feature(enable = "avx2")]
#[inline]
pub fn layer_norm(x: &[f32], scale: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
    if out.len() != x.len() || scale.len() != x.len() || bias.len() != x.len() {
        return crate::numeric::layer_norm(x, scale, bias, eps, out);
    }
    let (x8, x_tail) = x.as_chunks::<8>();
    let count = x.len() as f32;
    let mut sum = _mm256_setzero_ps();
    for x in x8 {
        sum = _mm256_add_ps(sum, load_f32(x));
    }
    let mean = total(_mm256_add_ps(sum, load_f32_partial(x_tail))) / count;
    let means = _mm256_set1_ps(mean);
    let centred = |x| _mm256_sub_ps(x, means);
    let square = |squares, x| _mm256_add_ps(squares, _mm256_mul_ps(x, x));
    let mut squares = _mm256_setzero_ps();
    for x in x8 {
        squares = square(squares, centred(load_f32(x)));
    }
    // Lanes after the row stay +0.
    let last = _mm256_and_ps(centred(load_f32_partial(x_tail)), _mm256_castsi256_ps(mask(4 * x_tail.len())));
    let variance = total(square(squares, last)) / count;
    let inverse = 1.0 / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(variance + eps)));
    let (scale8, scale_tail) = scale.as_chunks::<8>();
    let (bias8, bias_tail) = bias.as_chunks::<8>();
    let (out8, out_tail) = out.as_chunks_mut::<8>();
    for (((x, scale), bias), out) in x8.iter().zip(scale8).zip(bias8).zip(out8) {
        let normed = _mm256_mul_ps(centred(load_f32(x)), _mm256_set1_ps(inverse));
        store_f32(out, _mm256_add_ps(_mm256_mul_ps(normed, load_f32(scale)), load_f32(bias)));
    }
    for (((out, &x), &scale), &bias) in out_tail.iter_mut().zip(x_tail).zip(scale_tail).zip(bias_tail) {
        *out = ((x - mean) * inverse) * scale + bias;
    }
}
