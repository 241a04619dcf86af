//! Measured error of a quantized product: how much of it comes from the weights and from activations of 8 and of 12 bits.

use rayon::prelude::*;

use super::matrix::Matrix;
use super::panels::{PanelRow, WIDTH, ZERO_TILE, multiply_add, pack_rows};
use super::quantized::Quantized;
use super::rounding::{NEGLIGIBLE, absmax, round_to_nearest};

/// Largest integer of an 8-bit activation.
pub const ACTIVATION_LIMIT_8: f32 = 127.0;
/// Largest integer of a 12-bit activation.
pub const ACTIVATION_LIMIT_12: f32 = 2047.0;

/// Squared errors of a product, each divided by the sum of squares of the exact product; 0 if that is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProductError {
    /// From rounding the weights, with exact activations.
    pub weights: f64,
    /// From rounding the activations to 8 bits, with the rounded weights.
    pub activations_8: f64,
    /// From rounding the activations to 12 bits, with the rounded weights.
    pub activations_12: f64,
}

/// Measures the errors of the products of `weights` with the rows of `inputs` `(samples, columns)` if `quantized` takes the place of `weights`.
/// Both are meant after smoothing: inputs divided by the factors, weights multiplied by them.
pub fn product_error(inputs: Matrix, weights: Matrix, quantized: &Quantized) -> ProductError {
    let columns = weights.columns;
    let order: Vec<usize> = (0..columns).collect();
    let samples: Vec<Sample> = inputs.values.par_chunks(WIDTH * columns).map(|rows| Sample::new(rows, &order)).collect();
    let blocks = weights.values.par_chunks(WIDTH * columns).enumerate();
    let sums: Vec<[f64; 4]> = blocks
        .map(|(block, rows)| {
            let rows: Vec<&[f32]> = rows.chunks_exact(columns).collect();
            let rounded: Vec<Vec<f32>> = (0..rows.len()).map(|row| quantized.dequantized_row(block * WIDTH + row).collect()).collect();
            let rounded: Vec<&[f32]> = rounded.iter().map(Vec::as_slice).collect();
            let (exact, rounded) = (pack_rows(&rows, &order), pack_rows(&rounded, &order));
            let errors = difference(&rounded, &exact);
            samples.iter().fold([0.0; 4], |sums, sample| {
                let squares =
                    [(&sample.exact, &exact), (&sample.exact, &errors), (&sample.error_8, &rounded), (&sample.error_12, &rounded)];
                std::array::from_fn(|at| sums[at] + sum_of_squares(squares[at].0, squares[at].1))
            })
        })
        .collect();
    let [norm, weights, activations_8, activations_12] = sums.iter().fold([0.0; 4], |a, b| std::array::from_fn(|at| a[at] + b[at]));
    let relative = |error: f64| if norm > 0.0 { error / norm } else { 0.0 };
    ProductError { weights: relative(weights), activations_8: relative(activations_8), activations_12: relative(activations_12) }
}

/// Sixteen rows of inputs and their rounding errors, `(column, row)`.
struct Sample {
    exact: Vec<PanelRow>,
    error_8: Vec<PanelRow>,
    error_12: Vec<PanelRow>,
}

impl Sample {
    fn new(rows: &[f32], order: &[usize]) -> Self {
        let rows: Vec<&[f32]> = rows.chunks_exact(order.len()).collect();
        let errors = |limit: f32| {
            let errors: Vec<Vec<f32>> = rows.iter().map(|row| activation_errors(row, limit)).collect();
            pack_rows(&errors.iter().map(Vec::as_slice).collect::<Vec<_>>(), order)
        };
        Sample { exact: pack_rows(&rows, order), error_8: errors(ACTIVATION_LIMIT_8), error_12: errors(ACTIVATION_LIMIT_12) }
    }
}

/// A row of activations as the engine computes with it after quantization: the absmax becomes `limit`.
pub fn round_activations(row: &[f32], limit: f32) -> Vec<f32> {
    let largest = absmax(row);
    let (inverse, scale) = if largest >= NEGLIGIBLE { (limit / largest, largest / limit) } else { (0.0, 0.0) };
    row.iter().map(|&x| round_to_nearest(x * inverse, -limit, limit) * scale).collect()
}

/// Rounding errors of a row of activations.
fn activation_errors(row: &[f32], limit: f32) -> Vec<f32> {
    round_activations(row, limit).iter().zip(row).map(|(rounded, x)| rounded - x).collect()
}

fn difference(a: &[PanelRow], b: &[PanelRow]) -> Vec<PanelRow> {
    a.iter().zip(b).map(|(a, b)| std::array::from_fn(|lane| a[lane] - b[lane])).collect()
}

fn sum_of_squares(left: &[PanelRow], right: &[PanelRow]) -> f64 {
    let mut tile = ZERO_TILE;
    multiply_add(left, right, &mut tile);
    tile.iter().flatten().map(|product| product * product).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::testing::{Random, with_threads};
    use crate::quantize::{Format, Rounding, quantize};

    #[test]
    fn errors_are_those_of_the_products() {
        let (columns, rows, samples) = (37, 21, 19);
        let mut random = Random::new(3);
        let (x, w) = (random.values(samples * columns), random.values(rows * columns));
        let (inputs, weights) = (Matrix { columns, values: &x }, Matrix { columns, values: &w });
        let quantized = quantize(weights, Format::Int4 { group: 32 }, Rounding::NEAREST);
        let measured = product_error(inputs, weights, &quantized);
        let rounded = quantized.dequantize();
        let product = |w: &[f32], x: &[f32]| w.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>();
        let activation = |row: &[f32], limit: f64| {
            let largest = row.iter().fold(0.0, |largest: f64, x| largest.max(f64::from(x.abs())));
            row.iter().map(|x| ((f64::from(*x) * limit / largest).round_ties_even() * largest / limit) as f32).collect::<Vec<f32>>()
        };
        let (mut norm, mut expected) = (0.0, [0.0; 3]);
        for x in inputs.rows() {
            let [x8, x12] = [127.0, 2047.0].map(|limit| activation(x, limit));
            for (w, q) in weights.rows().zip(rounded.chunks(columns)) {
                norm += product(w, x).powi(2);
                let errors = [product(q, x) - product(w, x), product(q, &x8) - product(q, x), product(q, &x12) - product(q, x)];
                expected.iter_mut().zip(errors).for_each(|(sum, error)| *sum += error * error);
            }
        }
        for (measured, expected) in [measured.weights, measured.activations_8, measured.activations_12].into_iter().zip(expected) {
            assert!((measured / (expected / norm) - 1.0).abs() < 0.01, "{measured} {}", expected / norm);
        }
        for threads in 1..4 {
            assert_eq!(with_threads(threads, || product_error(inputs, weights, &quantized)), measured);
        }
    }

    #[test]
    fn zeros_have_no_error() {
        let zeros = Matrix { columns: 8, values: &[0.0; 32] };
        let quantized = quantize(zeros, Format::Int8, Rounding::NEAREST);
        assert_eq!(product_error(zeros, zeros, &quantized), ProductError::default());
        assert_eq!(product_error(Matrix { columns: 8, values: &[] }, zeros, &quantized), ProductError::default());
    }
}
