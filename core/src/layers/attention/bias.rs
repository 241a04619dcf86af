//! Position biases of attention scores, by the distance of query and key: ALiBi's slopes (Press et al. 2022, section 3) and T5 relative
//! position biases (Raffel et al. 2020, section 2.1), whose buckets the image spells out by distance.

use crate::format::{BIAS_SPAN, PositionKind, Role};
use crate::image::Image;
use crate::numeric::LOG2_E;
use core::ops::Range;

/// Biases of all heads.
#[derive(Clone, Copy, Debug)]
pub enum ScoreBias<'a> {
    /// No bias.
    None,
    /// ALiBi: minus the distance times the head's slope, `(heads)`.
    Slopes(&'a [f32]),
    /// T5 relative: a learned bias for each head and each offset of the key from the query, clamped to `-BIAS_SPAN..=BIAS_SPAN`:
    /// `(heads, 2 * BIAS_SPAN + 1)`.
    Table(&'a [f32]),
}

/// A score of one in the units of integer scores: log2(e) in Q16.
const UNIT: f32 = LOG2_E * 65_536.0;
/// Largest bias of an integer score, 4,096: half of the largest score, so that a difference of two fits 31 bits.
const LIMIT: f32 = 268_435_456.0;

impl<'a> ScoreBias<'a> {
    /// The biases with this role.
    pub fn new(image: &Image<'a>, role: Role) -> Self {
        let Some(entry) = image.entry(role, 0) else { return ScoreBias::None };
        let values = image.view(entry.values, entry.rows * entry.columns);
        match image.config().positions {
            PositionKind::Alibi => ScoreBias::Slopes(values),
            _ => ScoreBias::Table(values),
        }
    }

    /// Whether there is no bias.
    pub fn is_none(&self) -> bool {
        matches!(self, ScoreBias::None)
    }

    /// The bias of head `head` for a query and a key at these positions.
    pub fn bias(&self, head: usize, query: usize, key: usize) -> f32 {
        match self {
            ScoreBias::None => 0.0,
            ScoreBias::Slopes(slopes) => -(slopes.get(head).copied().unwrap_or(0.0) * query.abs_diff(key) as f32),
            ScoreBias::Table(table) => {
                let column = (key + BIAS_SPAN).saturating_sub(query).min(2 * BIAS_SPAN);
                table.get(head * (2 * BIAS_SPAN + 1) + column).copied().unwrap_or(0.0)
            }
        }
    }

    /// Adds the biases to the integer scores of the keys at these positions and returns the largest score.
    pub fn add(&self, head: usize, query: usize, keys: Range<usize>, scores: &mut [i32]) -> i32 {
        let mut largest = i32::MIN;
        for (score, key) in scores.iter_mut().zip(keys) {
            // The conversion rounds toward zero and saturates.
            *score = score.saturating_add((self.bias(head, query, key) * UNIT).clamp(-LIMIT, LIMIT) as i32);
            largest = largest.max(*score);
        }
        largest
    }
}
