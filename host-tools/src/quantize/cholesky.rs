//! Cholesky factors of large symmetric matrices, in panels of 16 rows, and the solution of systems with them.

use rayon::prelude::*;

use super::panels::{PanelRow, Tile, WIDTH, ZERO_TILE, multiply_add};

/// Smallest share of the diagonal that a pivot may keep; a smaller one is rounding noise.
const SMALLEST_PIVOT: f64 = 1e-7;

/// A lower triangular `L` with `L L^T = A`. Rows and columns up to a multiple of 16 are those of the identity.
pub(super) struct Cholesky {
    /// Panels of 16 rows of `L`, transposed: panel `p` holds `(column, row - 16 p)` for all columns before `16 (p + 1)`.
    rows: Vec<Vec<PanelRow>>,
    /// Panels of 16 columns of `L`: panel `p` holds `(row - 16 p, column - 16 p)` for all rows from `16 p` on.
    columns: Vec<Vec<PanelRow>>,
}

impl Cholesky {
    /// Factors the matrix `A` of this size with the elements `element(row, column)`, column up to row; `None` if it is not positive definite in
    /// the precision of f32.
    pub(super) fn new(size: usize, element: impl Fn(usize, usize) -> f32 + Sync) -> Option<Self> {
        let element = |row: usize, column: usize| {
            if row < size && column < size { f64::from(element(row, column)) } else { f64::from(u8::from(row == column)) }
        };
        let count = size.div_ceil(WIDTH);
        let mut rows: Vec<Vec<PanelRow>> = (0..count).map(|panel| Vec::with_capacity((panel + 1) * WIDTH)).collect();
        for panel in 0..count {
            let (_, rest) = rows.split_at_mut(panel);
            let (diagonal, below) = rest.split_first_mut()?;
            let smallest = |row: usize| SMALLEST_PIVOT * element(panel * WIDTH + row, panel * WIDTH + row);
            let pivots = factor_tile(&remainder(diagonal, diagonal, (panel, panel), &element), smallest)?;
            let left = &diagonal.clone();
            diagonal.extend(transposed(&pivots));
            below.par_iter_mut().enumerate().with_max_len(8).for_each(|(index, below)| {
                let tile = remainder(below, left, (panel + 1 + index, panel), &element);
                below.extend(solved(&tile, &pivots));
            });
        }
        let columns = (0..count).into_par_iter().map(|panel| {
            let tiles = rows[panel..].iter().map(|rows| &rows[panel * WIDTH..(panel + 1) * WIDTH]);
            tiles.flat_map(|tile| (0..WIDTH).map(move |row| std::array::from_fn(|column| tile[column][row]))).collect()
        });
        let columns = columns.collect();
        Some(Cholesky { rows, columns })
    }

    /// Number of panels.
    pub(super) fn panels(&self) -> usize {
        self.rows.len()
    }

    /// The elements of `L` in the panel's columns from the panel's own rows on.
    pub(super) fn columns(&self, panel: usize) -> &[PanelRow] {
        &self.columns[panel]
    }

    /// Solves `z A = g` for 16 rows at once, all of them as panels `(column, row)`; replaces `g` by `z`.
    pub(super) fn solve(&self, g: &mut [PanelRow]) {
        for panel in 0..self.panels() {
            let (before, rest) = g.split_at_mut(panel * WIDTH);
            let (left, own) = self.rows[panel].split_at(panel * WIDTH);
            let mut sums = ZERO_TILE;
            multiply_add(before, left, &mut sums);
            for (column, pivot) in (0..WIDTH).map(|column| (column, own[column][column])) {
                let known = (0..column).map(|k| (k, own[k][column]));
                substitute(rest, column, &sums, known, pivot);
            }
        }
        for panel in (0..self.panels()).rev() {
            let (rest, after) = g[panel * WIDTH..].split_at_mut(WIDTH);
            let (own, below) = self.columns[panel].split_at(WIDTH);
            let mut sums = ZERO_TILE;
            multiply_add(after, below, &mut sums);
            for column in (0..WIDTH).rev() {
                let known = (column + 1..WIDTH).map(|k| (k, own[k][column]));
                substitute(rest, column, &sums, known, own[column][column]);
            }
        }
    }
}

/// Replaces a column of the panel `z` by its solution: minus `sums`, minus the known columns times their factors, divided by the pivot.
fn substitute(z: &mut [PanelRow], column: usize, sums: &Tile, known: impl Iterator<Item = (usize, f32)>, pivot: f32) {
    let mut values: [f64; WIDTH] = std::array::from_fn(|row| f64::from(z[column][row]) - sums[row][column]);
    for (k, factor) in known {
        values.iter_mut().zip(&z[k]).for_each(|(value, &z)| *value -= f64::from(z) * f64::from(factor));
    }
    z[column] = values.map(|value| (value / f64::from(pivot)) as f32);
}

