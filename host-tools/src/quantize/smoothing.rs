//! Smoothing factors: one per input column, they move quantization difficulty from activations to weights (SmoothQuant, Xiao et al. 2022,
//! section 4). The migration strength is searched for every matrix, as AWQ does (Lin et al. 2024, section 3.2).
//!
//! Activations are divided by `s` and weights multiplied by it, which changes no product. `s = x^a / w^b`, where `x` and `w` are the
//! magnitudes of the column on both sides. SmoothQuant alpha is the case `a = alpha`, `b = 1 - alpha`; here both exponents are searched for
//! the least expected error of the product.

use multiversion::multiversion;
use rayon::prelude::*;

use super::error::ACTIVATION_LIMIT_8;
use super::format::Grid;
use super::matrix::Matrix;
use super::rounding::{NEGLIGIBLE, absmax};

/// Candidate exponents of both sides, in eighths.
const EIGHTHS: std::ops::RangeInclusive<u8> = 0..=8;
/// Sampled rows of activations that the search evaluates.
const INPUT_ROWS: usize = 256;
/// Sampled rows of weights that the search evaluates.
const WEIGHT_ROWS: usize = 2048;
/// Bound of the factors and of their inverses.
const RANGE: f32 = 1e4;

/// What the search minimizes.
#[derive(Clone, Copy, Debug)]
pub struct SmoothingOptions {
    /// The grid of the weights.
    pub grid: Grid,
    /// Largest integer of a quantized activation: 127, or 2047 for 12 bits.
    pub activation_limit: f32,
    /// Whether each row of inputs is divided by its norm, so that the error relative to the row counts and a few rows of huge values do not
    /// decide.
    pub relative_rows: bool,
}

impl SmoothingOptions {
    /// The search for 8-bit activations, rows as they are.
    pub fn new(grid: Grid) -> Self {
        SmoothingOptions { grid, activation_limit: ACTIVATION_LIMIT_8, relative_rows: false }
    }
}

/// Magnitudes of a column on both sides and the weights of its errors.
struct Column {
    /// Absmax of the activations, and their root mean square.
    inputs: [f32; 2],
    /// Absmax of the weights.
    weight: f32,
    /// Sum of squares of the weights: the factor of an activation's squared error.
    weight_square: f32,
    /// Sum of squares of the activations: the factor of a weight's squared error.
    input_square: f32,
}

/// Searches the factors that the columns of `weights` are multiplied by and those of `inputs` `(samples, columns)` divided by.
pub fn factors(inputs: Matrix, weights: Matrix, options: &SmoothingOptions) -> Vec<f32> {
    let relative: Vec<f32>;
    let inputs = if options.relative_rows {
        relative = inputs.rows().flat_map(unit_row).collect();
        Matrix { values: &relative, ..inputs }
    } else {
        inputs
    };
    let search = Search {
        columns: columns(inputs, weights),
        inputs: Sample::new(inputs, INPUT_ROWS),
        weights: Sample::new(weights, WEIGHT_ROWS),
        grid: options.grid,
        activation_limit: options.activation_limit,
    };
    let candidates: Vec<(usize, u8, u8)> = (0..2).flat_map(|size| EIGHTHS.flat_map(move |a| EIGHTHS.map(move |b| (size, a, b)))).collect();
    let evaluated = candidates.into_par_iter().map(|(size, a, b)| {
        let factors: Vec<f32> = search.columns.iter().map(|column| factor(column.inputs[size], column.weight, a, b)).collect();
        (search.expected_error(&factors), factors)
    });
    let evaluated: Vec<(f32, Vec<f32>)> = evaluated.collect();
    evaluated.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).map_or_else(Vec::new, |(_, factors)| factors)
}

/// A row divided by its norm; zeros for a negligible row.
fn unit_row(row: &[f32]) -> impl Iterator<Item = f32> {
    let largest = absmax(row);
    let unit = if largest >= NEGLIGIBLE { 1.0 / largest } else { 0.0 };
    let square: f32 = row.iter().map(|x| (x * unit) * (x * unit)).sum();
    let inverse = if square > 0.0 { 1.0 / square.sqrt() } else { 0.0 };
    row.iter().map(move |x| (x * unit) * inverse)
}

