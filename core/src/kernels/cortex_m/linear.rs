//! Matrix products: the choice of a microkernel for each range of rows, and the edges.

use super::super::layout::{interleave_index, rows_per_bundle};
use super::super::scalar::A12_BLOCK;
use super::super::views::{Matrix, QuantizedRows};
use super::a12;
use super::dsp::{self, is_word_aligned};
use super::int4;
use super::int8::{self, Arguments};
use crate::format::directory::{Dtype, Layout};

/// Groups of four columns whose mixed sum of two rows fits 32 bits (512 columns: 512 * 127 * 32,768 < 2^31).
const PAIR_GROUPS: usize = 128;

/// int8 weights: [`super::super::scalar::matmul_i8`].
pub(super) fn matmul_i8(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    let groups = matrix.columns.div_ceil(4);
    let stored_rows = match matrix.layout {
        Layout::Portable => matrix.rows,
        Layout::CortexMDsp => matrix.rows.next_multiple_of(2),
    };
    match Operands::new(matrix, x, out, 4 * groups, stored_rows) {
        None => slow(matrix, x, out, usize::MAX),
        Some(operands) => match matrix.layout {
            Layout::Portable => operands.products(int8::rows_by_token, Some((int8::rows_by_two_tokens, 1))),
            Layout::CortexMDsp if groups <= PAIR_GROUPS => operands.products(int8::pairs_by_token, Some((int8::pairs_by_two_tokens, 2))),
            Layout::CortexMDsp => operands.long_pairs(),
        },
    }
    add_bias(matrix, out);
}

/// int8 weights and activations of twelve bits: [`super::super::scalar::matmul_i8_a12`]. A single row's sums fit 32 bits as they are, in blocks of
/// 8,192 columns; longer rows, of matrices beyond what a microcontroller holds, are computed as they are specified.
pub(super) fn matmul_i8_a12(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    let stored_rows = match matrix.layout {
        Layout::Portable => matrix.rows,
        Layout::CortexMDsp => matrix.rows.next_multiple_of(2),
    };
    match Operands::new(matrix, x, out, matrix.columns.next_multiple_of(4), stored_rows) {
        Some(operands) if matrix.columns <= A12_BLOCK => match matrix.layout {
            Layout::Portable => operands.products(int8::rows_by_token, Some((int8::rows_by_two_tokens, 1))),
            Layout::CortexMDsp => operands.products(a12::pairs_by_token, None),
        },
        _ => slow(matrix, x, out, A12_BLOCK),
    }
    add_bias(matrix, out);
}

/// int4 weights: [`super::super::scalar::matmul_i4`].
pub(super) fn matmul_i4(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    let row_bytes = matrix.columns.div_ceil(8) * 4;
    let stored_rows = match matrix.layout {
        Layout::Portable => matrix.rows,
        Layout::CortexMDsp => matrix.rows.next_multiple_of(4),
    };
    let groups = matrix.columns.div_ceil(matrix.group.max(1));
    // An image has no group size that is not a multiple of four columns, and none longer than a block except the whole row.
    let usual = matrix.group.is_multiple_of(32) && matrix.group <= int4::BLOCK && matrix.group > 0 || groups == 1;
    let scaled = matrix.rows.checked_mul(groups).is_some_and(|scales| scales <= matrix.group_scales.len());
    match Operands::new(matrix, x, out, row_bytes, stored_rows) {
        Some(operands) if usual && scaled => match matrix.layout {
            Layout::Portable => operands.nibbles(),
            Layout::CortexMDsp => operands.quads(groups),
        },
        _ => slow(matrix, x, out, usize::MAX),
    }
    add_bias(matrix, out);
}

/// A microkernel of [`int8`].
type Kernel = unsafe extern "C" fn(&Arguments);

/// A matrix and quantized rows whose sizes and addresses were checked: the microkernels rely on that.
struct Operands<'a> {
    matrix: &'a Matrix<'a>,
    x: &'a QuantizedRows<'a>,
    out: &'a mut [f32],
    tokens: usize,
}

