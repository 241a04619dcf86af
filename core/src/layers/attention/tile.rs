//! Softmax attention of several neighboring queries over an int8 KV cache: each key and value is widened once for all of them.

use super::attend::{Tile, score_stride};
use super::heads::{Heads, QUERIES, QueryRows};
use super::softmax_int8::Int8Cache;
use crate::kernels::{Kernels, KeyRows, QueryTile, ValueBlocks};
use crate::layers::ctx::HeadScratch;
use crate::numeric::pow2;
use crate::slices::{part, part_mut, prefix_mut, rows, rows_mut, split_mut, suffix};

impl Int8Cache<'_, '_> {
    /// Attends with all heads of the tile's queries; `out` is `(queries, q_dim)`.
    pub fn attend_tile(
        &self,
        heads: &Heads<'_>,
        queries: QueryRows<'_>,
        tile: &Tile,
        (kernels, scratch): (&Kernels, &mut HeadScratch<'_>),
        out: &mut [f32],
    ) {
        let (count, width) = (tile.len(), heads.head_dim);
        let first = tile.first().map_or(0, |ranges| ranges.near.keys.start);
        let stride = score_stride(tile.iter());
        let hidden = first % 4;
        let mut counts = [0; QUERIES];
        counts.iter_mut().zip(tile).for_each(|(count, ranges)| *count = ranges.near.keys.len());
        let row_stride = self.rows.stride;
        let blocks = suffix(self.rows.values, first / 4 * row_stride);
        let value_scales = suffix(self.value_scales, first);
        for head in 0..heads.heads {
            let offset = head / heads.group() * width;
            let own = head * width..(head + 1) * width;
            let q = prefix_mut(scratch.query, count * width);
            let (mut exponents, mut largest) = ([0; QUERIES], [i32::MIN; QUERIES]);
            for ((row, q), exponent) in rows(queries.values, queries.width).zip(rows_mut(q, width)).zip(&mut exponents) {
                *exponent = kernels.quantize_query(part(row, own.clone()), heads.scale_log2, q);
            }
            let keys = KeyRows {
                values: suffix(self.rows.keys, first * row_stride),
                stride: row_stride,
                offset,
                scales: suffix(self.key_scales, first),
            };
            let (exponents, visible) = (prefix_mut(&mut exponents, count), prefix_mut(&mut counts, count));
            let query_tile = QueryTile { values: q, head_dim: width, exponents, visible };
            let scores = prefix_mut(scratch.scores, count * stride);
            kernels.scores_tile(&query_tile, &keys, stride, scores, prefix_mut(&mut largest, count));
            let weights = prefix_mut(scratch.weights, count * stride);
            let mut units = [0.0; QUERIES];
            let rows_of_scores = rows_mut(scores, stride).zip(rows_mut(weights, stride));
            for (((ranges, (scores, weights)), unit), &largest) in tile.iter().zip(rows_of_scores).zip(&mut units).zip(&largest) {
                let scores = prefix_mut(scores, ranges.near.keys.len());
                let largest = if heads.bias.is_none() {
                    largest
                } else {
                    heads.bias.add(head, ranges.query.pos, ranges.near.positions.clone(), scores)
                };
                let (before, visible) = split_mut(weights, hidden);
                before.fill(0);
                let norm = kernels.softmax_weights(scores, largest, value_scales, visible);
                *unit = pow2(norm.exponent) / norm.sum as f32;
            }
            let sums = prefix_mut(scratch.weighted_sum, count * width);
            kernels.weighted_value_sum_tile(weights, stride, &ValueBlocks { values: blocks, stride: row_stride, offset }, width, sums);
            for ((out, sums), unit) in rows_mut(out, heads.q_dim()).zip(rows(sums, width)).zip(units) {
                part_mut(out, own.clone()).iter_mut().zip(sums).for_each(|(out, &sum)| *out = sum as f32 * unit);
            }
        }
    }
}
