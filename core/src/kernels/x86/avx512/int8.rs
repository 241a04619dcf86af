//! int8 weights against quantized rows: GEMV for few tokens, GEMM over packed panels for many.

use super::super::super::scalar::{A12_BLOCK, matmul_i8_a12_of, matmul_i8_of};
use super::super::super::views::{Matrix, QuantizedRows};
use super::super::avx2::{Strided, load_f32_at as load_8_at, store_f32_at as store_8_at};
use super::gemv::{dots_a12, dots_i8, zero_point_term, zero_point_term_a12};
use super::panel::{CHUNK, Panel, ROWS, WIDEST, gather, transpose4x4};
use super::vector::{a12_values, load_f32_at, quantized_values, store_f32_at};
use crate::format::directory::Layout;
use core::arch::x86_64::*;

/// From so many tokens on, packing the weights first is faster.
const MANY: usize = 4;

/// `scalar::matmul_i8`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2")]
pub fn matmul_i8(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    match Product::checked(matrix, x, out) {
        Some(product) if product.tokens < MANY || matrix.rows < ROWS => product.gemv(out),
        Some(product) => product.gemm::<false>(out),
        None => matmul_i8_of(matrix, x, out, quantized_values),
    }
}

/// `scalar::matmul_i8_a12`. Panels are for one block of columns; longer rows are multiplied as they are, for any number of tokens.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2")]
pub fn matmul_i8_a12(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    match Product::checked(matrix, x, out) {
        Some(product) if product.tokens < MANY || matrix.rows < ROWS || product.columns > A12_BLOCK => product.gemv_a12(out),
        Some(product) => product.gemm::<true>(out),
        None => matmul_i8_a12_of(matrix, x, out, a12_values),
    }
}

/// A product in the portable layout whose sizes were checked: the pointers below rely on that.
struct Product<'a> {
    matrix: &'a Matrix<'a>,
    x: &'a QuantizedRows<'a>,
    tokens: usize,
    /// Length of a dot.
    columns: usize,
}

/// Some columns of some rows in a panel.
struct Packed<'p, const WIDE: usize> {
    panel: &'p Panel,
    /// First row of each register.
    rows: [usize; WIDE],
    /// First column, and the one after the last.
    columns: (usize, usize),
    /// -128 times the sum of each row: subtracts the products with the tokens' zero point.
    zero_point_terms: [__m512i; WIDE],
}

impl<'a> Product<'a> {
    /// `None` leaves the product to scalar. Like scalar's, a dot runs on into the padding as far as both rows have it.
    fn checked(matrix: &'a Matrix<'a>, x: &'a QuantizedRows<'a>, out: &[f32]) -> Option<Self> {
        let Matrix { rows, row_bytes, .. } = *matrix;
        let columns = row_bytes.min(x.stride);
        let tokens = x.values.len().checked_div(x.stride)?.min(x.scales.len()).min(out.len().checked_div(rows)?);
        let complete = matrix.layout == Layout::Portable
            && columns > 0
            && columns.is_multiple_of(4)
            && rows >= 8
            && rows.checked_mul(row_bytes)? <= matrix.values.len()
            && matrix.scales.len() >= rows
            && (matrix.bias.is_empty() || matrix.bias.len() >= rows);
        complete.then_some(Product { matrix, x, tokens, columns })
    }

    /// Bytes of a token.
    fn token(&self, token: usize) -> *const u8 {
        self.x.values.as_ptr().wrapping_add(token * self.x.stride).cast()
    }

    fn rows_from(&self, row: usize) -> Strided<u8> {
        let stride = self.matrix.row_bytes;
        Strided { first: self.matrix.values.as_ptr().wrapping_add(row * stride), stride }
    }

    /// Eight rows with each token. If the rows are not a multiple of eight, the last eight overlap the ones before: the same sums, computed
    /// twice.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
    fn gemv(&self, out: &mut [f32]) {
        let rows = self.matrix.rows;
        for (first, out) in (0..self.tokens).step_by(MANY).zip(out.chunks_mut(rows * MANY)) {
            let mut starts = [_mm512_setzero_si512(); MANY];
            for (token, start) in (first..self.tokens).zip(&mut starts) {
                // SAFETY: `checked` found `columns` bytes in every token.
                *start = unsafe { zero_point_term(self.token(token), self.columns) };
            }
            for row in (0..rows).step_by(8) {
                let row = row.min(rows - 8);
                for ((token, out), start) in (first..self.tokens).zip(out.chunks_exact_mut(rows)).zip(&starts) {
                    // SAFETY: `checked` found `columns` bytes in every token and in every row, and `row + 8 <= rows`.
                    let sums = unsafe { dots_i8(self.rows_from(row), self.token(token), self.columns, *start) };
                    self.store_8(row, token, _mm256_cvtepi32_ps(sums), out);
                }
            }
        }
    }