impl<'a> Operands<'a> {
    /// Checks that the matrix has `stored_rows` rows of `row_bytes` and their scales, and counts the tokens that have input and output.
    fn new(matrix: &'a Matrix<'a>, x: &'a QuantizedRows<'a>, out: &'a mut [f32], row_bytes: usize, stored_rows: usize) -> Option<Self> {
        let fits = matrix.columns > 0
            && matrix.rows > 0
            && matrix.row_bytes == row_bytes
            && stored_rows.checked_mul(row_bytes).is_some_and(|bytes| bytes <= matrix.values.len())
            && matrix.scales.len() >= matrix.rows
            && x.stride >= matrix.columns.next_multiple_of(4)
            && x.stride.is_multiple_of(2)
            && is_word_aligned(matrix.values)
            && is_word_aligned(x.values);
        let tokens = (out.len().checked_div(matrix.rows)?).min(x.values.len().checked_div(x.stride)?).min(x.scales.len());
        fits.then_some(Operands { matrix, x, out, tokens })
    }

    /// The arguments for `rows` rows from `row` on with one token.
    fn arguments(&mut self, token: usize, row: usize, rows: usize) -> Arguments {
        let Matrix { row_bytes, values, scales, columns, rows: width, .. } = *self.matrix;
        let out = self.out.as_mut_ptr().wrapping_add(token * width + row);
        Arguments {
            weights: values.as_ptr().wrapping_add(row * row_bytes).cast(),
            x: self.x.values.as_ptr().wrapping_add(token * self.x.stride).cast(),
            scales: scales.as_ptr().wrapping_add(row),
            out,
            out_end: out.wrapping_add(rows),
            groups: columns.div_ceil(4) as u32,
            row_bytes: row_bytes as u32,
            token_scale: self.x.scales.get(token).copied().unwrap_or(0.0),
            second_x: core::ptr::null(),
            second_out: core::ptr::null_mut(),
            second_scale: 0.0,
        }
    }

    /// All products: with a kernel for two tokens, two at a time in bundles of `rows_for_two` rows; then the others, in bundles of two rows.
    #[inline(always)]
    fn products(mut self, one: Kernel, two: Option<(Kernel, usize)>) {
        let rows = self.matrix.rows;
        let mut token = 0;
        while let Some((two, rows_for_two)) = two
            && token + 2 <= self.tokens
        {
            let whole = rows & !(rows_for_two - 1);
            let Arguments { x, out, token_scale, .. } = self.arguments(token + 1, 0, whole);
            let arguments = Arguments { second_x: x, second_out: out, second_scale: token_scale, ..self.arguments(token, 0, whole) };
            if whole > 0 {
                // SAFETY: `new` found these rows, their scales, and the tokens' inputs and outputs.
                unsafe { two(&arguments) }
            }
            if whole < rows {
                self.last_row(token, one);
                self.last_row(token + 1, one);
            }
            token += 2;
        }
        for token in token..self.tokens {
            if rows > 1 {
                // SAFETY: `new` found these rows, their scales, and the token's input and output.
                unsafe { one(&self.arguments(token, 0, rows & !1)) }
            }
            if rows % 2 == 1 {
                self.last_row(token, one);
            }
        }
    }

    /// The last of an odd number of rows, computed as a pair whose second output is dropped.
    #[cold]
    fn last_row(&mut self, token: usize, one: Kernel) {
        let row = self.matrix.rows - 1;
        let (scales, mut pair) = ([self.matrix.scale(row), 0.0], [0.0; 2]);
        let ends = pair.as_mut_ptr_range();
        let arguments =
            Arguments { scales: scales.as_ptr(), out: ends.start, out_end: ends.end, row_bytes: 0, ..self.arguments(token, row, 1) };
        // SAFETY: `new` found the row. In the portable layout it is read twice, since `row_bytes` is 0; the cortex-m-dsp layout stores whole pairs.
        unsafe { one(&arguments) };
        if let Some(out) = self.out.get_mut(token * self.matrix.rows + row) {
            *out = pair[0];
        }
    }

