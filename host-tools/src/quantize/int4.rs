//! Int4 with group scales: values in -8..=7 and a signed i8 per group times the row's f32 scale, so that sums over groups stay integers.
//!
//! The grid of values is not symmetric. The sign of the group's scale chooses which side reaches 8, so the largest magnitude of a group can take
//! -8 whatever its sign; on stories260K that saves a fifth of the loss of a symmetric grid of -7..=7.

use multiversion::multiversion;

use super::rounding::{LANES, absmax, larger, normalized, round_to_nearest};

/// Smallest integer.
pub(super) const LOWEST: f32 = -8.0;
/// Largest integer.
pub(super) const HIGHEST: f32 = 7.0;
/// Half of the levels: the largest magnitude over a step of rounding.
pub(super) const LIMIT: f32 = 7.5;
/// Largest magnitude of a group scale; -128 is not used.
const GROUP_SCALE_MAX: usize = 127;

/// Candidate factors on the scale that maps a group's absmax to -8, from which the row's scale follows. Factors below 1 clip the largest
/// values in favor of the others; at 8/7 no value is clipped.
const FIRST_FACTOR: f32 = 0.54;
const FACTOR_STEP: f32 = 0.02;
const FACTORS: usize = 32;

/// Share of the mean column weight that is added to all, so that columns that the calibration never uses keep reasonable scales.
const WEIGHT_FLOOR: f32 = 0.01;

/// Scales of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Scales {
    /// Value of one unit of a group scale.
    pub row: f32,
    /// Group scales in units of the row's scale, in -127..=127; 0 for a group of zeros.
    pub groups: Vec<i8>,
}

/// Weights of the columns' squared errors, scaled to a mean of about 1.
#[derive(Clone, Debug)]
pub(super) struct ColumnWeights(Vec<f32>);

impl ColumnWeights {
    /// Weights for `columns` columns: all 1 without `weights`, or if they are unusable (no positive sum).
    pub(super) fn new(columns: usize, weights: Option<&[f32]>) -> Self {
        let ones = || ColumnWeights(vec![1.0; columns]);
        let Some(weights) = weights.filter(|weights| weights.len() == columns) else { return ones() };
        let mean = (weights.iter().map(|&weight| f64::from(weight)).sum::<f64>() / columns as f64) as f32;
        if !(mean.is_normal() && mean > 0.0) {
            return ones();
        }
        ColumnWeights(weights.iter().map(|weight| weight / mean + WEIGHT_FLOOR).collect())
    }
}

/// Searches the scales of least squared error, weighted by column, for a row with groups of `group` columns; the last group may be shorter.
pub fn search(row: &[f32], group: usize, column_weights: Option<&[f32]>) -> Scales {
    search_weighted(row, group, &ColumnWeights::new(row.len(), column_weights))
}

/// [`search`] with prepared weights.
pub(super) fn search_weighted(row: &[f32], group: usize, weights: &ColumnWeights) -> Scales {
    let Some((row, magnitude)) = normalized(row) else {
        return Scales { row: 0.0, groups: vec![0; row.len().div_ceil(group)] };
    };
    let mut groups = vec![0; row.len().div_ceil(group)];
    let unit = search_normalized(&row, group, &weights.0, &mut groups);
    Scales { row: unit * magnitude, groups }
}

/// Finds the group scales of a row whose absmax is 1; returns their unit.
#[multiversion(targets("x86_64+avx512f+avx512dq+avx512vl", "x86_64+avx2"))]
fn search_normalized(row: &[f32], group: usize, weights: &[f32], groups: &mut [i8]) -> f32 {
    let pairs = || row.chunks(group).zip(weights.chunks(group));
    let largest = pairs().fold(0.0, |largest, (values, weights)| larger(ideal_scale(values, weights), largest));
    let unit = largest / GROUP_SCALE_MAX as f32;
    for (scale, (values, weights)) in groups.iter_mut().zip(pairs()) {
        *scale = best_on_grid(values, weights, unit);
    }
    unit
}

