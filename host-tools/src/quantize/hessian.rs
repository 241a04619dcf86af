//! Statistics of the inputs of a matrix over a calibration text, which GPTQ needs.
//!
//! Every element is a sum over the rows in the order in which they were added: it depends neither on the number of threads, nor on the CPU,
//! nor on how the rows were divided among calls.

use rayon::prelude::*;

use super::matrix::Matrix;
use super::panels::{PanelRow, WIDTH, ZERO_TILE, multiply_add, pack_columns};

/// Rows that are multiplied at once.
const BLOCK: usize = 256;

/// Second moments of a matrix's inputs, `X` in the quantized stream and `R` in the reference (f32) stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Hessian {
    /// Columns of the matrix.
    pub columns: usize,
    /// Rows of inputs.
    pub rows: usize,
    /// `X^T X`, `(columns, columns)`, symmetric.
    pub xx: Vec<f32>,
    /// `(R - X)^T X`, `(columns, columns)`, not symmetric; `None` if both streams are the same.
    pub dx: Option<Vec<f32>>,
}

impl Hessian {
    /// The sum of squares of each column.
    pub fn diagonal(&self) -> Vec<f32> {
        self.xx.iter().copied().step_by(self.columns + 1).collect()
    }

    /// The statistics of inputs whose columns are multiplied by `factors`, such as the inverse smoothing factors.
    pub fn scale_columns(&mut self, factors: &[f32]) {
        for moments in std::iter::once(&mut self.xx).chain(&mut self.dx) {
            moments.par_chunks_exact_mut(self.columns).zip(factors).for_each(|(row, &of_row)| {
                row.iter_mut().zip(factors).for_each(|(moment, &of_column)| *moment *= of_row * of_column);
            });
        }
    }
}

/// Accumulates a [`Hessian`] from rows of inputs.
#[derive(Clone, Debug)]
pub struct HessianBuilder {
    sums: Hessian,
    /// Rows that wait for a whole block: of the quantized stream, and the deviations of the reference stream.
    inputs: Vec<f32>,
    deviations: Vec<f32>,
}

impl HessianBuilder {
    /// Starts without rows. `with_reference`: whether the inputs of the reference stream are added, too.
    pub fn new(columns: usize, with_reference: bool) -> Self {
        let zeros = || vec![0.0; columns * columns];
        let sums = Hessian { columns, rows: 0, xx: zeros(), dx: with_reference.then(zeros) };
        HessianBuilder { sums, inputs: Vec::new(), deviations: Vec::new() }
    }

    /// Adds rows of inputs of the quantized stream, and the same rows of the reference stream if there is one. Rows that one of them lacks are
    /// ignored.
    pub fn add(&mut self, inputs: Matrix, reference: Option<Matrix>) {
        debug_assert_eq!(inputs.columns, self.sums.columns);
        debug_assert_eq!(reference.map(|reference| reference.values.len()), self.sums.dx.as_ref().map(|_| inputs.values.len()));
        let mut reference = reference.map(|reference| reference.rows());
        for row in inputs.rows() {
            if self.sums.dx.is_some() {
                let Some(reference) = reference.as_mut().and_then(Iterator::next) else { return };
                self.deviations.extend(reference.iter().zip(row).map(|(reference, input)| reference - input));
            }
            self.inputs.extend_from_slice(row);
            self.sums.rows += 1;
            if self.sums.rows.is_multiple_of(BLOCK) {
                self.flush();
            }
        }
    }

    /// The statistics of all added rows.
    pub fn finish(mut self) -> Hessian {
        self.flush();
        let columns = self.sums.columns;
        for row in 0..columns {
            let (above, below) = self.sums.xx.split_at_mut((row + 1) * columns);
            for (column, below) in (row + 1..columns).zip(below.chunks_exact_mut(columns)) {
                below[row] = above[row * columns + column];
            }
        }
        self.sums
    }

