//! A factor per input column that shares the difficulty of rounding between activations and weights (SmoothQuant, Xiao et al. 2022,
//! section 4), its strength searched for every matrix as AWQ does (Lin et al. 2024, section 3.2).
//!
//! A column is divided by `s` in the activations and multiplied by it in the weights, which changes no product. `s = x^a / w^b`, where `x`
//! and `w` are the column's size on both sides; the exponents are those of the least expected error of the product.

use rayon::prelude::*;

use super::{Matrix, absmax};

/// Largest integer of a rounded activation.
const ACTIVATION_LIMIT: f32 = 127.0;
/// Exponents that are tried for both sides, in eighths.
const EIGHTHS: std::ops::RangeInclusive<u8> = 0..=8;
/// Rows of inputs that the search looks at.
const ROWS: usize = 256;
/// Factors stay within this and its inverse.
const RANGE: f32 = 1e4;

/// How weights are stored, as far as their rounding error goes.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    /// Columns that share a scale.
    pub group: usize,
    /// The largest integer.
    pub limit: f32,
}

/// A column's size on both sides, and what its errors weigh.
struct Column {
    /// Largest input, and root of the mean square.
    inputs: [f32; 2],
    /// Largest weight.
    weight: f32,
    /// Sum of the squares of the weights, by which an input's error counts.
    weight_square: f32,
    /// Sum of the squares of the inputs, by which a weight's error counts.
    input_square: f32,
}

/// What the columns of `weights` are multiplied with, and those of `inputs` `(samples, columns)` divided by.
pub fn factors(inputs: Matrix, weights: Matrix, grid: Grid) -> Vec<f32> {
    let columns = columns(inputs, weights);
    let stride = (inputs.rows().len() / ROWS).max(1);
    let sample: Vec<&[f32]> = inputs.rows().step_by(stride).collect();
    let tries: Vec<(usize, u8, u8)> = (0..2).flat_map(|size| EIGHTHS.flat_map(move |a| EIGHTHS.map(move |b| (size, a, b)))).collect();
    let judged = tries.into_par_iter().map(|(size, a, b)| {
        let factors: Vec<f32> = columns.iter().map(|column| factor(column.inputs[size], column.weight, a, b)).collect();
        (expected_error(&columns, &sample, weights, grid, stride as f32, &factors), factors)
    });
    let judged: Vec<(f32, Vec<f32>)> = judged.collect();
    judged.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).map_or_else(Vec::new, |(_, factors)| factors)
}

fn columns(inputs: Matrix, weights: Matrix) -> Vec<Column> {
    let nothing = || Column { inputs: [0.0; 2], weight: 0.0, weight_square: 0.0, input_square: 0.0 };
    let mut columns: Vec<Column> = (0..weights.columns).map(|_| nothing()).collect();
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

/// `x^a / w^b` within reason, exponents in eighths; 1 where either is next to nothing.
fn factor(x: f32, w: f32, a: u8, b: u8) -> f32 {
    const SMALLEST: f32 = 1e-20;
    if x < SMALLEST || w < SMALLEST {
        return 1.0;
    }
    let eighths = |count: u8| f32::from(count) / 8.0;
    // libm's, because the result must not depend on the machine.
    (libm::powf(x, eighths(a)) / libm::powf(w, eighths(b))).clamp(1.0 / RANGE, RANGE)
}

/// The squared error of all products if roundings were independent and even: a twelfth of a step's square each, but an input's never
/// above its own square.
fn expected_error(columns: &[Column], sample: &[&[f32]], weights: Matrix, grid: Grid, stride: f32, factors: &[f32]) -> f32 {
    let mut error = 0.0;
    let inverses: Vec<f32> = factors.iter().map(|factor| 1.0 / factor).collect();
    let counts: Vec<f32> = columns.iter().zip(factors).map(|(column, factor)| column.weight_square * factor * factor).collect();
    let mut scaled = vec![0.0; factors.len()];
    for row in sample {
        scale_into(&mut scaled, row, &inverses);
        let step = absmax(&scaled) / ACTIVATION_LIMIT;
        let even = step * step / 12.0;
        error += stride * scaled.iter().zip(&counts).map(|(x, count)| (x * x).min(even) * count).sum::<f32>();
    }
    let weigh = |(column, inverse): (&Column, &f32)| column.input_square * inverse * inverse;
    let counts: Vec<f32> = columns.iter().zip(&inverses).map(weigh).collect();
    let counts: Vec<f32> = counts.chunks(grid.group).map(|group| group.iter().sum()).collect();
    for row in weights.rows() {
        scale_into(&mut scaled, row, factors);
        for (group, count) in scaled.chunks(grid.group).zip(&counts) {
            let step = absmax(group) / grid.limit;
            error += step * step / 12.0 * count;
        }
    }
    error
}

fn scale_into(out: &mut [f32], row: &[f32], factors: &[f32]) {
    out.iter_mut().zip(row).zip(factors).for_each(|((out, value), factor)| *out = value * factor);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One input column is a hundred times louder: most of its loudness must move into the weights.
    #[test]
    fn a_loud_column_is_shared() {
        let inputs: Vec<f32> = (0..64u32).flat_map(|t| [0, 1, 2, 3].map(|k| ((t * 7 + k * 5) % 11) as f32 - 5.0)).collect();
        let inputs: Vec<f32> = inputs.iter().enumerate().map(|(at, x)| if at % 4 == 2 { x * 100.0 } else { *x }).collect();
        let weights: Vec<f32> = (0..32u32).map(|at| ((at * 13) % 17) as f32 / 8.0 - 1.0).collect();
        let (inputs, weights) = (Matrix { columns: 4, values: &inputs }, Matrix { columns: 4, values: &weights });
        let factors = factors(inputs, weights, Grid { group: 4, limit: 127.0 });
        assert!(factors[2] > 4.0 * factors[0], "{factors:?}");
    }

    #[test]
    fn columns_of_nothing_stay() {
        assert_eq!([factor(0.0, 3.0, 4, 4), factor(3.0, 0.0, 4, 4)], [1.0, 1.0]);
        assert_eq!([factor(1e30, 1e-10, 8, 8), factor(1e-15, 1e15, 8, 8)], [1e4, 1e-4]);
    }
}
