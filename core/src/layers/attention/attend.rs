//! Attention of query rows over a KV cache: chooses the arithmetic by the cache's type, and the tile of queries where one fits.

use super::heads::{HeadQueries, Heads, QUERIES, QueryRows};
use super::key_ranges::{KeyRanges, Mask, QueryPos};
use super::kv_cache::{LINEAR, LayerCache};
use super::linear;
#[cfg(feature = "kv-float")]
use super::softmax_float;
#[cfg(feature = "kv-int8")]
use super::softmax_int8::Int8Cache;
use crate::layers::ctx::{Ctx, HeadScratch};
use crate::memory::layout::{KEYS_PER_SUM, linear_state_len};
use crate::parallel::{parts, split_point};
use crate::probe::Probe;
use crate::slices::{prefix_mut, row, rows, rows_mut, split, split_mut};

/// Whether tiles of queries are built in. A microcontroller's decoder seldom has blocks that are large enough.
const HAS_TILES: bool = cfg!(any(feature = "encoder", not(target_os = "none")));

/// The key ranges of a tile's queries: one range each, all with the same first key.
pub type Tile = heapless::Vec<KeyRanges, QUERIES>;

/// Score buffer of each query of a tile: whole blocks of four.
pub fn score_stride<'t>(tile: impl Iterator<Item = &'t KeyRanges>) -> usize {
    tile.map(|ranges| ranges.near.scores().end).max().unwrap_or(0).next_multiple_of(4)
}

/// One attention over one layer's cache.
#[derive(Clone, Copy, Debug)]
pub struct AttentionCall<'r, 'c> {
    /// Shape, scale and bias.
    pub heads: &'r Heads<'r>,
    /// Which keys a query attends to.
    pub mask: Mask,
    /// Keys and values.
    pub cache: &'r LayerCache<'c>,
}

/// Positions of query rows, in the same order.
pub trait Positions: Iterator<Item = QueryPos> + Clone + Sync {}

impl<I: Iterator<Item = QueryPos> + Clone + Sync> Positions for I {}