    /// [`Self::gemv`] for tokens of twelve bits.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2")]
    fn gemv_a12(&self, out: &mut [f32]) {
        let rows = self.matrix.rows;
        // Columns of a block from `start` on, and the token's part of the sums of products with them.
        let block = |start: usize| (self.columns - start).min(A12_BLOCK);
        // SAFETY: `checked` found `columns` elements in every token: two bytes each.
        let starting = |token: usize, start: usize| unsafe { zero_point_term_a12(self.token(token).wrapping_add(2 * start), block(start)) };
        for (first, out) in (0..self.tokens).step_by(MANY).zip(out.chunks_mut(rows * MANY)) {
            let mut starts = [_mm512_setzero_si512(); MANY];
            (first..self.tokens).zip(&mut starts).for_each(|(token, term)| *term = starting(token, 0));
            for row in (0..rows).step_by(8) {
                let row = row.min(rows - 8);
                let dots = |token: usize, start: usize, term: __m512i| {
                    let Strided { first, stride } = self.rows_from(row);
                    let rows = Strided { first: first.wrapping_add(start), stride };
                    // SAFETY: `checked` found `columns` elements in every token and in every row, and `row + 8 <= rows`.
                    _mm256_cvtepi32_ps(unsafe { dots_a12(rows, self.token(token).wrapping_add(2 * start), block(start), term) })
                };
                for ((token, out), &term) in (first..self.tokens).zip(out.chunks_exact_mut(rows)).zip(&starts) {
                    let later = (A12_BLOCK..self.columns).step_by(A12_BLOCK);
                    let sums =
                        later.fold(dots(token, 0, term), |sums, start| _mm256_add_ps(sums, dots(token, start, starting(token, start))));
                    self.store_8(row, token, sums, out);
                }
            }
        }
    }

