//! Rotary positions: each pair of a head turns by an angle that grows with the token's position (Su et al. 2021, section 3.2.2).

use crate::numeric::sin_cos;
use crate::slices::{prefix_mut, rows, rows_mut};

/// The turns of a run of tokens.
#[derive(Clone, Copy, Debug)]
pub struct Rotary<'s> {
    /// `(tokens, pairs)` of (sine, cosine).
    turns: &'s [[f32; 2]],
    pairs: usize,
    head_dim: usize,
}

impl<'s> Rotary<'s> {
    /// Computes the turns of tokens at these positions, for heads of `head_dim`, of which the pairs that turn come first. `fractions` are the image's 64-bit parts of a turn per token,
    /// so that a position's angle wraps exactly.
    pub fn new(fractions: &[[u32; 2]], head_dim: usize, positions: impl Iterator<Item = usize>, turns: &'s mut [[f32; 2]]) -> Self {
        let pairs = fractions.len();
        for (row, position) in rows_mut(turns, pairs).zip(positions) {
            for (turn, &[low, high]) in row.iter_mut().zip(fractions) {
                let fraction = (high as u64) << 32 | low as u64;
                let (sin, cos) = sin_cos((fraction.wrapping_mul(position as u64) >> 32) as u32);
                *turn = [sin, cos];
            }
        }
        Rotary { turns, pairs, head_dim }
    }

    /// Turns the heads at the front of each row: `projected` is `(tokens, width)`, its first `rotated` columns are queries and keys.
    pub fn apply(&self, projected: &mut [f32], width: usize, rotated: usize) {
        let turns = rows(self.turns, self.pairs);
        for (row, turns) in rows_mut(projected, width).zip(turns) {
            for head in rows_mut(prefix_mut(row, rotated), self.head_dim) {
                let (pairs, _) = head.as_chunks_mut::<2>();
                for (pair, &[sin, cos]) in pairs.iter_mut().zip(turns) {
                    let [a, b] = *pair;
                    *pair = [a * cos - b * sin, a * sin + b * cos];
                }
            }
        }
    }
}
