//! Attention (Vaswani et al. 2017, section 3.2), row by row: the tokens x tokens matrix never exists.

use super::cache::{LayerCache, Rows};
use super::linear::{Linear, QuantizeScratch};
use super::position::Rotary;
use super::{front, rows, rows_mut};
use crate::arena::KEYS_PER_SUM;
use crate::image::Image;
use crate::image::directory::Role;
use crate::image::header::{Config, MaskKind};
use crate::kernels::{Kernels, KeyRows, ValueBlocks};
use crate::numeric::{LOG2_E, Lanes, exp_q30, pow2, quantize_query, sqrt};
use core::ops::Range;
use half::f16;

/// Which keys a query sees: always a run of neighbouring positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask {
    kind: MaskKind,
    window: usize,
}

impl Mask {
    /// The mask that the header names.
    pub fn new(config: &Config) -> Self {
        Mask { kind: config.mask, window: config.window as usize }
    }

    /// Keys that the query at `position` of a sequence of `tokens` sees.
    pub fn keys(&self, position: usize, tokens: usize) -> Range<usize> {
        let end = position + 1;
        match self.kind {
            MaskKind::Causal => 0..end,
            MaskKind::Window => end.saturating_sub(self.window)..end,
            MaskKind::Bidirectional => 0..tokens,
        }
    }
}

/// One block's attention.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    qkv: Linear<'a>,
    out: Linear<'a>,
    mask: Mask,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

/// Token rows whose first columns are queries.
#[derive(Clone, Copy, Debug)]
pub struct QueryRows<'q> {
    /// `(tokens, width)`.
    pub values: &'q [f32],
    /// Elements from one row to the next, at least `q_dim`.
    pub width: usize,
    /// Position of the first row.
    pub start: usize,
}

/// Buffers for one head of one query.
#[derive(Debug)]
pub struct HeadScratch<'s> {
    /// `(head_dim)`.
    pub query: &'s mut [i16],
    /// `(head_dim)`.
    pub mixed: &'s mut [i32],
    /// `(context)`.
    pub scores: &'s mut [i32],
    /// `(context)`.
    pub weights: &'s mut [i16],
}

impl<'a> Attention<'a> {
    /// The attention of layer `layer`.
    pub fn new(image: &Image<'a>, layer: u32) -> Self {
        let config = image.config();
        Attention {
            qkv: Linear::new(image, Role::Qkv, layer),
            out: Linear::new(image, Role::AttnOut, layer),
            mask: Mask::new(config),
            heads: config.heads as usize,
            kv_heads: config.kv_heads as usize,
            head_dim: config.head_dim as usize,
        }
    }

    /// Width of all queries of a token.
    pub fn q_dim(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Queries of the normed rows `x` `(tokens, d_model)`, the first of which stands at position `start`; they lie in the front of `wide`
    /// `(tokens, qkv_dim)`, with the keys and values that go to the cache.
    #[expect(clippy::too_many_arguments, reason = "each is one thing that a textbook's attention takes")]
    pub fn project<'w>(
        &self,
        kernels: &Kernels,
        start: usize,
        x: &[f32],
        rotary: Option<Rotary<'_>>,
        wide: &'w mut [f32],
        cache: &mut LayerCache<'_>,
        scratch: &mut QuantizeScratch<'_>,
    ) -> QueryRows<'w> {
        let width = self.qkv.matrix().rows;
        let kv_dim = self.kv_heads * self.head_dim;
        let projected = front(wide, rows(x, self.qkv.matrix().columns).len() * width);
        self.qkv.apply(kernels, x, scratch, projected);
        if let Some(rotary) = rotary {
            rotary.apply(projected, width, self.q_dim() + kv_dim);
        }
        cache.store_rows(start, projected, width, kv_dim);
        QueryRows { values: projected, width, start }
    }

    /// What the queries find among the first `tokens` keys of the cache: the front of `inner`, `(queries, q_dim)`.
    pub fn attend<'i>(
        &self,
        kernels: &Kernels,
        queries: QueryRows<'_>,
        tokens: usize,
        cache: &LayerCache<'_>,
        head: &mut HeadScratch<'_>,
        inner: &'i mut [f32],
    ) -> &'i [f32] {
        let queried = rows(queries.values, queries.width);
        let attended = front(inner, queried.len() * self.q_dim());
        for ((row, out), position) in queried.zip(rows_mut(attended, self.q_dim())).zip(queries.start..) {
            self.attend_row(kernels, row, self.mask.keys(position, tokens), cache, head, out);
        }
        attended
    }

    /// The attention's output for attended rows, in the front of `wide` as `(tokens, d_model)`.
    pub fn output<'w>(&self, kernels: &Kernels, attended: &[f32], wide: &'w mut [f32], scratch: &mut QuantizeScratch<'_>) -> &'w [f32] {
        let out = front(wide, rows(attended, self.q_dim()).len() * self.out.matrix().rows);
        self.out.apply(kernels, attended, scratch, out);
        out
    }

    /// One query row, `(q_dim, ..)`, over the keys it sees; `out` is `(q_dim)`.
    fn attend_row(
        &self,
        kernels: &Kernels,
        queries: &[f32],
        keys: Range<usize>,
        cache: &LayerCache<'_>,
        scratch: &mut HeadScratch<'_>,
        out: &mut [f32],
    ) {
        let group = (self.heads / self.kv_heads.max(1)).max(1);
        let factor = LOG2_E / sqrt(self.head_dim as f32);
        let per_head = rows(queries, self.head_dim).zip(rows_mut(out, self.head_dim)).enumerate();
        for (head, (query, out)) in per_head {
            let offset = head / group * self.head_dim;
            match cache {
                LayerCache::F32(rows) => attend_float(query, keys.clone(), rows, offset, |x| x, scratch.scores, out),
                LayerCache::F16(rows) => {
                    attend_float(query, keys.clone(), rows, offset, |x| f16::from_bits(x).to_f32_const(), scratch.scores, out);
                }
                LayerCache::Int8 { rows, key_scales, value_scales } => {
                    let cache = Int8Head { rows, key_scales, value_scales, offset, factor };
                    cache.attend(kernels, query, keys.clone(), scratch, out);
                }
            }
        }
    }
}

