//! Softmax attention of one head over an int8 KV cache, key by key: the tokens x tokens matrix of scores never exists. Rule 7 of the
//! numeric specification: integers from the scores to the weighted sums of values.

use super::heads::{HeadQueries, HeadQuery};
use super::key_ranges::KeyRange;
use super::kv_cache::Rows;
use crate::kernels::{Kernels, KeyRows, ValueBlocks};
use crate::layers::ctx::Ctx;
use crate::memory::layout::KEYS_PER_SUM;
use crate::numeric::{exp2_neg_q16, pow2, quantize_query};
use crate::probe::{HeadSite, Probe};
use crate::slices::{part, part_mut, prefix_mut, split_mut, suffix};

/// An int8 cache of one layer.
#[derive(Clone, Copy, Debug)]
pub struct Int8Cache<'c, 'r> {
    /// Keys and values.
    pub rows: &'c Rows<'r, i8>,
    /// Scale of each token's keys.
    pub key_scales: &'c [f32],
    /// Scale of each token's values.
    pub value_scales: &'c [f32],
}

/// A quantized query.
struct Query<'q> {
    head: HeadQuery<'q>,
    values: &'q [i16],
    exponent: i32,
}

/// Sentinel score of masked keys between two ranges: so far below every real score that the softmax weight is 0, yet close enough that the
/// difference of two scores fits in 31 bits.
const MASKED: i32 = -(1 << 30);

impl Int8Cache<'_, '_> {
    /// Attends with all heads of a query and writes the weighted sums of values to `out` `(q_dim)`.
    pub fn attend<P: Probe>(&self, one: &HeadQueries<'_>, ctx: &mut Ctx<'_, P>, out: &mut [f32]) {
        let (kernels, scratch) = (ctx.kernels, &mut ctx.head);
        let &HeadQueries { ranges, heads, .. } = one;
        let end = ranges.near.scores().end;
        let hidden = ranges.near.scores().start;
        let near_scales = suffix(self.value_scales, ranges.near.keys.start);
        let q = prefix_mut(scratch.query, heads.head_dim);
        let scores = prefix_mut(scratch.scores, end);
        let weights = prefix_mut(scratch.weights, end.next_multiple_of(4));
        let sum = prefix_mut(scratch.weighted_sum, heads.head_dim);
        if ranges.far().is_none() {
            prefix_mut(weights, hidden).fill(0);
        }
        for (head, out) in one.iter(out) {
            let exponent = quantize_query(head.query, heads.scale_log2, |index, value| {
                if let Some(q) = q.get_mut(index) {
                    *q = value as i16;
                }
            });
            let query = Query { head, values: q, exponent };
            let mut largest = self.score(kernels, one, &query, &ranges.near, scores);
            if let Some(far) = ranges.far() {
                largest = largest.max(self.score(kernels, one, &query, far, scores));
            }
            if ctx.probe.wants_attention() {
                let parts = ranges.iter().map(|range| part(scores, range.scores()));
                let weights = parts.flatten().map(|&score| exp2_neg_q16(largest.wrapping_sub(score) as u32));
                let site = HeadSite { layer: ctx.layer, head: head.head, position: ranges.query.pos };
                ctx.probe.attention(site, ranges.positions().zip(weights));
            }
            let norm = match (ranges.far(), &mut scratch.range_scales) {
                (Some(far), Some(scales)) => {
                    self.join_ranges([far, &ranges.near], scores, scales);
                    kernels.softmax_weights(scores, largest, prefix_mut(scales, end), weights)
                }
                (far, _) => {
                    debug_assert!(far.is_none(), "a mask with two key ranges without a buffer for their scales");
                    let (visible_scores, visible) = (part_mut(scores, hidden..end), split_mut(weights, hidden).1);
                    kernels.softmax_weights(visible_scores, largest, near_scales, visible)
                }
            };
            let unit = pow2(norm.exponent) / norm.sum as f32;
            let mut sum = ValueSum { part: sum, is_first: true, out };
            for range in ranges.iter() {
                let weights = part(weights, range.block_scores..range.scores().end.next_multiple_of(4));
                sum.add(kernels, self.rows, head.offset, range.block, weights);
            }
            out.iter_mut().for_each(|x| *x *= unit);
        }
    }

    /// Scores of a range of keys; returns the largest.
    fn score(&self, kernels: &Kernels, one: &HeadQueries<'_>, query: &Query<'_>, range: &KeyRange, scores: &mut [i32]) -> i32 {
        let stride = self.rows.stride;
        let keys = KeyRows {
            values: suffix(self.rows.keys, range.keys.start * stride),
            stride,
            offset: query.head.offset,
            scales: suffix(self.key_scales, range.keys.start),
        };
        let scores = part_mut(scores, range.scores());
        let largest = kernels.scores(query.values, query.exponent, &keys, scores);
        let bias = &one.heads.bias;
        if bias.is_none() { largest } else { bias.add(query.head.head, one.ranges.query.pos, range.positions.clone(), scores) }
    }

    /// Copies the value scales of two ranges to where their scores are, and masks the scores between them, whose weights become 0.
    fn join_ranges(&self, ranges: [&KeyRange; 2], scores: &mut [i32], scales: &mut [f32]) {
        let mut filled = 0;
        for range in ranges {
            let own = range.scores();
            part_mut(scores, filled..own.start).fill(MASKED);
            part_mut(scales, filled..own.start).fill(0.0);
            let from = part(self.value_scales, range.keys.clone());
            part_mut(scales, own.clone()).iter_mut().zip(from).for_each(|(to, &scale)| *to = scale);
            filled = own.end;
        }
    }
}

/// The weighted sum of one head's values: integer sums of at most 4,096 keys, each exact, added as floats in order.
struct ValueSum<'o> {
    /// An integer sum, `(head_dim)`.
    part: &'o mut [i32],
    /// No sum has been added yet.
    is_first: bool,
    /// `(head_dim)`.
    out: &'o mut [f32],
}

impl ValueSum<'_> {
    /// Adds the weighted values of the keys from `block` on.
    fn add(&mut self, kernels: &Kernels, rows: &Rows<'_, i8>, offset: usize, block: usize, weights: &[i16]) {
        let stride = rows.stride;
        let blocks = suffix(rows.values, block / 4 * stride);
        for (weights, values) in weights.chunks(KEYS_PER_SUM).zip(blocks.chunks((KEYS_PER_SUM / 4 * stride).max(1))) {
            kernels.weighted_value_sum(weights, &ValueBlocks { values, stride, offset }, self.part);
            for (out, &sum) in self.out.iter_mut().zip(&*self.part) {
                *out = if self.is_first { sum as f32 } else { *out + sum as f32 };
            }
            self.is_first = false;
        }
    }
}
