//! Softmax attention of one head over a float KV cache (f32 or f16), key by key: the tokens x tokens matrix of scores never exists.

use super::heads::{HeadQueries, HeadQuery, Heads};
use super::key_ranges::KeyRanges;
use super::kv_cache::Rows;
use crate::layers::ctx::Ctx;
use crate::numeric::{Lanes, exp_neg_q30};
use crate::probe::{HeadSite, Probe};
use crate::slices::{prefix_mut, row, suffix};

/// Attends with all heads of a query and writes the weighted sums of values to `out` `(q_dim)`. `widen` converts an element of the cache.
pub fn attend<T: Copy, P: Probe>(
    one: &HeadQueries<'_>,
    cache: &Rows<'_, T>,
    widen: impl Fn(T) -> f32,
    ctx: &mut Ctx<'_, P>,
    out: &mut [f32],
) {
    let (heads, ranges) = (one.heads, one.ranges);
    for (head, out) in one.iter(out) {
        let weights = weighted_sum(&head, (heads, ranges), cache, &widen, ctx.head.scores, out);
        if ctx.probe.wants_attention() {
            let site = HeadSite { layer: ctx.layer, head: head.head, position: ranges.query.pos };
            ctx.probe.attention(site, ranges.positions().zip(weights.iter().map(|&weight| weight as u32)));
        }
    }
}

/// Scores are sums in eight lanes, weights are [`exp_neg_q30`], values are added token by token in order. Returns the weights, in the front
/// of `scores`.
fn weighted_sum<'s, T: Copy>(
    &HeadQuery { head, query, offset, .. }: &HeadQuery<'_>,
    (heads, ranges): (&Heads<'_>, &KeyRanges),
    cache: &Rows<'_, T>,
    widen: impl Fn(T) -> f32,
    scores: &'s mut [i32],
    out: &mut [f32],
) -> &'s [i32] {
    let count = ranges.iter().map(|range| range.positions.len()).sum();
    let scores = prefix_mut(scores, count);
    let seq_start = ranges.query.seq_start;
    let mut largest = f32::NEG_INFINITY;
    for (score, position) in scores.iter_mut().zip(ranges.positions()) {
        let key = suffix(row(cache.keys, cache.stride, seq_start + position), offset);
        let mut lanes = Lanes::default();
        for (q, k) in query.chunks(8).zip(key.chunks(8)) {
            lanes.0.iter_mut().zip(q).zip(k).for_each(|((lane, &q), &k)| *lane += q * widen(k));
        }
        let mut value = lanes.total() * heads.scale;
        if !heads.bias.is_none() {
            value += heads.bias.bias(head, ranges.query.pos, position);
        }
        *score = value.to_bits() as i32;
        largest = if value > largest { value } else { largest };
    }
    out.fill(0.0);
    let mut sum = 0u64;
    for (score, position) in scores.iter_mut().zip(ranges.positions()) {
        let e = exp_neg_q30(f32::from_bits(*score as u32) - largest);
        *score = e as i32;
        sum += e as u64;
        let index = seq_start + position;
        let block = suffix(row(cache.values, cache.stride, index / 4), offset);
        for (out, lanes) in out.iter_mut().zip(block) {
            if let Some(&value) = lanes.get(index % 4) {
                *out += e as f32 * widen(value);
            }
        }
    }
    let unit = 1.0 / sum as f32;
    out.iter_mut().for_each(|x| *x *= unit);
    scores
}
