//! GPTQ (Frantar et al. 2023, arXiv 2210.17323): quantizes the columns of a matrix one after another and compensates the error of each in
//! those that follow.
//!
//! # Objective
//!
//! `W` `(outputs, columns)` is the matrix, `x_t` its input at token `t` in the quantized model, `r_t` the same input in the reference model.
//! The quantized matrix `Q` minimizes, with a ridge `m`,
//!
//! ```text
//! sum_t |Q x_t - W (x_t + a (r_t - x_t))|^2 + m |Q - W|^2
//! ```
//!
//! so its outputs approach a target between the unquantized product of the inputs that it sees (`a` = 0) and the reference model's product (`a` = 1).
//! With `H = sum_t x_t x_t^T`, `D = sum_t (r_t - x_t) x_t^T` and `A = H + m I`, the terms that contain `Q` are
//!
//! ```text
//! tr(Q A Q^T) - 2 tr(Q (W A + a W D)^T) = tr((Q - W') A (Q - W')^T) + constant,    W' = W + a W D A^-1
//! ```
//!
//! The constant does not depend on `Q`: what remains is to round `W'` under `A`, one row at a time.
//!
//! # Rounding
//!
//! Let `A = R R^T` with `R` upper triangular in the order in which columns are rounded, and `E = W' - Q`. Then `tr(E A E^T) = |E R|^2`, and column
//! `j` of `E R` is `E_j R_jj + sum_{i<j} E_i R_ij`. Columns are rounded in ascending order, each to the value nearest to
//! `W'_j + sum_{i<j} E_i R_ij / R_jj`, which minimizes this column's term. It is the recursion of GPTQ, whose factor of `A^-1` is `R^-1`
//! (Chee et al. 2023, arXiv 2307.13304, theorem 6), without an inverse.
//!
//! Columns are rounded in descending order of `A`'s diagonal; columns without inputs meet only the ridge and are rounded plainly. Scales are
//! found beforehand, on `W'`. `R` is found as the factor `L` of `A` in reverse order. Sums over whole panels of earlier columns are computed at
//! once.

use rayon::prelude::*;

use super::cholesky::Cholesky;
use super::format::Format;
use super::hessian::Hessian;
use super::matrix::Matrix;
use super::panels::{PanelRow, WIDTH, ZERO_TILE, multiply_add, pack_columns, pack_rows};
use super::quantized::{Quantized, Values};
use super::rounding::round_to_nearest;
use super::{int4, int8};

/// Factor of the damping after each failed factorization, and the number of attempts.
const MORE_DAMPING: f32 = 10.0;
const ATTEMPTS: usize = 5;

/// A Hessian prepared for rounding. Positions run against the order of rounding: the last one is rounded first.
struct Solver {
    /// The column at each position.
    order: Vec<usize>,
    /// The factor of the damped Hessian, by position.
    factor: Cholesky,
    /// Weights of the columns in the search for scales, from the Hessian's diagonal.
    weights: int4::ColumnWeights,
    /// `a D` in panels of columns by position; empty without deviation.
    shift: Vec<Vec<PanelRow>>,
    asym: f32,
}

/// Quantizes `matrix` to an integer format. `None` if the Hessian does not fit the matrix, or is not finite or zero.
pub(super) fn quantize(matrix: Matrix, format: Format, hessian: &Hessian, asym: f32, damping: f32) -> Option<Quantized> {
    let columns = matrix.columns;
    if hessian.columns != columns || hessian.xx.len() != columns * columns {
        return None;
    }
    let solver = Solver::new(hessian, asym, damping)?;
    let mut integers = vec![0; matrix.rows().len() * columns];
    let blocks = integers.par_chunks_mut(WIDTH * columns).zip(matrix.values.par_chunks(WIDTH * columns));
    let scales: Vec<Vec<int4::Scales>> = blocks.map(|(out, values)| solver.round(Matrix { columns, values }, format, out)).collect();
    let scales = || scales.iter().flatten();
    let row_scales = scales().map(|scales| scales.row).collect();
    let (values, group_scales) = match format {
        Format::Int4 { .. } => (Values::Int4(integers), scales().flat_map(|scales| &scales.groups).copied().collect()),
        _ => (Values::Int8(integers), Vec::new()),
    };
    Some(Quantized { columns, values, row_scales, group_scales, group: format.group_columns(columns) })
}

