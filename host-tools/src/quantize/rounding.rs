//! Rounding to an integer grid and the search for the scale of least squared error.

/// 2^-100: rows with a smaller absmax are stored as zeros, as the engine does with activations.
pub(super) const NEGLIGIBLE: f32 = f32::from_bits(27 << 23);

/// Largest magnitude of a row.
pub(super) fn absmax(row: &[f32]) -> f32 {
    row.iter().fold(0.0, |largest, value| value.abs().max(largest))
}

/// Divides a row by its absmax, so that squares neither overflow nor underflow; returns the row and the divisor. `None` for a negligible row.
pub(super) fn normalized(row: &[f32]) -> Option<(Vec<f32>, f32)> {
    let unit = absmax(row);
    (unit >= NEGLIGIBLE).then(|| (row.iter().map(|value| value / unit).collect(), unit))
}

/// The candidate of least squared error, the first of equal ones; 0 for a group of zeros.
pub(super) fn best_scale(candidates: impl Iterator<Item = f32>, values: &[f32], limit: f32) -> f32 {
    let errors = candidates.filter(|&scale| scale > 0.0).map(|scale| (squared_error(values, scale, limit), scale));
    errors.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0.0, |(_, scale)| scale)
}

/// Rounds to the nearest integer, ties to even, clamped to `-limit..=limit`. Branch-free, so that loops over it vectorize.
pub(super) fn round_to_nearest(value: f32, limit: f32) -> f32 {
    // Adding 1.5 * 2^23 leaves no bits for a fraction.
    const SHIFTER: f32 = 12_582_912.0;
    value.clamp(-limit, limit) + SHIFTER - SHIFTER
}

/// Squared error of `row` rounded to multiples of `scale` up to `limit`.
fn squared_error(row: &[f32], scale: f32, limit: f32) -> f32 {
    let inverse = 1.0 / scale;
    let square = |value: f32| {
        let error = value - round_to_nearest(value * inverse, limit) * scale;
        error * error
    };
    // Eight accumulators: the fixed order of a single sum would prevent vectorization.
    let mut sums = [0.0; 8];
    let (eights, tail) = row.as_chunks::<8>();
    for eight in eights {
        for (sum, &value) in sums.iter_mut().zip(eight) {
            *sum += square(value);
        }
    }
    sums.iter().sum::<f32>() + tail.iter().copied().map(square).sum::<f32>()
}