    /// Dequantizes the sums of eight rows from `row` on with one token; `out` is `(rows)`.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn store_8(&self, row: usize, token: usize, sums: __m256, out: &mut [f32]) {
        let token_scale = self.x.scales.get(token).copied().unwrap_or_default();
        let scale = _mm256_mul_ps(load_8_at(self.matrix.scales, row), _mm256_set1_ps(token_scale));
        let mut y = _mm256_mul_ps(sums, scale);
        if !self.matrix.bias.is_empty() {
            y = _mm256_add_ps(y, load_8_at(self.matrix.bias, row));
        }
        store_8_at(out, row, y);
    }

    /// All rows, a panel at a time; with `A12`, tokens of twelve bits and at most [`A12_BLOCK`] columns. Its stack frame has the 73,728 bytes of a [`Panel`].
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    fn gemm<const A12: bool>(&self, out: &mut [f32]) {
        let mut panel = Panel::new();
        for row in (0..self.matrix.rows).step_by(ROWS * WIDEST) {
            match (self.matrix.rows - row).div_ceil(ROWS) {
                1 => self.block::<1, A12>(row, &mut panel, out),
                2 => self.block::<2, A12>(row, &mut panel, out),
                _ => self.block::<WIDEST, A12>(row, &mut panel, out),
            }
        }
    }

    /// All tokens with `16 * WIDE` rows from `row` on. If the rows are not a multiple of sixteen, the last sixteen overlap the ones before.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    fn block<const WIDE: usize, const A12: bool>(&self, row: usize, panel: &mut Panel, out: &mut [f32]) {
        let rows = core::array::from_fn(|wide| (row + wide * ROWS).min(self.matrix.rows - ROWS));
        for first in (0..self.columns).step_by(CHUNK) {
            let columns = (first, self.columns.min(first + CHUNK));
            let zero_point_terms = self.pack(rows, columns, panel);
            let packed = Packed { panel, rows, columns, zero_point_terms };
            let mut token = 0;
            while token < self.tokens {
                let left = self.tokens - token;
                token += if A12 {
                    match left {
                        4.. => self.tile_a12::<WIDE, 8>(&packed, token, out),
                        2.. => self.tile_a12::<WIDE, 4>(&packed, token, out),
                        _ => self.tile_a12::<WIDE, 2>(&packed, token, out),
                    }
                } else {
                    match left {
                        8.. => self.tile::<WIDE, 8>(&packed, token, out),
                        4.. => self.tile::<WIDE, 4>(&packed, token, out),
                        2.. => self.tile::<WIDE, 2>(&packed, token, out),
                        _ => self.tile::<WIDE, 1>(&packed, token, out),
                    }
                };
            }
        }
    }

    /// Packs some columns of some rows into the panel; returns -128 times the sum of each row.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    fn pack<const WIDE: usize>(&self, rows: [usize; WIDE], columns: (usize, usize), panel: &mut Panel) -> [__m512i; WIDE] {
        debug_assert!(columns.1 - columns.0 <= CHUNK && WIDE <= WIDEST);
        let mut terms = [_mm512_setzero_si512(); WIDE];
        let unit = _mm512_set1_epi8(i8::MIN);
        for (wide, (&row, term)) in rows.iter().zip(&mut terms).enumerate() {
            let rows = self.rows_from(row);
            let mut sums = [_mm512_setzero_si512(); 4];
            let mut at_register = wide;
            let whole = columns.1 - (columns.1 - columns.0) % 16;
            for at in (columns.0..whole).step_by(16) {
                // SAFETY: `row + 16 <= rows`, and `checked` found all columns in each row, so `at + 16` bytes.
                let transposed = transpose4x4(unsafe { gather(rows, at, 0xf) });
                for (sum, weights) in sums.iter_mut().zip(transposed) {
                    *sum = _mm512_dpbusd_epi32(*sum, unit, weights);
                    panel.put(at_register, weights);
                    at_register += WIDE;
                }
            }
            let words = (columns.1 - whole) / 4;
            if words > 0 {
                // SAFETY: sixteen rows as above; the mask keeps the words of the last columns.
                let transposed = transpose4x4(unsafe { gather(rows, whole, (1 << words) - 1) });
                for (sum, weights) in sums.iter_mut().zip(transposed).take(words) {
                    *sum = _mm512_dpbusd_epi32(*sum, unit, weights);
                    panel.put(at_register, weights);
                    at_register += WIDE;
                }
            }
            let [a, b, c, d] = sums;
            let sum = _mm512_add_epi32(_mm512_add_epi32(a, b), _mm512_add_epi32(c, d));
            *term = _mm512_sub_epi32(_mm512_setzero_si512(), sum);
        }
        terms
    }

    /// `TOKENS` tokens with packed rows; returns the number of tokens.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    fn tile<const WIDE: usize, const TOKENS: usize>(&self, packed: &Packed<'_, WIDE>, token: usize, out: &mut [f32]) -> usize {
        debug_assert!(token + TOKENS <= self.tokens && packed.columns.1 <= self.columns);
        let first = self.token(token).wrapping_add(packed.columns.0);
        let tokens = Strided { first, stride: 2 * self.x.stride };
        let next = self.rows_from(packed.rows[0]).at(ROWS * WIDE, 0);
        let columns = packed.columns.1 - packed.columns.0;
        // SAFETY: `checked` found the columns of every token, a multiple of four, and `pack` wrote a register per sixteen rows for each four.
        let mut sums = unsafe { dots::<WIDE, TOKENS, false>(packed.panel.as_ptr(), tokens, columns, packed.zero_point_terms, next) };
        let outs = out.chunks_exact_mut(self.matrix.rows).skip(token);
        // By reference: moved, the accumulators of a tile would be copied once more.
        for ((out, sums), &token_scale) in outs.zip(&mut sums).zip(self.x.scales.get(token..).unwrap_or_default()) {
            self.store(packed, sums, token_scale, out);
        }
        TOKENS
    }

    /// `PARTS / 2` tokens of twelve bits with packed rows; returns the number of tokens.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    fn tile_a12<const WIDE: usize, const PARTS: usize>(&self, packed: &Packed<'_, WIDE>, token: usize, out: &mut [f32]) -> usize {
        debug_assert!(token + PARTS / 2 <= self.tokens && packed.columns.1 <= self.columns);
        let first = self.token(token).wrapping_add(2 * packed.columns.0);
        let tokens = Strided { first, stride: 2 * self.x.stride };
        let next = self.rows_from(packed.rows[0]).at(ROWS * WIDE, 0);
        let columns = packed.columns.1 - packed.columns.0;
        // SAFETY: as in `tile`; a token has twice as many bytes as columns.
        let mut sums = unsafe { dots::<WIDE, PARTS, true>(packed.panel.as_ptr(), tokens, columns, packed.zero_point_terms, next) };
        let (pairs, _) = sums.as_chunks_mut::<2>();
        let outs = out.chunks_exact_mut(self.matrix.rows).skip(token);
        for ((out, [sums, low]), &token_scale) in outs.zip(pairs).zip(self.x.scales.get(token..).unwrap_or_default()) {
            // `128 * high + low`, exact modulo 2^32.
            for (sum, &mut low) in sums.iter_mut().zip(low) {
                *sum = _mm512_add_epi32(_mm512_slli_epi32::<7>(*sum), low);
            }
            self.store(packed, sums, token_scale, out);
        }
        PARTS / 2
    }

    /// Dequantizes the accumulators of one token after the last chunk of columns; between chunks, `out` holds the accumulators' bits.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    #[inline]
    fn store<const WIDE: usize>(&self, packed: &Packed<'_, WIDE>, sums: &mut [__m512i; WIDE], token_scale: f32, out: &mut [f32]) {
        if packed.columns.0 > 0 {
            // All before any is stored: rows of two registers may overlap.
            for (&row, sum) in packed.rows.iter().zip(sums.iter_mut()) {
                *sum = _mm512_add_epi32(*sum, _mm512_castps_si512(load_f32_at(out, row)));
            }
        }
        for (&row, &mut sum) in packed.rows.iter().zip(sums) {
            if packed.columns.1 < self.columns {
                store_f32_at(out, row, _mm512_castsi512_ps(sum));
                continue;
            }
            let scale = _mm512_mul_ps(load_f32_at(self.matrix.scales, row), _mm512_set1_ps(token_scale));
            let mut y = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale);
            if !self.matrix.bias.is_empty() {
                y = _mm512_add_ps(y, load_f32_at(self.matrix.bias, row));
            }
            store_f32_at(out, row, y);
        }
    }
}

