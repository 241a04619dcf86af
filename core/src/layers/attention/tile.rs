//! Softmax attention of several neighbouring queries over an int8 cache: each key and value is widened once for all of them.

use super::heads::{Attend, HeadScratch, Heads, QueryRows, Seen, Sight};
use super::kv_cache::LayerCache;
use super::softmax_int8::Int8Head;
use crate::kernels::{Kernels, KeyRows, QueryTile, ValueBlocks};
use crate::memory::layout::KEYS_PER_SUM;
use crate::numeric::pow2;
use crate::slices::{prefix_mut, rows, rows_mut};

/// Most queries of a tile.
const QUERIES: usize = 8;

/// What the queries of a tile see: runs of keys with one beginning.
pub type Tile<'a> = heapless::Vec<Seen<'a>, QUERIES>;

impl Heads<'_> {
    /// Whether a row may join the tile: it sees one run of keys that begins where the tile's does, and there is room for all of them.
    pub(super) fn joins(&self, attend: &Attend<'_, '_>, tile: &Tile<'_>, sight: Sight, scratch: &HeadScratch<'_>) -> bool {
        let seen = Seen::new(attend.mask, sight, self.bias);
        let number = tile.len() + 1;
        let stride = tile.iter().chain([&seen]).map(|seen| seen.near.scores().end).max().unwrap_or(0).next_multiple_of(4);
        let alike = tile.iter().all(|other| other.far.is_none() && other.near.keys.start == seen.near.keys.start);
        matches!(attend.cache, LayerCache::Int8 { .. })
            && alike
            && seen.far.is_none()
            && number <= QUERIES
            && stride <= KEYS_PER_SUM
            && number * stride <= scratch.scores.len().min(scratch.weights.len())
            && number * self.head_dim <= scratch.query.len().min(scratch.mixed.len())
    }

    /// Query rows over the keys that they see; `out` is `(queries, q_dim)`.
    pub(super) fn attend_tile(
        &self,
        kernels: &Kernels,
        queries: QueryRows<'_>,
        tile: &mut Tile<'_>,
        cache: Int8Head<'_, '_>,
        scratch: &mut HeadScratch<'_>,
        out: &mut [f32],
    ) {
        let (number, width) = (tile.len(), self.head_dim);
        let group = (self.heads / self.kv_heads.max(1)).max(1);
        let Some(first) = tile.first().map(|seen| seen.near.keys.start) else { return };
        let stride = tile.iter().map(|seen| seen.near.scores().end).max().unwrap_or(0).next_multiple_of(4);
        let hidden = first % 4;
        let mut counts = [0; QUERIES];
        counts.iter_mut().zip(&*tile).for_each(|(count, seen)| *count = seen.near.keys.len());
        let row_stride = cache.rows.stride;
        let blocks = cache.rows.values.get(first / 4 * row_stride..).unwrap_or_default();
        let value_scales = cache.value_scales.get(first..).unwrap_or_default();
        for head in 0..self.heads {
            let offset = head / group * width;
            let q = prefix_mut(scratch.query, number * width);
            let (mut exponents, mut largest) = ([0; QUERIES], [i32::MIN; QUERIES]);
            for ((row, q), exponent) in rows(queries.values, queries.width).zip(rows_mut(q, width)).zip(&mut exponents) {
                let query = row.get(head * width..(head + 1) * width).unwrap_or_default();
                *exponent = kernels.quantize_query(query, cache.factor, q);
            }
            let keys = KeyRows {
                values: cache.rows.keys.get(first * row_stride..).unwrap_or_default(),
                stride: row_stride,
                offset,
                scales: cache.key_scales.get(first..).unwrap_or_default(),
            };
            let (exponents, visible) = (prefix_mut(&mut exponents, number), prefix_mut(&mut counts, number));
            let asked = QueryTile { values: q, head_dim: width, exponents, visible };
            let scores = prefix_mut(scratch.scores, number * stride);
            kernels.scores_tile(&asked, &keys, stride, scores, prefix_mut(&mut largest, number));
            let weights = prefix_mut(scratch.weights, number * stride);
            let mut units = [0.0; QUERIES];
            let rows_of_scores = rows_mut(scores, stride).zip(rows_mut(weights, stride));
            for (((seen, (scores, weights)), unit), &largest) in tile.iter().zip(rows_of_scores).zip(&mut units).zip(&largest) {
                let scores = prefix_mut(scores, seen.near.keys.len());
                let largest = if self.bias.is_none() {
                    largest
                } else {
                    self.bias.add(head, seen.sight.position, seen.near.positions.clone(), scores)
                };
                let (before, visible) = weights.split_at_mut_checked(hidden).unwrap_or_default();
                before.fill(0);
                let weighting = kernels.softmax_weights(scores, largest, value_scales, visible);
                *unit = pow2(weighting.exponent) / weighting.sum as f32;
            }
            let mixed = prefix_mut(scratch.mixed, number * width);
            kernels.weighted_value_sum_tile(weights, stride, &ValueBlocks { values: blocks, stride: row_stride, offset }, width, mixed);
            for ((out, mixed), unit) in rows_mut(out, self.q_dim()).zip(rows(mixed, width)).zip(units) {
                let out = out.get_mut(head * width..(head + 1) * width).unwrap_or_default();
                out.iter_mut().zip(mixed).for_each(|(out, &sum)| *out = sum as f32 * unit);
            }
        }
    }
}