impl Solver {
    fn new(hessian: &Hessian, asym: f32, damping: f32) -> Option<Self> {
        let columns = hessian.columns;
        let diagonal = hessian.diagonal();
        let mean = diagonal.iter().map(|&moment| f64::from(moment)).sum::<f64>() as f32 / columns as f32;
        if !(mean.is_normal() && diagonal.iter().all(|&moment| moment >= 0.0)) {
            return None;
        }
        let mut order: Vec<usize> = (0..columns).collect();
        order.sort_by(|&a, &b| diagonal[a].total_cmp(&diagonal[b]).then(b.cmp(&a)));
        let mut ridge = damping.max(0.0) * mean;
        for _ in 0..ATTEMPTS {
            let element = |row: usize, column: usize| {
                let (row, column) = (order[row], order[column]);
                hessian.xx[row * columns + column] + if row == column { ridge } else { 0.0 }
            };
            if let Some(factor) = Cholesky::new(columns, element) {
                let weights = int4::ColumnWeights::new(columns, Some(&diagonal));
                let dx = hessian.dx.as_ref().filter(|_| asym != 0.0);
                let rows = |dx: &Vec<f32>| pack_columns(order.iter().map(|&row| &dx[row * columns..][..columns]), &order);
                let shift = dx.map_or_else(Vec::new, rows);
                return Some(Solver { order, factor, weights, shift, asym });
            }
            ridge = MORE_DAMPING * ridge.max(1e-4 * mean);
        }
        None
    }

    /// Rounds up to 16 rows into `out` and returns their scales; those of int8 have one group of scale 1.
    fn round(&self, rows: Matrix, format: Format, out: &mut [i8]) -> Vec<int4::Scales> {
        let columns = rows.columns;
        let mut target = pack_rows(&rows.rows().collect::<Vec<_>>(), &self.order);
        self.shift_target(&mut target);
        let group = format.group_columns(columns);
        let scales: Vec<int4::Scales> = (0..rows.rows().len()).map(|row| self.scales(&target, row, format, group)).collect();
        let grid = BlockGrid::new(&scales, format);
        let mut errors = vec![[0.0; WIDTH]; target.len()];
        for panel in (0..self.factor.panels()).rev() {
            let (own, below) = self.factor.columns(panel).split_at(WIDTH);
            let (errors, later) = errors[panel * WIDTH..].split_at_mut(WIDTH);
            let mut sums = ZERO_TILE;
            multiply_add(later, below, &mut sums);
            for (index, &column) in self.order.iter().enumerate().skip(panel * WIDTH).take(WIDTH).rev() {
                let at = index - panel * WIDTH;
                let mut compensation: PanelRow = std::array::from_fn(|row| sums[row][at] as f32);
                for (errors, factors) in errors.iter().zip(own).skip(at + 1) {
                    compensation.iter_mut().zip(errors).for_each(|(sum, error)| *sum += error * factors[at]);
                }
                let pivot = 1.0 / own[at][at];
                let values = std::array::from_fn(|row| target[index][row] + compensation[row] * pivot);
                let (integers, rounded) = grid.round(&values, column / group);
                errors[at] = std::array::from_fn(|row| target[index][row] - rounded[row]);
                out.iter_mut().skip(column).step_by(columns).zip(integers).for_each(|(out, integer)| *out = integer as i8);
            }
        }
        scales
    }

    /// Adds `a W D A^-1` to the rows `W`, `(position, row)`.
    fn shift_target(&self, target: &mut [PanelRow]) {
        if self.shift.is_empty() {
            return;
        }
        let mut shift = Vec::with_capacity(target.len());
        for panel in &self.shift {
            let mut products = ZERO_TILE;
            multiply_add(target, panel, &mut products);
            let columns = (0..WIDTH).map(|column| std::array::from_fn(|row| products[row][column] as f32 * self.asym));
            shift.extend(columns);
        }
        self.factor.solve(&mut shift);
        for (target, shift) in target.iter_mut().zip(&shift) {
            target.iter_mut().zip(shift).for_each(|(target, shift)| *target += shift);
        }
    }

    /// The scales of one row of the target.
    fn scales(&self, target: &[PanelRow], row: usize, format: Format, group: usize) -> int4::Scales {
        let mut values = vec![0.0; self.order.len()];
        self.order.iter().zip(target).for_each(|(&column, target)| values[column] = target[row]);
        match format {
            Format::Int4 { .. } => int4::search_weighted(&values, group, &self.weights),
            _ => int4::Scales { row: int8::scale(&values), groups: vec![1] },
        }
    }
}

/// The grids of a block of rows.
struct BlockGrid {
    lowest: f32,
    highest: f32,
    /// Factor from values to integers, by group and row.
    inverses: Vec<PanelRow>,
    /// Group scales, by group and row.
    groups: Vec<PanelRow>,
    /// Row scales.
    rows: PanelRow,
}

