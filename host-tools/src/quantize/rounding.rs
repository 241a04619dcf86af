//! Rounding to an integer grid and magnitudes of rows.

/// 2^-100: rows with a smaller absmax are stored as zeros, as the engine does with activations.
pub(super) const NEGLIGIBLE: f32 = f32::from_bits(27 << 23);

/// Values that the loops of this module and its neighbors process side by side; as independent lanes they vectorize in a fixed order.
pub(super) const LANES: usize = 16;

/// Largest magnitude of a row.
#[inline(always)]
pub(super) fn absmax(row: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (blocks, tail) = row.as_chunks::<LANES>();
    for block in blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane = larger(value.abs(), *lane);
        }
    }
    lanes.iter().chain(tail).fold(0.0, |largest, value| larger(value.abs(), largest))
}

/// The larger of two values; `b` if `a` is not a number. One instruction, which `f32::max` is not.
#[inline(always)]
pub(super) fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// Divides a row by its absmax, so that squares neither overflow nor underflow; returns the row and the divisor. `None` for a negligible row.
pub(super) fn normalized(row: &[f32]) -> Option<(Vec<f32>, f32)> {
    let unit = absmax(row);
    (unit >= NEGLIGIBLE).then(|| (row.iter().map(|value| value / unit).collect(), unit))
}

/// Rounds to the nearest integer, ties to even, clamped to `lowest..=highest`. Branch-free, so that loops over it vectorize.
#[inline(always)]
pub(super) fn round_to_nearest(value: f32, lowest: f32, highest: f32) -> f32 {
    // Adding 1.5 * 2^23 leaves no bits for a fraction.
    const SHIFTER: f32 = 12_582_912.0;
    value.clamp(lowest, highest) + SHIFTER - SHIFTER
}
