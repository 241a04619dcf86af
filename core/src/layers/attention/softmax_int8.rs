//! One head of softmax attention over a cache, row by row: the tokens x tokens matrix never exists.

use super::heads::{HeadScratch, Seen};
use super::kv_cache::Rows;
use crate::kernels::{Kernels, KeyRows, ValueBlocks};
use crate::memory::layout::KEYS_PER_SUM;
use crate::numeric::{Lanes, exp_neg_q30, exp2_neg_q16, pow2, quantize_query};
use crate::probe::{HeadSite, Probe};
use crate::slices::{prefix_mut, rows};
use core::ops::Range;

/// One head's part of an int8 cache.
pub struct Int8Head<'c, 'r> {
    /// Keys and values.
    pub rows: &'c Rows<'r, i8>,
    /// Scale of each token's keys.
    pub key_scales: &'c [f32],
    /// Scale of each token's values.
    pub value_scales: &'c [f32],
    /// Where the head begins in a row.
    pub offset: usize,
    /// What products are multiplied with, times log2(e): scores are powers of two.
    pub factor: f32,
}

/// The score of what is not seen: below every score by more than any weight spans, and near enough to all that a difference fits 31 bits.
const UNSEEN: i32 = -(1 << 30);

/// A run of keys in the cache, and where its scores lie in a head's buffers. Values come in blocks of four tokens, so that a run begins at a
/// whole block; what lies before the mask weighs nothing.
#[derive(Clone, Debug)]
pub struct Run {
    /// Positions in the sequence.
    pub positions: Range<usize>,
    /// Places in the cache.
    pub keys: Range<usize>,
    /// First place of the block in which it begins.
    block: usize,
    /// Where that block's scores begin.
    at: usize,
}

impl Run {
    /// The run at these positions of a sequence whose first key is at place `first`; its scores begin at `at`.
    pub fn new(positions: Range<usize>, first: usize, at: usize) -> Run {
        let keys = first + positions.start..first + positions.end;
        Run { positions, block: keys.start & !3, keys, at }
    }

    /// Where the scores of the run itself lie.
    pub fn scores(&self) -> Range<usize> {
        self.at + self.keys.start - self.block..self.at + self.keys.end - self.block
    }
}

impl Int8Head<'_, '_> {
    /// Rule 7 of the numeric specification: integers from the scores to the weighted sums.
    #[expect(clippy::too_many_arguments, reason = "one head of an int8 cache, and what it takes")]
    pub fn attend(
        &self,
        kernels: &Kernels,
        query: &[f32],
        seen: &Seen<'_>,
        scratch: &mut HeadScratch<'_>,
        out: &mut [f32],
        site: HeadSite,
        probe: &mut impl Probe,
    ) {
        let q = prefix_mut(scratch.query, query.len());
        let exponent = quantize_query(query, self.factor, |index, value| {
            if let Some(q) = q.get_mut(index) {
                *q = value as i16;
            }
        });
        let end = seen.near.scores().end;
        let scores = prefix_mut(scratch.scores, end);
        let mut largest = self.score(kernels, q, exponent, &seen.near, seen, scores);
        if let Some(far) = &seen.far {
            largest = largest.max(self.score(kernels, q, exponent, far, seen, scores));
        }
        if probe.wants_attention() {
            let parts = seen.runs().map(|run| scores.get(run.scores()).unwrap_or_default());
            let weights = parts.flatten().map(|&score| exp2_neg_q16(largest.wrapping_sub(score) as u32));
            probe.attention(site, seen.positions().zip(weights));
        }
        let weights = prefix_mut(scratch.weights, end.next_multiple_of(4));
        let weighting = if let Some(far) = &seen.far {
            self.gather_scales([far, &seen.near], scores, scratch.scales);
            kernels.softmax_weights(scores, largest, prefix_mut(scratch.scales, end), weights)
        } else {
            let hidden = seen.near.scores().start;
            let (before, visible) = weights.split_at_mut_checked(hidden).unwrap_or_default();
            before.fill(0);
            let value_scales = self.value_scales.get(seen.near.keys.start..).unwrap_or_default();
            kernels.softmax_weights(scores.get_mut(hidden..).unwrap_or_default(), largest, value_scales, visible)
        };
        let unit = pow2(weighting.exponent) / weighting.sum as f32;
        let mixed = prefix_mut(scratch.mixed, out.len());
        let mut fresh = true;
        for run in seen.runs() {
            let weights = weights.get(run.at..run.scores().end.next_multiple_of(4)).unwrap_or_default();
            self.mix(kernels, weights, run.block, mixed, &mut fresh, out);
        }
        out.iter_mut().for_each(|x| *x *= unit);
    }

