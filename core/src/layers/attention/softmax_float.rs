//! Softmax attention over a float KV cache (f32 or f16), head by head, of one query or a tile of neighboring ones: the tokens x tokens matrix
//! of scores never exists. Rule 8 of the numeric specification.

use super::heads::{Heads, QUERIES, QueryRows};
use super::key_ranges::{KeyRange, KeyRanges};
use super::kv_cache::Rows;
use crate::kernels::Kernels;
use crate::kernels::float_cache::{FloatElement, FloatKeys, FloatTile, FloatValues};
use crate::layers::ctx::Ctx;
use crate::numeric::exp_neg_q30;
use crate::probe::{HeadSite, Probe};
use crate::slices::{part_mut, prefix_mut, rows_mut, suffix};
use zerocopy::{FromBytes, IntoBytes};

/// An element of a float cache, which chooses the kernels.
pub trait Element: FloatElement {
    /// Scores of a tile's queries.
    fn scores(kernels: &Kernels, queries: &FloatTile<'_>, keys: &FloatKeys<'_, Self>, scale: f32, stride: usize, out: &mut [f32]);
    /// Adds weighted values to a tile's outputs.
    fn add_values(kernels: &Kernels, weights: &FloatTile<'_>, values: &FloatValues<'_, Self>, stride: usize, out: &mut [f32]);
}

/// Implements [`Element`] by a type's kernels.
macro_rules! element {
    ($kind:ty, $scores:ident, $add_values:ident) => {
        impl Element for $kind {
            fn scores(kernels: &Kernels, queries: &FloatTile<'_>, keys: &FloatKeys<'_, Self>, scale: f32, stride: usize, out: &mut [f32]) {
                kernels.$scores(queries, keys, scale, stride, out);
            }

            fn add_values(kernels: &Kernels, weights: &FloatTile<'_>, values: &FloatValues<'_, Self>, stride: usize, out: &mut [f32]) {
                kernels.$add_values(weights, values, stride, out);
            }
        }
    };
}

element!(f32, scores_f32, add_values_f32);
element!(u16, scores_f16, add_values_f16);

/// A tile of query rows: one query with any ranges of keys, or several with one range each, all with the same first key.
#[derive(Clone, Copy, Debug)]
pub struct QueryTile<'r> {
    heads: &'r Heads<'r>,
    queries: QueryRows<'r>,
    /// The keys that each query attends to.
    ranges: &'r [KeyRanges],
    /// Scores from one query to the next.
    stride: usize,
}

/// Keys that a query attends to.
fn key_count(ranges: &KeyRanges) -> usize {
    ranges.iter().map(|range| range.keys.len()).sum()
}

impl<'r> QueryTile<'r> {
    /// A tile of these query rows.
    pub fn new(heads: &'r Heads<'r>, queries: QueryRows<'r>, ranges: &'r [KeyRanges]) -> Self {
        QueryTile { heads, queries, ranges, stride: ranges.iter().map(key_count).max().unwrap_or(0) }
    }

    /// Attends with all heads of the queries and writes the weighted sums of values to `out` `(queries, q_dim)`.
    pub fn attend<T: Element, P: Probe>(&self, cache: &Rows<'_, T>, ctx: &mut Ctx<'_, P>, out: &mut [f32]) {
        let QueryTile { heads, ranges: queries, stride, .. } = *self;
        let scores = prefix_mut(ctx.head.scores, queries.len() * stride);
        let Ok(scores) = <[f32]>::mut_from_bytes(scores.as_mut_bytes()) else {
            debug_assert!(false, "scores that are not aligned");
            return;
        };
        out.fill(0.0);
        for head in 0..heads.heads {
            let view = HeadView { tile: self, cache, kernels: ctx.kernels, head };
            view.for_ranges(|range, start| view.score(range, scores, start));
            let mut units = [0.0; QUERIES];
            for ((ranges, row), unit) in queries.iter().zip(rows_mut(scores, stride)).zip(&mut units) {
                let row = prefix_mut(row, key_count(ranges));
                if !heads.bias.is_none() {
                    let biases = ranges.positions().map(|position| heads.bias.bias(head, ranges.query.pos, position));
                    row.iter_mut().zip(biases).for_each(|(score, bias)| *score += bias);
                }
                if ctx.probe.wants_attention() {
                    let site = HeadSite { layer: ctx.layer, head, position: ranges.query.pos };
                    ctx.probe.attention(site, ranges.positions().zip(weights(row)));
                }
                *unit = 1.0 / ctx.kernels.softmax_float(row) as f32;
            }
            view.for_ranges(|range, start| view.add_values(range, scores, start, out));
            let own = head * heads.head_dim..(head + 1) * heads.head_dim;
            for (out, unit) in rows_mut(out, heads.q_dim()).zip(units) {
                part_mut(out, own.clone()).iter_mut().for_each(|x| *x *= unit);
            }
        }
    }
}