/// The tile of `A` at these panels minus the products of the factor's columns so far, `(row, column)`.
fn remainder(left: &[PanelRow], above: &[PanelRow], (row, column): (usize, usize), element: &impl Fn(usize, usize) -> f64) -> Tile {
    let mut tile = ZERO_TILE;
    multiply_add(left, above, &mut tile);
    for (i, sums) in tile.iter_mut().enumerate() {
        for (j, sum) in sums.iter_mut().enumerate() {
            let (row, column) = (row * WIDTH + i, column * WIDTH + j);
            *sum = element(row.max(column), row.min(column)) - *sum;
        }
    }
    tile
}

/// The Cholesky factor of a tile `(row, column)`, zeros above the diagonal; `None` if the square of a pivot is not above `smallest(row)`.
fn factor_tile(tile: &Tile, smallest: impl Fn(usize) -> f64) -> Option<Tile> {
    let mut factor = ZERO_TILE;
    for row in 0..WIDTH {
        for column in 0..=row {
            let sum: f64 = (0..column).map(|k| factor[row][k] * factor[column][k]).sum();
            let rest = tile[row][column] - sum;
            if column < row {
                factor[row][column] = rest / factor[column][column];
            } else if rest.is_finite() && rest > smallest(row) {
                factor[row][row] = rest.sqrt();
            } else {
                return None;
            }
        }
    }
    Some(factor)
}

/// The rows `x` with `x factor^T = tile`, as panel rows `(column, row)`.
fn solved(tile: &Tile, factor: &Tile) -> [PanelRow; WIDTH] {
    let mut columns = ZERO_TILE;
    for column in 0..WIDTH {
        let mut values: [f64; WIDTH] = std::array::from_fn(|row| tile[row][column]);
        for k in 0..column {
            values.iter_mut().zip(&columns[k]).for_each(|(value, &known)| *value -= known * factor[column][k]);
        }
        columns[column] = values.map(|value| value / factor[column][column]);
    }
    columns.map(|column| column.map(|value| value as f32))
}

/// A tile as panel rows `(column, row)`.
fn transposed(tile: &Tile) -> [PanelRow; WIDTH] {
    std::array::from_fn(|column| std::array::from_fn(|row| tile[row][column] as f32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::testing::Random;

    /// `B B^T + ridge`, where `B` has fewer columns than rows.
    fn matrix(size: usize, ridge: f32) -> Vec<f32> {
        let b = Random::new(size as u64).values(size * (size / 2 + 1));
        let row = |at: usize| &b[at * (size / 2 + 1)..][..size / 2 + 1];
        let dot = |i: usize, j: usize| row(i).iter().zip(row(j)).map(|(x, y)| x * y).sum::<f32>();
        (0..size * size).map(|at| dot(at / size, at % size) + if at / size == at % size { ridge } else { 0.0 }).collect()
    }

    #[test]
    fn solutions_solve_the_system() {
        for size in [1, 15, 16, 17, 40, 130] {
            let a = matrix(size, 0.05);
            let factor = Cholesky::new(size, |row, column| a[row * size + column]).unwrap();
            let mut random = Random::new(9);
            let g: Vec<PanelRow> = (0..size.next_multiple_of(WIDTH)).map(|_| std::array::from_fn(|_| random.value())).collect();
            let mut z = g.clone();
            factor.solve(&mut z);
            for column in 0..size {
                for lane in 0..WIDTH {
                    let product: f64 = (0..size).map(|k| f64::from(z[k][lane]) * f64::from(a[k * size + column])).sum();
                    assert!((product - f64::from(g[column][lane])).abs() < 1e-3, "{size}: {product} {}", g[column][lane]);
                }
            }
        }
    }

    #[test]
    fn matrices_that_are_not_positive_definite_are_refused() {
        for size in [2, 20, 50] {
            let singular = matrix(size, 0.0);
            assert!(size == 2 || Cholesky::new(size, |row, column| singular[row * size + column]).is_none());
            for bad in [-1.0, 0.0, f32::NAN, f32::INFINITY] {
                let element = |row: usize, column: usize| {
                    if row != column {
                        0.0
                    } else if row + 1 == size {
                        bad
                    } else {
                        1.0
                    }
                };
                assert!(Cholesky::new(size, element).is_none(), "{size} {bad}");
            }
        }
    }
}