/// The microkernel: accumulators of every row of bytes and row of weights, starting from `start`. With `A12`, each two rows of bytes are the high
/// and the low parts of one token. Meanwhile it prefetches as many bytes from `next` on as the panel holds.
///
/// # Safety
/// `columns` is a multiple of four; the panel holds `WIDE` registers for each four of them, and `columns` bytes of each row of bytes may be read.
/// `next` is only prefetched and may be any address.
#[target_feature(enable = "avx512f,avx512vnni")]
#[inline]
unsafe fn dots<const WIDE: usize, const PARTS: usize, const A12: bool>(
    panel: *const __m512i,
    tokens: Strided<u8>,
    columns: usize,
    start: [__m512i; WIDE],
    next: *const u8,
) -> [[__m512i; WIDE]; PARTS] {
    debug_assert!(columns.is_multiple_of(4) && columns <= CHUNK);
    let mut sums = [start; PARTS];
    for step in 0..columns / 4 {
        for line in step * WIDE..(step + 1) * WIDE {
            _mm_prefetch::<_MM_HINT_T1>(next.wrapping_add(64 * line).cast());
        }
        let mut weights = start;
        for (wide, weights) in weights.iter_mut().enumerate() {
            // SAFETY: the panel holds `WIDE` registers for each of the `columns / 4` steps.
            *weights = unsafe { panel.wrapping_add(step * WIDE + wide).read() };
        }
        for (part, sums) in sums.iter_mut().enumerate() {
            let x = if A12 { tokens.at(part / 2, 8 * step + 4 * (part % 2)) } else { tokens.at(part, 4 * step) };
            // SAFETY: these four bytes are of columns `4 * step` to `4 * step + 3`, which are among the token's `columns`.
            let x = _mm512_set1_epi32(unsafe { x.cast::<i32>().read_unaligned() });
            for (sum, weights) in sums.iter_mut().zip(weights) {
                *sum = _mm512_dpbusd_epi32(*sum, x, weights);
            }
        }
    }
    sums
}