fn columns(inputs: Matrix, weights: Matrix) -> Vec<Column> {
    let empty = || Column { inputs: [0.0; 2], weight: 0.0, weight_square: 0.0, input_square: 0.0 };
    let mut columns: Vec<Column> = (0..weights.columns).map(|_| empty()).collect();
    for row in inputs.rows() {
        for (column, x) in columns.iter_mut().zip(row) {
            column.inputs[0] = x.abs().max(column.inputs[0]);
            column.input_square += x * x;
        }
    }
    for row in weights.rows() {
        for (column, w) in columns.iter_mut().zip(row) {
            column.weight = w.abs().max(column.weight);
            column.weight_square += w * w;
        }
    }
    let rows = inputs.rows().len() as f32;
    columns.iter_mut().for_each(|column| column.inputs[1] = (column.input_square / rows).sqrt());
    columns
}

/// `x^a / w^b` clamped to the range of factors, exponents in eighths; 1 if either magnitude is negligible.
fn factor(x: f32, w: f32, a: u8, b: u8) -> f32 {
    const SMALLEST: f32 = 1e-20;
    if x < SMALLEST || w < SMALLEST {
        return 1.0;
    }
    let eighths = |count: u8| f32::from(count) / 8.0;
    // From libm: the result must not depend on the machine.
    (libm::powf(x, eighths(a)) / libm::powf(w, eighths(b))).clamp(1.0 / RANGE, RANGE)
}

/// Rows at equal distances that represent a matrix.
struct Sample<'a> {
    rows: Vec<&'a [f32]>,
    /// Rows of the matrix for each of the sample.
    weight: f32,
}

impl<'a> Sample<'a> {
    fn new(matrix: Matrix<'a>, limit: usize) -> Self {
        let count = matrix.rows().len();
        let rows: Vec<&[f32]> = matrix.rows().step_by((count / limit).max(1)).collect();
        let weight = count as f32 / rows.len().max(1) as f32;
        Sample { rows, weight }
    }
}

/// What all candidates share.
struct Search<'a> {
    columns: Vec<Column>,
    inputs: Sample<'a>,
    weights: Sample<'a>,
    grid: Grid,
    activation_limit: f32,
}

impl Search<'_> {
    /// Expected squared error of all products, if rounding errors are independent and uniform: a twelfth of the squared step each, and for an
    /// activation at most its own square.
    fn expected_error(&self, factors: &[f32]) -> f32 {
        let inverses: Vec<f32> = factors.iter().map(|factor| 1.0 / factor).collect();
        let counts: Vec<f32> = self.columns.iter().zip(factors).map(|(column, factor)| column.weight_square * factor * factor).collect();
        let inputs = input_error(&self.inputs.rows, &inverses, &counts, self.activation_limit);
        let counts = self.columns.iter().zip(&inverses).map(|(column, inverse)| column.input_square * inverse * inverse);
        let counts: Vec<f32> = counts.collect::<Vec<f32>>().chunks(self.grid.group).map(|group| group.iter().sum()).collect();
        let weights = weight_error(&self.weights.rows, factors, &counts, self.grid);
        inputs * self.inputs.weight + weights * self.weights.weight
    }
}

/// Expected error from rounding rows of activations.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
fn input_error(rows: &[&[f32]], inverses: &[f32], counts: &[f32], limit: f32) -> f32 {
    let mut scaled = vec![0.0; inverses.len()];
    let mut error = 0.0;
    for row in rows {
        scale_into(&mut scaled, row, inverses);
        let step = absmax(&scaled) / limit;
        let uniform = step * step / 12.0;
        error += capped_sum(&scaled, counts, uniform);
    }
    error
}

/// The sum of `min(x^2, cap) * count`.
#[inline(always)]
fn capped_sum(values: &[f32], counts: &[f32], cap: f32) -> f32 {
    let capped = |x: f32| if x * x < cap { x * x } else { cap };
    let mut lanes = [0.0; 16];
    let ((blocks, tail), (block_counts, tail_counts)) = (values.as_chunks::<16>(), counts.as_chunks::<16>());
    for (block, counts) in blocks.iter().zip(block_counts) {
        for lane in 0..16 {
            lanes[lane] += capped(block[lane]) * counts[lane];
        }
    }
    lanes.iter().sum::<f32>() + tail.iter().zip(tail_counts).map(|(&x, count)| capped(x) * count).sum::<f32>()
}

