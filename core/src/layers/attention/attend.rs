//! Attention of query rows over a KV cache: chooses the arithmetic by the cache's type, and the tile of queries where one fits.

use super::heads::{HeadQuery, Heads, QueryRows};
use super::key_ranges::{KeyRanges, Mask, QueryPos};
use super::kv_cache::LayerCache;
use super::softmax_int8::Int8Cache;
use super::tile::{Tile, fits_in_tile};
use super::{linear, softmax_float};
use crate::layers::ctx::Ctx;
use crate::memory::layout::linear_state_len;
use crate::probe::Probe;
use crate::slices::{prefix_mut, row, rows, rows_mut, split, split_mut};
use half::f16;

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
        let count = rows(queries.values, queries.width).len();
        let attended = prefix_mut(out, count * q_dim);
        let mut ranges = positions.take(count).map(|query| KeyRanges::new(self.mask, query)).peekable();
        let (mut rest, mut out_rest) = (queries.values, &mut *attended);
        while let Some(first) = ranges.next() {
            let mut tile = Tile::new();
            let _ = tile.push(first);
            if let LayerCache::Int8 { .. } = self.cache
                && !ctx.probe.wants_attention()
            {
                while let Some(next) = ranges.next_if(|next| fits_in_tile(self.heads.head_dim, &tile, next, &ctx.head)) {
                    let _ = tile.push(next);
                }
            }
            let (rows_now, rows_later) = split(rest, tile.len() * queries.width);
            let (out_now, out_later) = split_mut(out_rest, tile.len() * q_dim);
            (rest, out_rest) = (rows_later, out_later);
            match (self.cache, &tile[..]) {
                (LayerCache::Int8 { rows, key_scales, value_scales }, [_, _, ..]) => {
                    let cache = Int8Cache { rows, key_scales, value_scales };
                    let queries = QueryRows { values: rows_now, ..queries };
                    cache.attend_tile(self.heads, queries, &tile, (ctx.kernels, &mut ctx.head), out_now);
                }
                (_, [one]) => self.attend_one(ctx, rows_now, one, out_now),
                _ => debug_assert!(false, "a tile of {} queries", tile.len()),
            }
        }
        attended
    }

    /// Attends with one query row `(q_dim, ..)`; `out` is `(q_dim)`.
    pub fn attend_one<P: Probe>(&self, ctx: &mut Ctx<'_, P>, queries: &[f32], ranges: &KeyRanges, out: &mut [f32]) {
        let heads = self.heads;
        let (head_dim, group) = (heads.head_dim, heads.group());
        for (head, (query, out)) in rows(queries, head_dim).zip(rows_mut(out, head_dim)).enumerate() {
            let kv_head = head / group;
            let one = HeadQuery { head, query, offset: kv_head * head_dim, ranges, heads };
            match self.cache {
                LayerCache::State { sums, .. } => match &mut ctx.head.phi_q {
                    Some(phi_q) => linear::read(row(sums, linear_state_len(head_dim), kv_head), query, phi_q, out),
                    None => debug_assert!(false, "linear attention without its buffer"),
                },
                LayerCache::F32(rows) => softmax_float::attend(&one, rows, |x| x, ctx, out),
                LayerCache::F16(rows) => softmax_float::attend(&one, rows, |x| f16::from_bits(x).to_f32_const(), ctx, out),
                LayerCache::Int8 { rows, key_scales, value_scales } => {
                    Int8Cache { rows, key_scales, value_scales }.attend(&one, ctx, out);
                }
            }
        }
    }
}
