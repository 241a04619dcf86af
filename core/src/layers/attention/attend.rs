//! Attention of query rows over a KV cache: chooses the arithmetic by the cache's type, and the tile of queries where one fits.

use super::heads::{HeadQueries, Heads, QueryRows};
use super::key_ranges::{KeyRanges, Mask, QueryPos};
use super::kv_cache::{KV_FLOAT, LINEAR, LayerCache};
#[cfg(feature = "kv-int8")]
use super::softmax_int8::Int8Cache;
#[cfg(feature = "kv-int8")]
use super::tile::{Tile, fits_in_tile};
use super::{linear, softmax_float};
use crate::layers::ctx::Ctx;
use crate::memory::layout::linear_state_len;
use crate::probe::Probe;
use crate::slices::{prefix_mut, row, rows, rows_mut};
use half::f16;

/// Whether tiles of queries are built in. A microcontroller's decoder seldom has blocks that are large enough.
#[cfg(feature = "kv-int8")]
const HAS_TILES: bool = cfg!(any(feature = "encoder", not(target_os = "none")));

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

impl AttentionCall<'_, '_> {
    /// Attends with each query row, at the positions given in the same order. Returns the front of `out`, `(queries, q_dim)`.
    pub fn attend<'o, P: Probe>(
        &self,
        ctx: &mut Ctx<'_, P>,
        queries: QueryRows<'_>,
        positions: impl Iterator<Item = QueryPos>,
        out: &'o mut [f32],
    ) -> &'o mut [f32] {
        let q_dim = self.heads.q_dim();
        let attended = prefix_mut(out, rows(queries.values, queries.width).len() * q_dim);
        let ranges = positions.map(|query| KeyRanges::new(self.mask, query));
        // The scratch of small blocks holds a single query.
        #[cfg(feature = "kv-int8")]
        if HAS_TILES && ctx.head.query.len() >= 2 * self.heads.head_dim && !ctx.probe.wants_attention() {
            self.attend_tiles(ctx, queries, ranges, attended);
            return attended;
        }
        for ((row, out), ranges) in rows(queries.values, queries.width).zip(rows_mut(attended, q_dim)).zip(ranges) {
            self.attend_one(ctx, row, &ranges, out);
        }
        attended
    }

    /// Attends with tiles of neighboring queries, as many at a time as fit.
    #[cfg(feature = "kv-int8")]
    fn attend_tiles<P: Probe>(
        &self,
        ctx: &mut Ctx<'_, P>,
        queries: QueryRows<'_>,
        ranges: impl Iterator<Item = KeyRanges>,
        mut out: &mut [f32],
    ) {
        let QueryRows { values: mut rest, width } = queries;
        let mut ranges = ranges.take(rows(rest, width).len()).peekable();
        while let Some(first) = ranges.next() {
            let mut tile = Tile::new();
            let mut is_full = tile.push(first).is_err();
            while !is_full
                && matches!(self.cache, LayerCache::Int8 { .. })
                && let Some(next) = ranges.next_if(|next| fits_in_tile(self.heads.head_dim, &tile, next, &ctx.head))
            {
                is_full = tile.push(next).is_err();
            }
            debug_assert!(!is_full, "a tile of more than {} queries", tile.len());
            let (rows_now, rows_later) = crate::slices::split(rest, tile.len() * width);
            let (out_now, out_later) = crate::slices::split_mut(out, tile.len() * self.heads.q_dim());
            (rest, out) = (rows_later, out_later);
            match (self.cache, &tile[..]) {
                (LayerCache::Int8 { rows, key_scales, value_scales }, [_, _, ..]) => {
                    let cache = Int8Cache { rows, key_scales, value_scales };
                    let queries = QueryRows { values: rows_now, width };
                    cache.attend_tile(self.heads, queries, &tile, (ctx.kernels, &mut ctx.head), out_now);
                }
                (_, [one]) => self.attend_one(ctx, rows_now, one, out_now),
                _ => debug_assert!(false, "a tile of {} queries", tile.len()),
            }
        }
    }

    /// Attends with one query row `(q_dim, ..)`; `out` is `(q_dim)`.
    pub fn attend_one<P: Probe>(&self, ctx: &mut Ctx<'_, P>, queries: &[f32], ranges: &KeyRanges, out: &mut [f32]) {
        let one = HeadQueries { queries, ranges, heads: self.heads };
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
            LayerCache::F32(rows) if KV_FLOAT => softmax_float::attend(&one, rows, |x| x, ctx, out),
            LayerCache::F16(rows) if KV_FLOAT => softmax_float::attend(&one, rows, |x| f16::from_bits(x).to_f32_const(), ctx, out),
            #[cfg(feature = "kv-int8")]
            LayerCache::Int8 { rows, key_scales, value_scales } => Int8Cache { rows, key_scales, value_scales }.attend(&one, ctx, out),
            _ => debug_assert!(false, "the kind of cache is not built in"),
        }
    }
}