/// Expected error from rounding rows of weights; `counts` has one value per group.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
fn weight_error(rows: &[&[f32]], factors: &[f32], counts: &[f32], grid: Grid) -> f32 {
    let mut scaled = vec![0.0; factors.len()];
    let mut error = 0.0;
    for row in rows {
        scale_into(&mut scaled, row, factors);
        for (group, count) in scaled.chunks(grid.group).zip(counts) {
            let step = absmax(group) / grid.limit;
            error += step * step / 12.0 * count;
        }
    }
    error
}

#[inline(always)]
fn scale_into(out: &mut [f32], row: &[f32], factors: &[f32]) {
    out.iter_mut().zip(row).zip(factors).for_each(|((out, value), factor)| *out = value * factor);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::testing::{Random, with_threads};

    /// One input column is a hundred times larger: most of its magnitude must move into the weights.
    #[test]
    fn an_outlier_column_moves_into_the_weights() {
        let inputs: Vec<f32> = (0..64u32).flat_map(|t| [0, 1, 2, 3].map(|k| ((t * 7 + k * 5) % 11) as f32 - 5.0)).collect();
        let inputs: Vec<f32> = inputs.iter().enumerate().map(|(at, x)| if at % 4 == 2 { x * 100.0 } else { *x }).collect();
        let weights: Vec<f32> = (0..32u32).map(|at| ((at * 13) % 17) as f32 / 8.0 - 1.0).collect();
        let (inputs, weights) = (Matrix { columns: 4, values: &inputs }, Matrix { columns: 4, values: &weights });
        let factors = factors(inputs, weights, &SmoothingOptions::new(Grid { group: 4, limit: 127.0 }));
        assert!(factors[2] > 4.0 * factors[0], "{factors:?}");
    }

    #[test]
    fn negligible_columns_keep_their_scale() {
        assert_eq!([factor(0.0, 3.0, 4, 4), factor(3.0, 0.0, 4, 4)], [1.0, 1.0]);
        assert_eq!([factor(1e30, 1e-10, 8, 8), factor(1e-15, 1e15, 8, 8)], [1e4, 1e-4]);
    }

    /// Inputs with large columns, in which a few rows are huge and unlike the others, and weights.
    fn calibration() -> (Vec<f32>, Vec<f32>) {
        let mut random = Random::new(6);
        let size = |row: usize, column: usize| match (row % 100, column) {
            (7, 5) => 300.0,
            (_, 11) => 8.0,
            _ => 0.3,
        };
        let inputs = (0..300 * 40).map(|at| random.value() * size(at / 40, at % 40)).collect();
        (inputs, random.values(50 * 40))
    }

    fn searched(change: impl Fn(&mut SmoothingOptions)) -> Vec<f32> {
        let (inputs, weights) = calibration();
        let mut options = SmoothingOptions::new(Grid { group: 40, limit: 127.0 });
        change(&mut options);
        factors(Matrix { columns: 40, values: &inputs }, Matrix { columns: 40, values: &weights }, &options)
    }

    #[test]
    fn twelve_bit_activations_leave_the_weights_easier() {
        let spread = |factors: Vec<f32>| absmax(&factors) / factors.iter().fold(f32::INFINITY, |least, factor| least.min(*factor));
        let (eight, twelve) = (searched(|_| ()), searched(|options| options.activation_limit = 2047.0));
        assert!(spread(twelve) < spread(eight));
    }

    #[test]
    fn relative_rows_keep_few_huge_rows_from_deciding() {
        let ratio = |factors: Vec<f32>| factors[5] / factors[11];
        let (plain, relative) = (searched(|_| ()), searched(|options| options.relative_rows = true));
        assert!(ratio(relative) < 0.5 * ratio(plain));
    }

    #[test]
    fn factors_do_not_depend_on_threads() {
        let one = with_threads(1, || searched(|options| options.relative_rows = true));
        for threads in 2..4 {
            assert_eq!(with_threads(threads, || searched(|options| options.relative_rows = true)), one);
        }
    }
}