    /// int4 rows in the portable layout.
    fn nibbles(mut self) {
        let Matrix { rows, columns, group, group_scales, .. } = *self.matrix;
        // Eight columns at a time; some rows end with four more.
        let (fours, block) = (columns.div_ceil(4), group.min(int4::BLOCK).div_ceil(8));
        let whole_blocks = (fours - 1).checked_div(2 * block).unwrap_or(0);
        let last_fours = fours - 2 * block * whole_blocks;
        let scale_step = (group <= int4::BLOCK) as u32;
        for token in 0..self.tokens {
            let Arguments { weights, x, scales, out, out_end, token_scale, .. } = self.arguments(token, 0, rows);
            let arguments = int4::Arguments {
                weights,
                x,
                scales,
                out,
                out_end,
                group_scales: group_scales.as_ptr(),
                group_stride: 1 - scale_step,
                whole_blocks: whole_blocks as u32,
                block_groups: block as u32,
                last_groups: (last_fours / 2) as u32,
                scale_step,
                skip: (last_fours % 2) as u32,
                token_scale,
            };
            // SAFETY: `new` and `matmul_i4` found these rows, all their scales, and the token's input and output.
            unsafe { int4::rows_by_token(&arguments) }
        }
    }

    /// int4 rows in the cortex-m-dsp layout, with `groups` group scales per row.
    fn quads(mut self, groups: usize) {
        let Matrix { rows, columns, group, row_bytes, group_scales, .. } = *self.matrix;
        // Four columns at a time, in blocks of whole groups; a group longer than a block keeps its scale for several.
        let (fours, block) = (columns.div_ceil(4), group.min(int4::BLOCK).div_ceil(4));
        let whole_blocks = (fours - 1).checked_div(block).unwrap_or(0);
        for token in 0..self.tokens {
            let Arguments { x, token_scale, .. } = self.arguments(token, 0, 0);
            let start = token * rows;
            let Some(out) = self.out.get_mut(start..start + rows) else {
                debug_assert!(false, "token {token} has no outputs");
                return;
            };
            let out_start = out.as_mut_ptr();
            let mut arguments = int4::Arguments {
                weights: self.matrix.values.as_ptr().cast(),
                x,
                scales: self.matrix.scales.as_ptr(),
                out: out_start,
                out_end: out_start.wrapping_add(rows & !3),
                group_scales: group_scales.as_ptr(),
                group_stride: groups as u32,
                whole_blocks: whole_blocks as u32,
                block_groups: block as u32,
                last_groups: (fours - whole_blocks * block) as u32,
                scale_step: (group <= int4::BLOCK) as u32,
                skip: (4 * row_bytes - 8 * fours) as u32,
                token_scale,
            };
            if rows >= 4 {
                // SAFETY: `new` and `matmul_i4` found these rows, all their scales, and the token's input and output.
                unsafe { int4::quads_by_token(&arguments) }
            }
            arguments.weights = self.matrix.values.as_ptr().wrapping_add((rows & !3) * row_bytes).cast();
            arguments.group_stride = 0;
            for (row, out) in out.iter_mut().enumerate().skip(rows & !3) {
                // One row of the last quad: all four are computed with this row's scales, and this row's output is kept.
                let (scales, mut quad) = ([self.matrix.scale(row); 4], [0.0; 4]);
                arguments.group_scales = group_scales.as_ptr().wrapping_add(row * groups);
                arguments.scales = scales.as_ptr();
                let ends = quad.as_mut_ptr_range();
                (arguments.out, arguments.out_end) = (ends.start, ends.end);
                // SAFETY: the layout stores whole quads, and with a `group_stride` of 0 only this row's group scales are read.
                unsafe { int4::quads_by_token(&arguments) }
                *out = quad[row % 4];
            }
        }
    }

    /// Pairs of rows too long for one mixed sum: block by block.
    #[inline(never)]
    fn long_pairs(self) {
        let rows = self.matrix.rows;
        let (pairs, _) = self.matrix.values.as_chunks::<4>();
        let pair_words = self.matrix.row_bytes / 2;
        for (out, (x, token_scale)) in self.out.chunks_exact_mut(rows.max(1)).zip(self.x.tokens()) {
            let (x, _) = x.as_chunks::<2>();
            let scaled = out.chunks_mut(2).zip(self.matrix.scales.chunks(2)).zip(pairs.chunks_exact(pair_words.max(1)));
            for ((out, scales), weights) in scaled {
                let sums = pair_sums(weights, x);
                out.iter_mut().zip(scales).zip(sums).for_each(|((out, &scale), sum)| *out = sum as f32 * (scale * token_scale));
            }
        }
    }
}

