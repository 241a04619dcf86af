//! RoPE, rotary position embedding (Su et al. 2021, section 3.2.2): each pair of a head's dimensions rotates by an angle proportional to
//! the token's position.
//!
//! Pairs are interleaved: dimensions `2i` and `2i + 1` form pair `i`. Checkpoints written for `rotate_half` pair dimension `i` with `i +
//! head_dim / 2`; the host tool permutes the rows of their query and key matrices when it packs them. Frequency scaling (linear, NTK, YaRN,
//! Llama 3) is part of the image's frequencies. Partial rotary rotates the first pairs of a head only.

use crate::numeric::sin_cos;
use crate::slices::{prefix_mut, rows, rows_mut};

/// The rotations of some tokens.
#[derive(Clone, Copy, Debug)]
pub struct Rotary<'s> {
    /// `(tokens, pairs)` of (sine, cosine).
    sin_cos: &'s [[f32; 2]],
    pairs: usize,
    head_dim: usize,
}

impl<'s> Rotary<'s> {
    /// Computes the rotations of tokens at `positions` in `buffer` `(tokens, pairs)`. `frequencies` are the image's 64-bit fractions of a
    /// full turn per token as (low, high) words, one for each pair that rotates; integer arithmetic wraps a position's angle exactly.
    pub fn new(frequencies: &[[u32; 2]], head_dim: usize, positions: impl Iterator<Item = usize>, buffer: &'s mut [[f32; 2]]) -> Self {
        let pairs = frequencies.len();
        for (row, position) in rows_mut(buffer, pairs).zip(positions) {
            for (rotation, &[low, high]) in row.iter_mut().zip(frequencies) {
                let fraction = (high as u64) << 32 | low as u64;
                let (sin, cos) = sin_cos((fraction.wrapping_mul(position as u64) >> 32) as u32);
                *rotation = [sin, cos];
            }
        }
        Rotary { sin_cos: buffer, pairs, head_dim }
    }

    /// Rotates the heads in the first `rotated` columns, queries and keys, of each row of `qkv` `(tokens, width)`.
    pub fn apply(&self, qkv: &mut [f32], width: usize, rotated: usize) {
        let rotations = rows(self.sin_cos, self.pairs);
        for (row, rotations) in rows_mut(qkv, width).zip(rotations) {
            for head in rows_mut(prefix_mut(row, rotated), self.head_dim) {
                let (pairs, _) = head.as_chunks_mut::<2>();
                for (pair, &[sin, cos]) in pairs.iter_mut().zip(rotations) {
                    let [a, b] = *pair;
                    *pair = [a * cos - b * sin, a * sin + b * cos];
                }
            }
        }
    }
}