/// Magnitude of the best real-valued scale of one group.
#[inline(always)]
fn ideal_scale(values: &[f32], weights: &[f32]) -> f32 {
    let full = absmax(values) / -LOWEST;
    let mut best = Best { error: f32::INFINITY, scale: 0.0 };
    if full > 0.0 {
        for first in (0..FACTORS).step_by(LANES / 2) {
            let magnitude = |lane: usize| full * (FIRST_FACTOR + FACTOR_STEP * (first + lane / 2) as f32);
            best.consider(values, weights, std::array::from_fn(|lane| signed(magnitude(lane), lane)));
        }
    }
    refined(values, weights, best.scale).abs()
}

/// The scale of least squared error for the integers that `scale` rounds to.
#[inline(always)]
fn refined(values: &[f32], weights: &[f32], scale: f32) -> f32 {
    let inverse = 1.0 / scale;
    let (products, squares) = values.iter().zip(weights).fold((0.0, 0.0), |(products, squares), (value, weight)| {
        let integer = round_to_nearest(value * inverse, LOWEST, HIGHEST);
        (products + weight * integer * value, squares + weight * integer * integer)
    });
    if squares > 0.0 { products / squares } else { scale }
}

/// The best scale of one group among the multiples of `unit`.
#[inline(always)]
fn best_on_grid(values: &[f32], weights: &[f32], unit: f32) -> i8 {
    let (peak, peak_weight) = values
        .iter()
        .zip(weights)
        .fold((0.0, 0.0), |(peak, weight), (value, &at)| if value.abs() > peak { (value.abs(), at) } else { (peak, weight) });
    if peak == 0.0 || unit == 0.0 {
        return 0;
    }
    // Scales above twice the one that maps the peak to -8 use half of the levels at most.
    let highest = ((2.0 * peak / -LOWEST / unit).ceil() as usize).next_multiple_of(LANES / 2).min(GROUP_SCALE_MAX);
    let mut best = Best { error: f32::INFINITY, scale: 0.0 };
    for first in (0..highest).step_by(LANES / 2).rev() {
        let last = (first + LANES / 2).min(highest);
        // What the largest of these scales and all smaller ones lose by clipping the peak alone.
        let clipped = larger(peak + LOWEST * last as f32 * unit, 0.0);
        if clipped * clipped * peak_weight > best.error {
            break;
        }
        let multiple = |lane: usize| (first + 1 + lane / 2).min(highest) as f32;
        best.consider(values, weights, std::array::from_fn(|lane| signed(multiple(lane) * unit, lane)));
    }
    // The multiplication and this division leave a whole number up to two rounding errors.
    round_to_nearest(best.scale / unit, -127.0, 127.0) as i8
}

/// Positive in even lanes, negative in odd ones.
#[inline(always)]
fn signed(magnitude: f32, lane: usize) -> f32 {
    if lane.is_multiple_of(2) { magnitude } else { -magnitude }
}

/// The best scale so far.
struct Best {
    error: f32,
    scale: f32,
}

impl Best {
    /// Compares candidates, one per lane, by the weighted squared error of a group; the first of equal ones wins.
    #[inline(always)]
    fn consider(&mut self, values: &[f32], weights: &[f32], scales: [f32; LANES]) {
        let inverses = scales.map(|scale| 1.0 / scale);
        let mut errors = [0.0; LANES];
        for (&value, &weight) in values.iter().zip(weights) {
            for lane in 0..LANES {
                let error = value - round_to_nearest(value * inverses[lane], LOWEST, HIGHEST) * scales[lane];
                errors[lane] += error * error * weight;
            }
        }
        for (error, scale) in errors.into_iter().zip(scales) {
            if error < self.error {
                *self = Best { error, scale };
            }
        }
    }
}

