//! Measured error of a quantized product: how much of it comes from the weights and from activations of 8 and of 12 bits.

use rayon::prelude::*;

use super::panels::{PanelRow, WIDTH, ZERO_TILE, multiply_add, pack_rows};
use super::quantized::{Matrix, Quantized};
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

/// Rounding errors of a row of activations as the engine quantizes it: the absmax becomes `limit`.
fn activation_errors(row: &[f32], limit: f32) -> Vec<f32> {
    let largest = absmax(row);
    let (inverse, scale) = if largest >= NEGLIGIBLE { (limit / largest, largest / limit) } else { (0.0, 0.0) };
    row.iter().map(|&x| round_to_nearest(x * inverse, -limit, limit) * scale - x).collect()
}

fn difference(a: &[PanelRow], b: &[PanelRow]) -> Vec<PanelRow> {
    a.iter().zip(b).map(|(a, b)| std::array::from_fn(|lane| a[lane] - b[lane])).collect()
}

fn sum_of_squares(left: &[PanelRow], right: &[PanelRow]) -> f64 {
    let mut tile = ZERO_TILE;
    multiply_add(left, right, &mut tile);
    tile.iter().flatten().map(|product| product * product).sum()
}
