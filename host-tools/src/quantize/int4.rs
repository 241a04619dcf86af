//! Int4 with group scales: a signed byte per group times the row's f32 scale, so that sums over groups stay integers.

use super::rounding::{absmax, best_scale, normalized, round_to_nearest};

/// Largest integer.
pub(super) const LIMIT: f32 = 7.0;
/// Largest group scale.
const GROUP_SCALE_MAX: f32 = 127.0;
/// Candidate factors, in hundredths, on the scale that maps a group's absmax to 7. Factors below 1 clip the largest values in favour of the others.
const FACTORS: std::ops::RangeInclusive<u32> = 40..=120;
const FACTOR_UNIT: f32 = 0.01;

/// Scales of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Scales {
    /// Value of one unit of a group scale.
    pub row: f32,
    /// Group scales in units of the row's scale.
    pub groups: Vec<i8>,
}

/// Searches the scales of least squared error for a row with groups of `group` columns; the last group may be shorter.
pub fn search(row: &[f32], group: usize) -> Scales {
    let Some((row, magnitude)) = normalized(row) else {
        return Scales { row: 0.0, groups: vec![0; row.len().div_ceil(group)] };
    };
    let ideals: Vec<f32> = row.chunks(group).map(ideal_scale).collect();
    let unit = absmax(&ideals) / GROUP_SCALE_MAX;
    Scales { row: unit * magnitude, groups: row.chunks(group).map(|values| best_on_grid(values, unit)).collect() }
}

/// The best real-valued scale of one group.
fn ideal_scale(values: &[f32]) -> f32 {
    let full = absmax(values) / LIMIT;
    best_scale(FACTORS.map(|factor| full * (factor as f32 * FACTOR_UNIT)), values, LIMIT)
}

/// The best scale of one group among the multiples of `unit`.
fn best_on_grid(values: &[f32], unit: f32) -> i8 {
    let full = absmax(values) / LIMIT / unit;
    let lowest = (full * *FACTORS.start() as f32 * FACTOR_UNIT).clamp(1.0, GROUP_SCALE_MAX);
    let highest = (full * *FACTORS.end() as f32 * FACTOR_UNIT).clamp(lowest, GROUP_SCALE_MAX);
    let candidates = (lowest as i8..=highest.ceil() as i8).map(|scale| scale as f32 * unit);
    // The multiplication and this division leave a whole number up to two rounding errors.
    (best_scale(candidates, values, LIMIT) / unit).round() as i8
}

/// Rounds the values of a row to its scales, in -7..=7.
pub fn round<'a>(row: &'a [f32], group: usize, scales: &'a Scales) -> impl Iterator<Item = i8> + 'a {
    row.chunks(group).zip(&scales.groups).flat_map(move |(values, &scale)| {
        let scale = scale as f32 * scales.row;
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        values.iter().map(move |&value| round_to_nearest(value * inverse, LIMIT) as i8)
    })
}