/// The integer weights of one query's scores.
fn weights(scores: &[f32]) -> impl Iterator<Item = u32> {
    let largest = scores.iter().fold(f32::NEG_INFINITY, |largest, &score| if score > largest { score } else { largest });
    scores.iter().map(move |&score| exp_neg_q30(score - largest))
}

/// One head of a tile.
struct HeadView<'r, 'c, T> {
    tile: &'r QueryTile<'r>,
    cache: &'r Rows<'c, T>,
    kernels: &'r Kernels,
    head: usize,
}

impl<T: Element> HeadView<'_, '_, T> {
    /// Calls `each` with the ranges of keys in order, and with the index of each one's first score.
    fn for_ranges(&self, mut each: impl FnMut(&KeyRange, usize)) {
        let mut start = 0;
        for range in self.tile.ranges.first().into_iter().flat_map(KeyRanges::iter) {
            each(range, start);
            start += range.keys.len();
        }
    }

    /// Keys of each query in `range`, a range of the first query.
    fn visible(&self, range: &KeyRange) -> [usize; QUERIES] {
        let mut visible = [0; QUERIES];
        match self.tile.ranges {
            [_] => visible.iter_mut().take(1).for_each(|visible| *visible = range.keys.len()),
            several => visible.iter_mut().zip(several).for_each(|(visible, ranges)| *visible = ranges.near.keys.len()),
        }
        visible
    }

    /// Column of the cache at which the head's keys and values begin.
    fn offset(&self) -> usize {
        self.head / self.tile.heads.group() * self.tile.heads.head_dim
    }

    /// Writes the scores of a range of keys, each query's from `start` on.
    fn score(&self, range: &KeyRange, scores: &mut [f32], start: usize) {
        let QueryTile { heads, queries, ranges, stride } = *self.tile;
        let mut visible = self.visible(range);
        let tile = FloatTile {
            values: suffix(queries.values, self.head * heads.head_dim),
            stride: queries.width,
            visible: prefix_mut(&mut visible, ranges.len()),
        };
        let cache = self.cache;
        let keys = FloatKeys {
            values: suffix(cache.keys, range.keys.start * cache.stride),
            stride: cache.stride,
            offset: self.offset(),
            head_dim: heads.head_dim,
        };
        let out = part_mut(scores, start..scores.len());
        T::scores(self.kernels, &tile, &keys, heads.scale, stride, out);
    }

    /// Adds the weighted values of a range of keys to `out` `(queries, q_dim)`.
    fn add_values(&self, range: &KeyRange, weights: &[f32], start: usize, out: &mut [f32]) {
        let QueryTile { heads, ranges, stride, .. } = *self.tile;
        let mut visible = self.visible(range);
        let tile = FloatTile { values: suffix(weights, start), stride, visible: prefix_mut(&mut visible, ranges.len()) };
        let values = FloatValues {
            values: suffix(self.cache.values, range.block / 4 * self.cache.stride),
            stride: self.cache.stride,
            offset: self.offset(),
            head_dim: heads.head_dim,
            first: range.keys.start - range.block,
        };
        let out = part_mut(out, self.head * heads.head_dim..out.len());
        T::add_values(self.kernels, &tile, &values, heads.q_dim(), out);
    }
}