/// Rounds the values of a row to its scales, in -8..=7.
pub fn round<'a>(row: &'a [f32], group: usize, scales: &'a Scales) -> impl Iterator<Item = i8> + 'a {
    row.chunks(group).zip(&scales.groups).flat_map(move |(values, &scale)| {
        let inverse = inverse(scale, scales.row);
        values.iter().map(move |&value| round_to_nearest(value * inverse, LOWEST, HIGHEST) as i8)
    })
}

/// The factor that maps values of a group to its grid; 0 for a group of zeros.
pub(super) fn inverse(group_scale: i8, row_scale: f32) -> f32 {
    let scale = f32::from(group_scale) * row_scale;
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::testing::Random;

    fn error(values: &[f32], weights: &[f32], scale: f32) -> f32 {
        let errors = values.iter().zip(weights).map(|(&value, weight)| {
            let rounded = (value / scale).round_ties_even().clamp(-8.0, 7.0) * scale;
            (value - rounded) * (value - rounded) * weight
        });
        errors.sum()
    }

    /// Compared with all scales of the grid, with weights that let the largest value count little, too.
    #[test]
    fn group_scales_are_the_best_of_the_grid() {
        let mut random = Random::new(1);
        for case in 0..2000 {
            let size = [1, 5, 32, 128][case % 4];
            let values: Vec<f32> = random.values(size).iter().map(|x| x * x * x * [0.1, 1.0][case % 2]).collect();
            let weights: Vec<f32> = random.values(size).iter().map(|x| [1.0, x * x + 0.01][case / 4 % 2]).collect();
            let unit = 1.0 / 8.0 / 127.0 * (1.0 + random.value().abs() / 7.0);
            let found = f32::from(best_on_grid(&values, &weights, unit)) * unit;
            let all = (1..=127).flat_map(|scale| [scale as f32 * unit, -(scale as f32 * unit)]);
            let best = all.map(|scale| error(&values, &weights, scale)).fold(f32::INFINITY, f32::min);
            let found = error(&values, &weights, found);
            // Groups of few values may lie nearer to a grid that uses few of its levels.
            let slack = if size < 8 { 1e-2 * error(&values, &weights, 1e9) } else { 1e-9 };
            assert!(found <= best * 1.0001 + slack, "{case}: {found} {best}");
        }
    }

    #[test]
    fn the_largest_magnitude_of_either_sign_takes_minus_eight() {
        let row: Vec<f32> = (0..64).map(|k| (k % 16 - 8) as f32 * if k < 32 { 0.25 } else { -0.125 }).collect();
        let scales = search(&row, 32, None);
        assert!(scales.groups[0] == 127 && scales.groups[1] == -64 || scales.groups[1] == -63, "{scales:?}");
        assert_eq!(round(&row, 32, &scales).collect::<Vec<i8>>(), (0..64).map(|k| (k % 16 - 8) as i8).collect::<Vec<i8>>());
    }

    #[test]
    fn column_weights_shift_the_error_to_columns_that_matter_less() {
        let row = Random::new(4).values(96);
        let weights: Vec<f32> = (0..96).map(|k| if k % 3 == 0 { 100.0 } else { 1.0 }).collect();
        let error_of = |scales: &Scales| {
            let rounded = round(&row, 32, scales).enumerate().map(|(k, q)| f32::from(q) * f32::from(scales.groups[k / 32]) * scales.row);
            rounded.zip(&row).zip(&weights).map(|((q, x), weight)| (q - x) * (q - x) * weight).sum::<f32>()
        };
        assert!(error_of(&search(&row, 32, Some(&weights))) < 0.97 * error_of(&search(&row, 32, None)));
        // Weights that cannot be used count as equal.
        for unusable in [vec![0.0; 96], vec![f32::NAN; 96], vec![f32::INFINITY; 96], vec![1.0; 3]] {
            assert_eq!(search(&row, 32, Some(&unusable)), search(&row, 32, None));
        }
    }
}
