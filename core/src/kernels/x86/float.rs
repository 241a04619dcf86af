//! f32 and f16 weights against f32 rows, and the RMS norm. A register is scalar's eight lanes.

use super::super::{Matrix, scalar};
use super::vector::{load_f32, load_f32_front, load4, mask, store_f32, store4, totals_f32};
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

/// A product whose every row and token was found to be there: what the pointers below rely on.
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
        // Words of four bytes: the last one may hold one f16 of padding.
        let complete = columns.checked_mul(element)?.next_multiple_of(4) <= row_bytes
            && rows.checked_mul(row_bytes)? <= matrix.values.len()
            && (matrix.bias.is_empty() || matrix.bias.len() >= rows);
        complete.then_some(Product { matrix, x, tokens })
    }

    /// Rows outermost, so that a prefill reads each weight from memory once, however many tokens it has.
    #[target_feature(enable = "avx2,f16c")]
    fn run<const F16: bool>(&self, out: &mut [f32]) {
        for row in (0..self.matrix.rows).step_by(8) {
            for token in (0..self.tokens).step_by(2) {
                if token + 1 < self.tokens {
                    for row in (row..self.matrix.rows.min(row + 8)).step_by(4) {
                        let (first, second) = self.tile::<F16, 4, 2>(row, token);
                        self.store(first, row, token, out);
                        self.store(second, row, token + 1, out);
                    }
                } else {
                    let (first, second) = self.tile::<F16, 8, 1>(row, token);
                    self.store(first, row, token, out);
                    if row + 4 < self.matrix.rows {
                        self.store(second, row + 4, token, out);
                    }
                }
            }
        }
    }

    /// Eight dots, four and four: of rows from `row` on with tokens from `token` on, tokens outermost. Rows behind the last one repeat it.
    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    fn tile<const F16: bool, const ROWS: usize, const TOKENS: usize>(&self, row: usize, token: usize) -> (__m128, __m128) {
        let last = self.matrix.rows - 1;
        let columns = self.matrix.columns;
        let mut rows = [core::ptr::null::<u8>(); ROWS];
        let mut tokens = [core::ptr::null::<f32>(); TOKENS];
        for (index, values) in rows.iter_mut().enumerate() {
            *values = self.matrix.values.as_ptr().wrapping_add(last.min(row + index) * self.matrix.row_bytes);
        }
        for (index, values) in tokens.iter_mut().enumerate() {
            *values = self.x.as_ptr().wrapping_add((token + index) * columns);
        }
        // SAFETY: `checked` found `columns` elements in every row and token, f16 rows in whole words; `run` asks for tokens that are there.
        let lanes = unsafe { dots::<F16, ROWS, TOKENS>(rows, tokens, columns) };
        let mut all = [_mm256_setzero_ps(); 8];
        all.iter_mut().zip(lanes.as_flattened()).for_each(|(all, lanes)| *all = *lanes);
        let totals = totals_f32(all);
        (_mm256_castps256_ps128(totals), _mm256_extractf128_ps::<1>(totals))
    }

    /// Four rows of one token.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn store(&self, mut y: __m128, row: usize, token: usize, out: &mut [f32]) {
        let rows = self.matrix.rows;
        if !self.matrix.bias.is_empty() {
            y = _mm_add_ps(y, load4(self.matrix.bias, row));
        }
        store4(out.get_mut(token * rows..(token + 1) * rows).unwrap_or_default(), row, y);
    }
}

/// Lanes of the sums of every row and token, tokens outermost.
///
/// # Safety
/// From each pointer on `columns` elements may be read, f16 in whole words of four bytes.
#[target_feature(enable = "avx2,f16c")]
#[inline]
unsafe fn dots<const F16: bool, const ROWS: usize, const TOKENS: usize>(
    rows: [*const u8; ROWS],
    tokens: [*const f32; TOKENS],
    columns: usize,
) -> [[__m256; ROWS]; TOKENS] {
    let mut lanes = [[_mm256_setzero_ps(); ROWS]; TOKENS];
    let mut at = 0;
    while at + 8 <= columns {
        let mut x = [_mm256_setzero_ps(); TOKENS];
        for (x, token) in x.iter_mut().zip(tokens) {
            // SAFETY: `at + 8` elements are there.
            *x = unsafe { _mm256_loadu_ps(token.add(at)) };
        }
        for (row, weights) in rows.into_iter().enumerate() {
            // SAFETY: `at + 8` elements are there.
            let w = unsafe {
                if F16 { _mm256_cvtph_ps(_mm_loadu_si128(weights.add(2 * at).cast())) } else { _mm256_loadu_ps(weights.add(4 * at).cast()) }
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
        for (x, token) in x.iter_mut().zip(tokens) {
            // SAFETY: the mask covers what is left; the rest of the memory is not touched.
            *x = unsafe { _mm256_maskload_ps(token.add(at), keep) };
        }
        for (row, weights) in rows.into_iter().enumerate() {
            // SAFETY: the masks cover what is left, f16 rounded up to a whole word; the rest of the memory is not touched.
            let w = unsafe {
                if F16 {
                    let words = _mm256_castsi256_si128(mask(2 * rest.next_multiple_of(2)));
                    let w = _mm256_cvtph_ps(_mm_maskload_epi32(weights.add(2 * at).cast(), words));
                    // Padding may hold an infinity.
                    _mm256_and_ps(w, _mm256_castsi256_ps(keep))
                } else {
                    _mm256_maskload_ps(weights.add(4 * at).cast(), keep)
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
    let zero = _mm256_setzero_ps();
    let total = totals_f32([square(lanes, load_f32_front(x_tail)), zero, zero, zero, zero, zero, zero, zero]);
    let mean = _mm256_cvtss_f32(total) / x.len() as f32;
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