    /// Multiplies the rows that wait and adds the products. Only tiles on and above the diagonal of `xx` are computed.
    fn flush(&mut self) {
        let columns = self.sums.columns;
        let order: Vec<usize> = (0..columns).collect();
        let inputs = pack_columns(self.inputs.chunks_exact(columns), &order);
        add_products(&mut self.sums.xx, columns, &inputs, &inputs, |panel| panel);
        if let Some(dx) = &mut self.sums.dx {
            let deviations = pack_columns(self.deviations.chunks_exact(columns), &order);
            add_products(dx, columns, &deviations, &inputs, |_| 0);
        }
        self.inputs.clear();
        self.deviations.clear();
    }
}

/// Adds the products of all panels of `left` with those of `right` from `first(panel of left)` on.
fn add_products(sums: &mut [f32], columns: usize, left: &[Vec<PanelRow>], right: &[Vec<PanelRow>], first: impl Fn(usize) -> usize + Sync) {
    sums.par_chunks_mut(WIDTH * columns).enumerate().for_each(|(i, sums)| {
        for (j, right) in right.iter().enumerate().skip(first(i)) {
            let mut tile = ZERO_TILE;
            multiply_add(&left[i], right, &mut tile);
            for (sums, products) in sums.chunks_exact_mut(columns).zip(&tile) {
                sums[j * WIDTH..].iter_mut().zip(products).for_each(|(sum, &product)| *sum += product as f32);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::testing::{Random, with_threads};

    fn added(pieces: &[usize], columns: usize, with_reference: bool) -> Hessian {
        let mut random = Random::new(7);
        let rows: usize = pieces.iter().sum();
        let (x, r) = (random.values(rows * columns), random.values(rows * columns));
        let mut builder = HessianBuilder::new(columns, with_reference);
        let mut at = 0;
        for piece in pieces {
            let part = |values: &[f32]| values[at * columns..][..piece * columns].to_vec();
            let (x, r) = (part(&x), part(&r));
            builder.add(Matrix { columns, values: &x }, with_reference.then_some(Matrix { columns, values: &r }));
            at += piece;
        }
        builder.finish()
    }

    #[test]
    fn moments_are_sums_over_rows() {
        let (rows, columns) = (611, 37);
        let hessian = added(&[rows], columns, true);
        let mut random = Random::new(7);
        let (x, r) = (random.values(rows * columns), random.values(rows * columns));
        assert_eq!((hessian.rows, hessian.diagonal().len()), (rows, columns));
        let dx = hessian.dx.as_ref().unwrap();
        for i in 0..columns {
            for j in 0..columns {
                let at = |values: &[f32], row: usize, column: usize| f64::from(values[row * columns + column]);
                let xx: f64 = (0..rows).map(|row| at(&x, row, i) * at(&x, row, j)).sum();
                let expected: f64 = (0..rows).map(|row| (at(&r, row, i) - at(&x, row, i)) * at(&x, row, j)).sum();
                assert!((f64::from(hessian.xx[i * columns + j]) - xx).abs() < 1e-4 * rows as f64);
                assert!((f64::from(dx[i * columns + j]) - expected).abs() < 1e-4 * rows as f64);
                assert_eq!(hessian.xx[i * columns + j], hessian.xx[j * columns + i]);
            }
        }
    }

    #[test]
    fn moments_depend_neither_on_calls_nor_on_threads() {
        let whole = with_threads(1, || added(&[700], 50, true));
        for threads in 2..4 {
            assert!(whole == with_threads(threads, || added(&[1, 255, 300, 0, 144], 50, true)));
        }
        assert_eq!(whole.xx, added(&[700], 50, false).xx);
    }

    #[test]
    fn scaled_columns_have_the_moments_of_scaled_inputs() {
        let mut hessian = added(&[64], 5, true);
        let (xx, dx) = (hessian.xx.clone(), hessian.dx.clone().unwrap());
        hessian.scale_columns(&[1.0, 2.0, 4.0, 0.5, 1.0]);
        assert_eq!([hessian.xx[7], hessian.xx[11]], [xx[7] * 8.0, xx[11] * 8.0]);
        assert_eq!(hessian.dx.unwrap()[13], dx[13] * 2.0);
    }
}