    /// Scores of a run of keys; returns the largest.
    fn score(&self, kernels: &Kernels, q: &[i16], exponent: i32, run: &Run, seen: &Seen<'_>, scores: &mut [i32]) -> i32 {
        let stride = self.rows.stride;
        let keys = KeyRows {
            values: self.rows.keys.get(run.keys.start * stride..).unwrap_or_default(),
            stride,
            offset: self.offset,
            scales: self.key_scales.get(run.keys.start..).unwrap_or_default(),
        };
        let scores = scores.get_mut(run.scores()).unwrap_or_default();
        let largest = kernels.scores(q, exponent, &keys, scores);
        if seen.bias.is_none() { largest } else { seen.bias.add(seen.head, seen.sight.position, run.positions.clone(), scores) }
    }

    /// Brings the value scales of two runs to where their scores lie. Scores between them become so low that they weigh nothing.
    fn gather_scales(&self, runs: [&Run; 2], scores: &mut [i32], scales: &mut [f32]) {
        let mut filled = 0;
        for run in runs {
            let part = run.scores();
            if let Some(gap) = scores.get_mut(filled..part.start) {
                gap.fill(UNSEEN);
            }
            if let Some(gap) = scales.get_mut(filled..part.start) {
                gap.fill(0.0);
            }
            let found = self.value_scales.get(run.keys.clone()).unwrap_or_default();
            let place = scales.get_mut(part.clone()).unwrap_or_default();
            place.iter_mut().zip(found).for_each(|(place, &scale)| *place = scale);
            filled = part.end;
        }
    }

    /// Adds a run's weighted values: sums of 4,096 keys, each exact, added in order.
    fn mix(&self, kernels: &Kernels, weights: &[i16], block: usize, mixed: &mut [i32], fresh: &mut bool, out: &mut [f32]) {
        let stride = self.rows.stride;
        let blocks = self.rows.values.get(block / 4 * stride..).unwrap_or_default();
        for (weights, values) in weights.chunks(KEYS_PER_SUM).zip(blocks.chunks((KEYS_PER_SUM / 4 * stride).max(1))) {
            kernels.weighted_value_sum(weights, &ValueBlocks { values, stride, offset: self.offset }, mixed);
            for (out, &sum) in out.iter_mut().zip(&*mixed) {
                *out = if *fresh { sum as f32 } else { *out + sum as f32 };
            }
            *fresh = false;
        }
    }
}

/// A float cache: scores in eight lanes, weights from [`exp_neg_q30`], values added token by token in order. Returns the weights.
#[expect(clippy::too_many_arguments, reason = "one head of a float cache, and what it takes")]
pub fn attend_float<'s, T: Copy>(
    query: &[f32],
    scale: f32,
    seen: &Seen<'_>,
    cache: &Rows<'_, T>,
    offset: usize,
    widen: impl Fn(T) -> f32,
    scores: &'s mut [i32],
    out: &mut [f32],
) -> &'s [i32] {
    let count = seen.runs().map(|run| run.positions.len()).sum();
    let scores = prefix_mut(scores, count);
    let first = seen.sight.first;
    let mut largest = f32::NEG_INFINITY;
    for (score, position) in scores.iter_mut().zip(seen.positions()) {
        let key = rows(cache.keys, cache.stride).nth(first + position).and_then(|row| row.get(offset..)).unwrap_or_default();
        let mut lanes = Lanes::default();
        for (q, k) in query.chunks(8).zip(key.chunks(8)) {
            lanes.0.iter_mut().zip(q).zip(k).for_each(|((lane, &q), &k)| *lane += q * widen(k));
        }
        let mut value = lanes.total() * scale;
        if !seen.bias.is_none() {
            value += seen.bias.addend(seen.head, seen.sight.position, position);
        }
        *score = value.to_bits() as i32;
        largest = if value > largest { value } else { largest };
    }
    out.fill(0.0);
    let mut sum = 0u64;
    for (score, position) in scores.iter_mut().zip(seen.positions()) {
        let e = exp_neg_q30(f32::from_bits(*score as u32) - largest);
        *score = e as i32;
        sum += e as u64;
        let place = first + position;
        let block = rows(cache.values, cache.stride).nth(place / 4).and_then(|block| block.get(offset..)).unwrap_or_default();
        for (out, lanes) in out.iter_mut().zip(block) {
            if let Some(&value) = lanes.get(place % 4) {
                *out += e as f32 * widen(value);
            }
        }
    }
    let unit = 1.0 / sum as f32;
    out.iter_mut().for_each(|x| *x *= unit);
    scores
}