/// One head's part of an int8 cache.
struct Int8Head<'c> {
    rows: &'c Rows<'c, i8>,
    key_scales: &'c [f32],
    value_scales: &'c [f32],
    offset: usize,
    /// log2(e) / sqrt(head_dim): scores are powers of two.
    factor: f32,
}

impl Int8Head<'_> {
    /// Rule 5 of the numeric specification: integers from the scores to the weighted sums.
    fn attend(&self, kernels: &Kernels, query: &[f32], keys: Range<usize>, scratch: &mut HeadScratch<'_>, out: &mut [f32]) {
        // Values come in blocks of four tokens, so that the run of keys begins at a whole block; what lies before the mask weighs nothing.
        let first = keys.start & !3;
        let count = keys.end - first;
        let hidden = keys.start - first;
        let q = front(scratch.query, query.len());
        let exponent = quantize_query(query, self.factor, |index, value| {
            if let Some(q) = q.get_mut(index) {
                *q = value as i16;
            }
        });
        let scores = front(scratch.scores, count);
        let weights = front(scratch.weights, count.next_multiple_of(4));
        let stride = self.rows.stride;
        let seen = KeyRows {
            values: self.rows.keys.get(keys.start * stride..).unwrap_or_default(),
            stride,
            offset: self.offset,
            scales: self.key_scales.get(keys.start..).unwrap_or_default(),
        };
        let seen_scores = scores.get_mut(hidden..).unwrap_or_default();
        let largest = (kernels.scores)(q, exponent, &seen, seen_scores);
        let value_scales = self.value_scales.get(keys.start..).unwrap_or_default();
        let (before, visible) = weights.split_at_mut_checked(hidden).unwrap_or_default();
        before.fill(0);
        let weighting = (kernels.weights)(seen_scores, largest, value_scales, visible);
        let unit = pow2(weighting.exponent) / weighting.sum as f32;
        let blocks = self.rows.values.get(first / 4 * stride..).unwrap_or_default();
        self.mix(kernels, weights, blocks, front(scratch.mixed, out.len()), out);
        out.iter_mut().for_each(|x| *x *= unit);
    }

    /// Sums in runs of 4,096 keys, each exact, added in order.
    fn mix(&self, kernels: &Kernels, weights: &[i16], blocks: &[[i8; 4]], mixed: &mut [i32], out: &mut [f32]) {
        let stride = self.rows.stride;
        let runs = weights.chunks(KEYS_PER_SUM).zip(blocks.chunks((KEYS_PER_SUM / 4 * stride).max(1)));
        for (run, (weights, values)) in runs.enumerate() {
            (kernels.mix)(weights, &ValueBlocks { values, stride, offset: self.offset }, mixed);
            for (out, &sum) in out.iter_mut().zip(&*mixed) {
                *out = if run == 0 { sum as f32 } else { *out + sum as f32 };
            }
        }
    }
}

/// A float cache: scores in eight lanes, weights from [`exp_q30`], values added token by token in order.
fn attend_float<T: Copy>(
    query: &[f32],
    keys: Range<usize>,
    cache: &Rows<'_, T>,
    offset: usize,
    widen: impl Fn(T) -> f32,
    scores: &mut [i32],
    out: &mut [f32],
) {
    let factor = 1.0 / sqrt(query.len() as f32);
    let scores = front(scores, keys.end - keys.start);
    let mut largest = f32::NEG_INFINITY;
    for (score, row) in scores.iter_mut().zip(rows(cache.keys, cache.stride).skip(keys.start)) {
        let key = row.get(offset..).unwrap_or_default();
        let mut lanes = Lanes::default();
        for (q, k) in query.chunks(8).zip(key.chunks(8)) {
            lanes.0.iter_mut().zip(q).zip(k).for_each(|((lane, &q), &k)| *lane += q * widen(k));
        }
        let value = lanes.total() * factor;
        *score = value.to_bits() as i32;
        largest = if value > largest { value } else { largest };
    }
    out.fill(0.0);
    let mut sum = 0u64;
    for (&score, position) in scores.iter().zip(keys) {
        let e = exp_q30(f32::from_bits(score as u32) - largest);
        sum += e as u64;
        let block = rows(cache.values, cache.stride).nth(position / 4).and_then(|block| block.get(offset..)).unwrap_or_default();
        for (out, lanes) in out.iter_mut().zip(block) {
            if let Some(&value) = lanes.get(position % 4) {
                *out += e as f32 * widen(value);
            }
        }
    }
    let unit = 1.0 / sum as f32;
    out.iter_mut().for_each(|x| *x *= unit);
}
