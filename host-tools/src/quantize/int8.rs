//! Eight bits with one scale per row.

use super::{best_scale, largest, nearest, normalized};

const LIMIT: f32 = 127.0;
/// Thousandths of the scale that puts a row's largest magnitude at 127: clipping it a little serves the others.
const FACTORS: std::ops::RangeInclusive<u32> = 880..=1000;
const FACTOR_UNIT: f32 = 0.001;

/// The scale of least squared error for a row; 0 for a row of (next to) nothing.
pub fn search(row: &[f32]) -> f32 {
    let Some((row, unit)) = normalized(row) else { return 0.0 };
    let full = largest(&row) / LIMIT;
    best_scale(FACTORS.map(|factor| full * (factor as f32 * FACTOR_UNIT)), &row, LIMIT) * unit
}

/// A row's values under its scale, in -127..=127.
pub fn round(row: &[f32], scale: f32) -> impl Iterator<Item = i8> + '_ {
    let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    row.iter().map(move |&value| nearest(value * inverse, LIMIT) as i8)
}