impl BlockGrid {
    fn new(scales: &[int4::Scales], format: Format) -> Self {
        let (lowest, highest) = if let Format::Int4 { .. } = format { (int4::LOWEST, int4::HIGHEST) } else { (-int8::LIMIT, int8::LIMIT) };
        let by_row = |value: &dyn Fn(&int4::Scales) -> f32| std::array::from_fn(|row| scales.get(row).map_or(0.0, value));
        let groups = 0..scales.first().map_or(0, |scales| scales.groups.len());
        BlockGrid {
            lowest,
            highest,
            inverses: groups.clone().map(|group| by_row(&|scales| int4::inverse(scales.groups[group], scales.row))).collect(),
            groups: groups.map(|group| by_row(&|scales| f32::from(scales.groups[group]))).collect(),
            rows: by_row(&|scales| scales.row),
        }
    }

    /// Rounds one column's values to integers of a group's grid; returns them and what they stand for.
    fn round(&self, values: &PanelRow, group: usize) -> (PanelRow, PanelRow) {
        let (inverses, groups) = (&self.inverses[group], &self.groups[group]);
        let integers: PanelRow = std::array::from_fn(|row| round_to_nearest(values[row] * inverses[row], self.lowest, self.highest));
        (integers, std::array::from_fn(|row| integers[row] * groups[row] * self.rows[row]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::testing::{Random, with_threads};
    use crate::quantize::{HessianBuilder, Rounding, quantize};

    const INT4: Format = Format::Int4 { group: 32 };

    /// Inputs whose columns are mixtures of a few signals, of different sizes, and a noisy copy of them.
    fn streams(rows: usize, columns: usize) -> (Vec<f32>, Vec<f32>) {
        let mut random = Random::new(5);
        let mixing = random.values(6 * columns);
        let sizes: Vec<f32> = (0..columns).map(|_| 0.2 + random.value().abs() * 2.0).collect();
        let mut inputs = Vec::new();
        for _ in 0..rows {
            let signals = random.values(6);
            for column in 0..columns {
                let mixed: f32 = signals.iter().enumerate().map(|(at, signal)| signal * mixing[at * columns + column]).sum();
                inputs.push((mixed + 0.3 * random.value()) * sizes[column]);
            }
        }
        let reference = inputs.iter().map(|x| x * 1.05 + 0.1 * random.value()).collect();
        (inputs, reference)
    }

    fn hessian(inputs: &[f32], reference: Option<&[f32]>, columns: usize) -> Hessian {
        let mut builder = HessianBuilder::new(columns, reference.is_some());
        builder.add(Matrix { columns, values: inputs }, reference.map(|values| Matrix { columns, values }));
        builder.finish()
    }

    /// The sum of squares of `Q x - W y` over the rows `x` of `inputs` and `y` of `targets`.
    fn output_error(inputs: &[f32], targets: &[f32], quantized: &Quantized, weights: &[f32]) -> f64 {
        let (columns, rounded) = (quantized.columns, quantized.dequantize());
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let tokens = inputs.chunks(columns).zip(targets.chunks(columns));
        let errors =
            tokens.flat_map(|(x, y)| rounded.chunks(columns).zip(weights.chunks(columns)).map(move |(q, w)| dot(q, x) - dot(w, y)));
        errors.map(|error| error * error).sum()
    }

    #[test]
    fn gptq_beats_rounding_to_nearest_on_correlated_inputs() {
        for (columns, rows) in [(64, 40), (172, 19), (33, 16)] {
            let (x, _) = streams(600, columns);
            let weights = Random::new(11).values(rows * columns);
            let matrix = Matrix { columns, values: &weights };
            let hessian = hessian(&x, None, columns);
            for format in [Format::Int8, INT4, Format::Int4 { group: 0 }] {
                let nearest = output_error(&x, &x, &quantize(matrix, format, Rounding::NEAREST), &weights);
                let gptq = quantize(matrix, format, Rounding::Gptq { hessian: &hessian, asym: 0.5, damping: 0.01 });
                assert_eq!((gptq.rows(), gptq.row_scales.len()), (rows, rows));
                let gptq = output_error(&x, &x, &gptq, &weights);
                assert!(gptq < 0.6 * nearest, "{format} {columns}: {gptq} {nearest}");
            }
        }
    }

    #[test]
    fn targets_approach_the_reference_stream() {
        let (columns, rows) = (48, 20);
        let (x, reference) = streams(800, columns);
        let weights = Random::new(11).values(rows * columns);
        let hessian = hessian(&x, Some(&reference), columns);
        let error = |asym: f32, target: f32| {
            let rounding = Rounding::Gptq { hessian: &hessian, asym, damping: 0.001 };
            let between: Vec<f32> = x.iter().zip(&reference).map(|(x, r)| x + target * (r - x)).collect();
            output_error(&x, &between, &quantize(Matrix { columns, values: &weights }, Format::Int8, rounding), &weights)
        };
        for target in [0.0, 0.5, 1.0] {
            for other in [0.0, 0.5, 1.0] {
                assert!(other == target || error(target, target) < error(other, target), "{target} {other}");
            }
        }
    }

    /// The recursion, column by column in f64, with the inverse of the Hessian as in the paper.
    #[test]
    fn rounding_follows_the_recursion_of_the_paper() {
        let (columns, rows) = (21, 3);
        let (x, _) = streams(200, columns);
        let weights = Random::new(3).values(rows * columns);
        let hessian = hessian(&x, None, columns);
        let quantized =
            quantize(Matrix { columns, values: &weights }, Format::Int8, Rounding::Gptq { hessian: &hessian, asym: 0.0, damping: 0.01 });
        let mean = hessian.diagonal().iter().map(|&x| f64::from(x)).sum::<f64>() / columns as f64;
        let mut order: Vec<usize> = (0..columns).collect();
        order.sort_by(|&a, &b| hessian.diagonal()[b].total_cmp(&hessian.diagonal()[a]));
        let mut expected = weights.iter().map(|&w| f64::from(w)).collect::<Vec<f64>>();
        for at in 0..columns {
            // The inverse over the columns that remain.
            let rest = &order[at..];
            let element = |i: usize, j: usize| f64::from(hessian.xx[i * columns + j]) + if i == j { 0.01 * mean } else { 0.0 };
            let inverse = inverse(rest.len(), |i, j| element(rest[i], rest[j]));
            for row in 0..rows {
                let scale = f64::from(quantized.row_scales[row]);
                let value = expected[row * columns + order[at]];
                let rounded = (value / scale).round_ties_even().clamp(-127.0, 127.0) * scale;
                for (k, &column) in rest.iter().enumerate() {
                    expected[row * columns + column] -= (value - rounded) / inverse[0] * inverse[k];
                }
                expected[row * columns + order[at]] = rounded;
            }
        }
        for (quantized, expected) in quantized.dequantize().iter().zip(expected) {
            assert!((f64::from(*quantized) - expected).abs() < 1e-5, "{quantized} {expected}");
        }
    }

    /// Gauss-Jordan elimination.
    fn inverse(size: usize, element: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        let mut rows: Vec<Vec<f64>> = (0..size)
            .map(|i| (0..2 * size).map(|j| if j < size { element(i, j) } else { f64::from(u8::from(j - size == i)) }).collect())
            .collect();
        for pivot in 0..size {
            let scaled: Vec<f64> = rows[pivot].iter().map(|value| value / rows[pivot][pivot]).collect();
            for row in &mut rows {
                let factor = row[pivot];
                row.iter_mut().zip(&scaled).for_each(|(value, scaled)| *value -= factor * scaled);
            }
            rows[pivot] = scaled;
        }
        rows.into_iter().flat_map(|row| row[size..].to_vec()).collect()
    }

    #[test]
    fn results_do_not_depend_on_threads() {
        let (columns, rows) = (172, 50);
        let (x, reference) = streams(300, columns);
        let weights = Random::new(2).values(rows * columns);
        let run = || {
            let hessian = hessian(&x, Some(&reference), columns);
            quantize(Matrix { columns, values: &weights }, INT4, Rounding::Gptq { hessian: &hessian, asym: 0.5, damping: 0.01 })
        };
        let one = with_threads(1, run);
        assert!(one == with_threads(2, run) && one == with_threads(3, run));
    }

    #[test]
    fn unusual_hessians_are_handled() {
        let (columns, rows) = (40, 5);
        let weights = Random::new(2).values(rows * columns);
        let matrix = Matrix { columns, values: &weights };
        let run = |x: &[f32], damping: f32| {
            let hessian = hessian(x, None, columns);
            quantize(matrix, INT4, Rounding::Gptq { hessian: &hessian, asym: 0.5, damping })
        };
        let nearest = quantize(matrix, INT4, Rounding::NEAREST);
        // No inputs at all, or none that are finite.
        assert!(run(&[], 0.01) == nearest && run(&vec![0.0; 80], 0.01) == nearest && run(&vec![f32::NAN; 80], 0.01) == nearest);
        // One row has rank 1: it needs a ridge although none was asked for; dead columns are rounded plainly.
        let mut row = vec![0.0; columns];
        row[..8].copy_from_slice(&[1e3, 2.0, -1.0, 4.0, 1.0, 1.0, 1.0, 1e-3]);
        for damping in [0.0, 0.01, f32::NAN] {
            let quantized = run(&row, damping);
            let error = quantized.relative_error(matrix);
            assert!(error < 0.2, "{damping}: {error}");
            assert!(output_error(&row, &row, &quantized, &weights) < output_error(&row, &row, &nearest, &weights));
        }
    }
}