/// Exact sums of the even and the odd row of a pair.
fn pair_sums(weights: &[[u8; 4]], x: &[[i16; 2]]) -> [i32; 2] {
    let (mut even, mut odd) = (0i32, 0i32);
    for (weights, x) in weights.chunks(2 * PAIR_GROUPS).zip(x.chunks(2 * PAIR_GROUPS)) {
        let (mut mixed, mut low) = (0, 0);
        for (&w, x) in weights.iter().zip(x) {
            let (w, x) = (u32::from_le_bytes(w), dsp::pair(x));
            mixed = dsp::smlad(w, x, mixed);
            low = dsp::smlad(dsp::sxtb16(w), x, low);
        }
        even = even.wrapping_add(low);
        odd = odd.wrapping_add(mixed.wrapping_sub(low) >> 8);
    }
    [even, odd]
}

/// Operands of any size at any address: the specification, with the columns in natural order again. Images and arenas have no such operands, so
/// this is small instead of fast. The sums of blocks of `block` columns are added as floats.
#[cold]
#[inline(never)]
fn slow(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32], block: usize) {
    // int8 rows run on into their padding, as scalar's do.
    let (columns, group) = if matrix.dtype == Dtype::Int4 { (matrix.columns, matrix.group.max(1)) } else { (matrix.row_bytes, 0) };
    for (out, (x, token_scale)) in out.chunks_exact_mut(matrix.rows.max(1)).zip(x.tokens()) {
        for (row, out) in out.iter_mut().enumerate() {
            let group_scales = matrix.group_scales_of(row);
            let (mut sum, mut start) = (None, 0);
            while start < columns {
                let end = columns.min(start.saturating_add(block));
                let part = (start..end).fold(0i32, |sum, k| {
                    let x = x.get(interleave_index(k)).copied().unwrap_or(0) as i32;
                    let scale = k.checked_div(group).map_or(1, |group| group_scales.get(group).copied().unwrap_or(0) as i32);
                    sum.wrapping_add(weight(matrix, row, k).wrapping_mul(x).wrapping_mul(scale))
                }) as f32;
                sum = Some(sum.map_or(part, |sum| sum + part));
                start = end;
            }
            *out = sum.unwrap_or(0.0) * (matrix.scale(row) * token_scale);
        }
    }
}

/// The weight in column `k` of a row, in either layout; 0 outside the matrix.
fn weight(matrix: &Matrix<'_>, row: usize, k: usize) -> i32 {
    let byte = |at: usize| matrix.values.get(at).copied().unwrap_or(0);
    let bundle = rows_per_bundle(matrix.layout, matrix.dtype);
    let first = (row / bundle).wrapping_mul(bundle * matrix.row_bytes);
    let halfword_at = first.wrapping_add(2 * interleave_index(k));
    let halfword = i16::from_le_bytes([byte(halfword_at), byte(halfword_at.wrapping_add(1))]) as i32;
    match bundle {
        // Four nibbles; 256 * odd + even; one nibble or byte of its own.
        4 => (halfword << (28 - 4 * (row % 4))) >> 28,
        2 if row % 2 == 1 => (halfword - halfword as i8 as i32) >> 8,
        2 => halfword as i8 as i32,
        _ if matrix.dtype == Dtype::Int4 => ((byte(first.wrapping_add(k / 2)) as i32) << (28 - 4 * (k % 2))) >> 28,
        _ => byte(first.wrapping_add(k)) as i8 as i32,
    }
}

fn add_bias(matrix: &Matrix<'_>, out: &mut [f32]) {
    if !matrix.bias.is_empty() {
        for out in out.chunks_exact_mut(matrix.rows.max(1)) {
            out.iter_mut().zip(matrix.bias).for_each(|(y, &bias)| *y += bias);
        }
    }
}
