//! What is added to scores by the distance of query and key: ALiBi's slopes (Press et al. 2022, section 3) and T5's learned addends
//! (Raffel et al. 2020, section 2.1), spelled out by distance.

use crate::format::BIAS_SPAN;
use crate::format::PositionKind;
use crate::format::Role;
use crate::image::Image;
use crate::numeric::LOG2_E;
use core::ops::Range;

/// Addends of all heads.
#[derive(Clone, Copy, Debug)]
pub enum ScoreBias<'a> {
    /// Nothing is added.
    None,
    /// Minus the distance times a head's slope, `(heads)`.
    Slopes(&'a [f32]),
    /// A row of addends for each head, by the key's position minus the query's, held to `-BIAS_SPAN..=BIAS_SPAN`:
    /// `(heads, 2 * BIAS_SPAN + 1)`.
    Table(&'a [f32]),
}

/// A score of one in the units of integer scores: log2(e) in Q16.
const UNIT: f32 = LOG2_E * 65_536.0;
/// Furthest that an addend moves an integer score, 4,096: half of what a score may be, so that differences of two fit 31 bits.
const LIMIT: f32 = 268_435_456.0;

impl<'a> ScoreBias<'a> {
    /// The image's addends for the stack whose role this is.
    pub fn new(image: &Image<'a>, role: Role) -> Self {
        let Some(entry) = image.entry(role, 0) else { return ScoreBias::None };
        let values = image.view(entry.values, entry.rows * entry.columns);
        match image.config().positions {
            PositionKind::Alibi => ScoreBias::Slopes(values),
            _ => ScoreBias::Table(values),
        }
    }

    /// Whether nothing is added.
    pub fn is_none(&self) -> bool {
        matches!(self, ScoreBias::None)
    }

    /// What head `head` adds to the score of a query and a key at these positions.
    pub fn addend(&self, head: usize, query: usize, key: usize) -> f32 {
        match self {
            ScoreBias::None => 0.0,
            ScoreBias::Slopes(slopes) => -(slopes.get(head).copied().unwrap_or(0.0) * query.abs_diff(key) as f32),
            ScoreBias::Table(table) => {
                let beyond = (key + BIAS_SPAN).saturating_sub(query).min(2 * BIAS_SPAN);
                table.get(head * (2 * BIAS_SPAN + 1) + beyond).copied().unwrap_or(0.0)
            }
        }
    }

    /// Adds to the integer scores of a run of keys and returns the largest.
    pub fn add(&self, head: usize, query: usize, keys: Range<usize>, scores: &mut [i32]) -> i32 {
        let mut largest = i32::MIN;
        for (score, key) in scores.iter_mut().zip(keys) {
            // The conversion cuts towards zero and, as the language has it, saturates.
            *score = score.saturating_add((self.addend(head, query, key) * UNIT).clamp(-LIMIT, LIMIT) as i32);
            largest = largest.max(*score);
        }
        largest
    }
}
