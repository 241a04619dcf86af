//! Products of the rows of two matrices, with the same bits on every CPU.

use super::matrix::Matrix;
use super::panels::{PanelRow, WIDTH, ZERO_TILE, multiply_add, pack_rows};

/// Rows of a matrix, arranged for [`PackedRows::products`].
pub struct PackedRows {
    panels: Vec<Vec<PanelRow>>,
    rows: usize,
}

impl PackedRows {
    /// Arranges the rows of a matrix.
    pub fn new(matrix: Matrix) -> Self {
        let order: Vec<usize> = (0..matrix.columns).collect();
        let rows: Vec<&[f32]> = matrix.rows().collect();
        PackedRows { panels: rows.chunks(WIDTH).map(|rows| pack_rows(rows, &order)).collect(), rows: rows.len() }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The dot products of these rows with the rows of `other`, which have the same number of columns: `(rows, other.rows)`.
    pub fn products(&self, other: &PackedRows) -> Vec<f32> {
        let mut out = vec![0.0; self.rows * other.rows];
        // A panel of the longer matrix stays in the cache while the panels of the shorter one pass.
        for (right_index, right) in other.panels.iter().enumerate() {
            for (left, out) in self.panels.iter().zip(out.chunks_mut(WIDTH * other.rows)) {
                let mut tile = ZERO_TILE;
                multiply_add(left, right, &mut tile);
                for (row, sums) in out.chunks_exact_mut(other.rows).zip(&tile) {
                    row[right_index * WIDTH..].iter_mut().zip(sums).for_each(|(out, &sum)| *out = sum as f32);
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::testing::Random;

    #[test]
    fn products_are_those_of_the_rows() {
        let (columns, left, right) = (37, 21, 35);
        let mut random = Random::new(5);
        let (a, b) = (random.values(left * columns), random.values(right * columns));
        let pack = |values| PackedRows::new(Matrix { columns, values });
        let products = pack(&a).products(&pack(&b));
        assert_eq!(products.len(), left * right);
        for (index, product) in products.iter().enumerate() {
            let rows = (&a[index / right * columns..][..columns], &b[index % right * columns..][..columns]);
            let expected: f32 = rows.0.iter().zip(rows.1).map(|(a, b)| a * b).sum();
            assert!((product - expected).abs() < 1e-3, "{index}: {product} {expected}");
        }
    }
}
