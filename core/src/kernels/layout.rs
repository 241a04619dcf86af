//! Weight layouts: the same values in an order that one family of CPUs reads faster.

use crate::format::{Dtype, Layout, row_bytes};

/// Index of column `k` in a row of the cortex-m-dsp layout, which interleaves each group of four columns as 0, 2, 1, 3. It is its own inverse.
#[inline(always)]
pub const fn interleave_index(k: usize) -> usize {
    (k & !3) | (k & 1) << 1 | (k & 2) >> 1
}

/// Rows that are interleaved in a bundle. Memory holds whole bundles; the last one is padded with zeros.
pub const fn rows_per_bundle(layout: Layout, dtype: Dtype) -> usize {
    match (layout, dtype) {
        (Layout::CortexMDsp, Dtype::Int8) => 2,
        (Layout::CortexMDsp, Dtype::Int4) => 4,
        _ => 1,
    }
}

/// Packs rows of the portable layout into `layout`.
///
/// `portable` is `(rows, row_bytes)` in the portable layout, int8 values in -127..=127. `out` has room for whole bundles of [`rows_per_bundle`]
/// rows of the same row bytes; of the longer of the two, the rest is ignored. Types that the layout does not change are copied.
///
/// ```
/// use attoformer::image::{Dtype, Layout};
/// use attoformer::kernels::layout::pack_rows;
/// let mut pair = [0; 8];
/// pack_rows(Layout::CortexMDsp, Dtype::Int8, 3, &[1, 2, 3, 0, 10, 20, 0xff, 0], &mut pair);
/// // Columns 0, 2, 1 and the padding: 256 * 10 + 1, 256 * -1 + 3, 256 * 20 + 2, 0.
/// assert_eq!(pair, [1, 10, 3, 0xff, 2, 20, 0, 0]);
/// ```
pub fn pack_rows(layout: Layout, dtype: Dtype, columns: usize, portable: &[u8], out: &mut [u8]) {
    let row_bytes = row_bytes(dtype, columns as u32) as usize;
    let bundle_rows = rows_per_bundle(layout, dtype);
    let bundle_bytes = bundle_rows.wrapping_mul(row_bytes).max(1);
    let bundles = portable.chunks(bundle_bytes).zip(out.chunks_mut(bundle_bytes));
    for (rows, out) in bundles {
        match bundle_rows {
            1 => out.iter_mut().zip(rows).for_each(|(out, &byte)| *out = byte),
            _ => {
                let (halfwords, _) = out.as_chunks_mut::<2>();
                for (k, halfword) in (0..).zip(halfwords) {
                    // Halfword k holds column interleave_index(k) of each row.
                    let column = interleave_index(k);
                    let of_row = |row: usize| value(dtype, rows.get(row * row_bytes..).unwrap_or_default(), column);
                    let shared = match dtype {
                        Dtype::Int8 => of_row(1) * 256 + of_row(0),
                        _ => (0..4).fold(0, |shared, row| shared | (of_row(row) & 15) << (4 * row)),
                    };
                    *halfword = (shared as i16).to_le_bytes();
                }
            }
        }
    }
}

/// Column `column` of a portable row; zero after its end.
fn value(dtype: Dtype, row: &[u8], column: usize) -> i32 {
    match dtype {
        Dtype::Int4 => {
            let byte = row.get(column / 2).copied().unwrap_or(0);
            let nibble = byte >> (4 * (column % 2));
            ((nibble << 4) as i8 >> 4) as i32
        }
        _ => row.get(column).copied().unwrap_or(0) as i8 as i32,
    }
}