impl AttentionCall<'_, '_> {
    /// Attends with each query row. Returns the front of `out`, `(queries, q_dim)`.
    pub fn attend<'o, P: Probe>(
        &self,
        ctx: &mut Ctx<'_, P>,
        queries: QueryRows<'_>,
        positions: impl Positions,
        out: &'o mut [f32],
    ) -> &'o mut [f32] {
        let q_dim = self.heads.q_dim();
        let attended = prefix_mut(out, rows(queries.values, queries.width).len() * q_dim);
        // The scratch of small blocks holds a single query.
        if HAS_TILES && ctx.head.capacity(self.heads.head_dim) >= 2 && !ctx.probe.wants_attention() {
            let parts = self.parts(ctx, queries, positions.clone());
            self.share(&mut ctx.with_probe(&mut ()), parts, queries, (&positions, 0), attended);
            return attended;
        }
        let ranges = positions.map(|query| KeyRanges::new(self.mask, query));
        for ((row, out), ranges) in rows(queries.values, queries.width).zip(rows_mut(attended, q_dim)).zip(ranges) {
            self.attend_one(ctx, row, &ranges, out);
        }
        attended
    }

    /// Threads that share the queries: each has scratch for a whole tile. What only one query at a time has scratch for is not shared.
    fn parts<P>(&self, ctx: &Ctx<'_, P>, queries: QueryRows<'_>, positions: impl Positions) -> usize {
        let tiles = ctx.head.capacity(self.heads.head_dim) / QUERIES;
        if tiles < 2 || matches!(self.cache, LayerCache::State { .. }) || ctx.head.range_scales.is_some() {
            return 1;
        }
        let ranges = positions.take(rows(queries.values, queries.width).len()).map(|query| KeyRanges::new(self.mask, query));
        let keys: usize = ranges.map(|ranges| ranges.near.keys.len()).sum();
        parts(ctx.quantize.parallel, keys.saturating_mul(2 * self.heads.q_dim())).min(tiles)
    }

    /// Shares neighboring queries among `parts` threads. The first of them has the position after `skipped` others.
    fn share(
        &self,
        ctx: &mut Ctx<'_, ()>,
        parts: usize,
        queries: QueryRows<'_>,
        (positions, skipped): (&impl Positions, usize),
        out: &mut [f32],
    ) {
        let QueryRows { values, width } = queries;
        let count = rows(values, width).len();
        if parts < 2 || count < 2 {
            let ranges = positions.clone().skip(skipped).take(count).map(|query| KeyRanges::new(self.mask, query));
            return self.attend_tiles(ctx, queries, ranges, out);
        }
        let left = parts / 2;
        let at = split_point(count, left, parts, 1);
        let (values, later_values) = split(values, at * width);
        let (out, later_out) = split_mut(out, at * self.heads.q_dim());
        let parallel = ctx.quantize.parallel;
        let tiles = ctx.head.capacity(self.heads.head_dim);
        let [mut first, mut second] = ctx.split_heads(tiles * left / parts, tiles);
        parallel.join(&mut || self.share(&mut first.ctx(), left, QueryRows { values, width }, (positions, skipped), out), &mut || {
            self.share(&mut second.ctx(), parts - left, QueryRows { values: later_values, width }, (positions, skipped + at), later_out)
        });
    }

    /// Attends with tiles of neighboring queries, as many at a time as fit.
    fn attend_tiles(
        &self,
        ctx: &mut Ctx<'_, ()>,
        queries: QueryRows<'_>,
        mut ranges: impl Iterator<Item = KeyRanges>,
        mut out: &mut [f32],
    ) {
        let QueryRows { values: mut rest, width } = queries;
        let mut next = ranges.next();
        while let Some(first) = next {
            let mut tile = Tile::new();
            let mut is_full = tile.push(first).is_err();
            next = ranges.next();
            while let Some(query) = next.take_if(|query| self.fits_in_tile(&tile, query, &ctx.head)) {
                is_full |= tile.push(query).is_err();
                next = ranges.next();
            }
            debug_assert!(!is_full, "a tile of more than {} queries", tile.len());
            let (rows_now, rows_later) = split(rest, tile.len() * width);
            let (out_now, out_later) = split_mut(out, tile.len() * self.heads.q_dim());
            (rest, out) = (rows_later, out_later);
            self.attend_tile(ctx, QueryRows { values: rows_now, width }, &tile, out_now);
        }
    }

    /// Whether a query can be added to the tile: it has one range of keys, which begins where the tile's ranges begin, and the buffers hold one
    /// more query.
    fn fits_in_tile(&self, tile: &Tile, next: &KeyRanges, scratch: &HeadScratch<'_>) -> bool {
        let count = tile.len() + 1;
        let stride = score_stride(tile.iter().chain([next]));
        let fits_int8 =
            || stride <= KEYS_PER_SUM && count * stride <= scratch.weights.len() && count <= scratch.capacity(self.heads.head_dim);
        let fits = match self.cache {
            LayerCache::State { .. } => false,
            LayerCache::F32(_) | LayerCache::F16(_) => true,
            LayerCache::Int8 { .. } => fits_int8(),
        };
        fits && count <= QUERIES
            && count * stride <= scratch.scores.len()
            && next.far().is_none()
            && tile.iter().all(|other| other.far().is_none() && other.near.keys.start == next.near.keys.start)
    }

    /// Attends with a tile of query rows `(queries, width)`; `out` is `(queries, q_dim)`.
    fn attend_tile(&self, ctx: &mut Ctx<'_, ()>, queries: QueryRows<'_>, tile: &Tile, out: &mut [f32]) {
        match (self.cache, &tile[..]) {
            (_, [one]) => self.attend_one(ctx, queries.values, one, out),
            #[cfg(feature = "kv-float")]
            (LayerCache::F32(rows), ranges) => self.float_tile(queries, ranges).attend(rows, ctx, out),
            #[cfg(feature = "kv-float")]
            (LayerCache::F16(rows), ranges) => self.float_tile(queries, ranges).attend(rows, ctx, out),
            #[cfg(feature = "kv-int8")]
            (LayerCache::Int8 { rows, key_scales, value_scales }, [_, _, ..]) => {
                let cache = Int8Cache { rows, key_scales, value_scales };
                cache.attend_tile(self.heads, queries, tile, (ctx.kernels, &mut ctx.head), out);
            }
            _ => debug_assert!(false, "a tile of {} queries", tile.len()),
        }
    }

    #[cfg(feature = "kv-float")]
    fn float_tile<'t>(&'t self, queries: QueryRows<'t>, ranges: &'t [KeyRanges]) -> softmax_float::QueryTile<'t> {
        softmax_float::QueryTile::new(self.heads, queries, ranges)
    }

    /// Attends with one query row `(q_dim, ..)`; `out` is `(q_dim)`.
    pub fn attend_one<P: Probe>(&self, ctx: &mut Ctx<'_, P>, queries: &[f32], ranges: &KeyRanges, out: &mut [f32]) {
        let one = HeadQueries { queries, ranges, heads: self.heads };
        #[cfg(feature = "kv-float")]
        let query = QueryRows { values: queries, width: self.heads.q_dim() };
        match self.cache {
            LayerCache::State { sums, .. } if LINEAR => {
                let Some(phi_q) = &mut ctx.head.phi_q else {
                    debug_assert!(false, "linear attention without its buffer");
                    return;
                };
                let state_len = linear_state_len(self.heads.head_dim);
                for (head, out) in one.iter(out) {
                    linear::read(row(sums, state_len, head.kv_head), head.query, phi_q, out);
                }
            }
            #[cfg(feature = "kv-float")]
            LayerCache::F32(rows) => self.float_tile(query, core::slice::from_ref(ranges)).attend(rows, ctx, out),
            #[cfg(feature = "kv-float")]
            LayerCache::F16(rows) => self.float_tile(query, core::slice::from_ref(ranges)).attend(rows, ctx, out),
            #[cfg(feature = "kv-int8")]
            LayerCache::Int8 { rows, key_scales, value_scales } => Int8Cache { rows, key_scales, value_scales }.attend(&one, ctx, out),
            _ => debug_assert!(false, "the kind of cache is not built in"),
        }
    }
}
