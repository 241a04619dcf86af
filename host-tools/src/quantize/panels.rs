//! Products of matrices in panels of 16 columns, with the same bits on every CPU.
//!
//! A panel holds 16 columns of a matrix, row by row. One function multiplies the transpose of a panel by another; all heavy loops of this
//! module (Hessians, Cholesky factors, GPTQ) are made of it. It is compiled for several instruction sets, none of which may fuse a
//! multiplication with an addition, and each sum has a fixed order, so the result never depends on the CPU.

use multiversion::multiversion;

/// Columns of a panel.
pub(super) const WIDTH: usize = 16;
/// Columns of the left panel whose sums are held in registers together.
const STRIP: usize = 4;
/// Products that are summed in f32 before the sum is added in f64.
const RUN: usize = 256;

/// One row of a panel.
pub(super) type PanelRow = [f32; WIDTH];

/// Sums of products of two panels: `tile[i][j]` belongs to column `i` of the left and `j` of the right one.
pub(super) type Tile = [[f64; WIDTH]; WIDTH];

/// A tile of zeros.
pub(super) const ZERO_TILE: Tile = [[0.0; WIDTH]; WIDTH];

/// Adds the product of the transposed `left` panel and the `right` panel to `tile`; rows after the shorter one's end are ignored.
///
/// Runs of 256 products are summed in f32, runs in f64, both in ascending order.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn multiply_add(left: &[PanelRow], right: &[PanelRow], tile: &mut Tile) {
    for (left, right) in left.chunks(RUN).zip(right.chunks(RUN)) {
        for strip in 0..WIDTH / STRIP {
            let mut sums = [[0.0_f32; WIDTH]; STRIP];
            for (left, right) in left.iter().zip(right) {
                for i in 0..STRIP {
                    for j in 0..WIDTH {
                        sums[i][j] += left[strip * STRIP + i] * right[j];
                    }
                }
            }
            for (totals, sums) in tile[strip * STRIP..].iter_mut().zip(&sums) {
                totals.iter_mut().zip(sums).for_each(|(total, &sum)| *total += f64::from(sum));
            }
        }
    }
}

/// Copies rows of `columns` values into panels `(column / 16, row)`, with zeros after the last column. `columns` are taken in the order of
/// `order`, which holds their indices.
pub(super) fn pack_columns<'r>(rows: impl ExactSizeIterator<Item = &'r [f32]> + Clone, order: &[usize]) -> Vec<Vec<PanelRow>> {
    let pack = |columns: &[usize]| {
        let row = |row: &[f32]| {
            let mut packed = [0.0; WIDTH];
            packed.iter_mut().zip(columns).for_each(|(packed, &column)| *packed = row[column]);
            packed
        };
        rows.clone().map(row).collect()
    };
    order.chunks(WIDTH).map(pack).collect()
}

/// Transposes up to 16 rows into one panel `(column, row)`, columns in the order of `order`, with zeros after the last row and for columns
/// up to a multiple of 16.
pub(super) fn pack_rows(rows: &[&[f32]], order: &[usize]) -> Vec<PanelRow> {
    let mut panel = vec![[0.0; WIDTH]; order.len().next_multiple_of(WIDTH)];
    for (packed, &column) in panel.iter_mut().zip(order) {
        packed.iter_mut().zip(rows).for_each(|(packed, row)| *packed = row[column]);
    }
    panel
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_sums_of_products() {
        let value = |row: usize, column: usize, seed: usize| ((row * 31 + column * 17 + seed) % 23) as f32 - 11.0;
        let panel = |seed| (0..600).map(|row| std::array::from_fn(|column| value(row, column, seed))).collect::<Vec<PanelRow>>();
        let (left, right) = (panel(3), panel(8));
        let mut tile = ZERO_TILE;
        tile[2][5] = 0.5;
        multiply_add(&left, &right, &mut tile);
        for (i, row) in tile.iter().enumerate() {
            for (j, &sum) in row.iter().enumerate() {
                let expected: f32 = (0..600).map(|row| value(row, i, 3) * value(row, j, 8)).sum();
                assert_eq!(sum, f64::from(expected) + if (i, j) == (2, 5) { 0.5 } else { 0.0 });
            }
        }
    }

    /// The dispatched version has the bits of the plain loop.
    #[test]
    fn every_instruction_set_has_the_same_bits() {
        let panel = |seed: u32| {
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 20) as f32 - 8.0
            };
            (0..777).map(|_| std::array::from_fn(|_| next())).collect::<Vec<PanelRow>>()
        };
        let (left, right) = (panel(1), panel(2));
        let mut tile = ZERO_TILE;
        multiply_add(&left, &right, &mut tile);
        for (i, row) in tile.iter().enumerate() {
            for (j, &sum) in row.iter().enumerate() {
                let run = |(left, right): (&[PanelRow], &[PanelRow])| left.iter().zip(right).fold(0.0, |sum, (l, r)| sum + l[i] * r[j]);
                let expected = left.chunks(RUN).zip(right.chunks(RUN)).fold(0.0, |total, runs| total + f64::from(run(runs)));
                assert_eq!(sum.to_bits(), expected.to_bits());
            }
        }
    }
}
