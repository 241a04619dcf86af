//! Multi-head self-attention (Vaswani et al. 2017, section 3.2) of a block, over its KV cache.

pub mod attend;
pub mod bias;
pub mod cross;
pub mod heads;
pub mod key_ranges;
pub mod kv_cache;
pub mod linear;
#[cfg(feature = "kv-float")]
pub mod softmax_float;
#[cfg(feature = "kv-int8")]
pub mod softmax_int8;
#[cfg(feature = "kv-int8")]
pub mod tile;

use super::ctx::Ctx;
use super::linear::Linear;
use super::norm::Norm;
use super::rope::Rotary;
use crate::format::{AttentionKind, Role};
use crate::image::Image;
use crate::probe::{Part, Probe, Site};
use crate::slices::{part_mut, prefix_mut, rows, rows_mut, split_mut};
use attend::{AttentionCall, Positions};
use bias::ScoreBias;
use heads::{Heads, QueryRows};
use key_ranges::{KeyRanges, Mask, QueryPos};
use kv_cache::{LINEAR, LayerCache};

/// One block's self-attention.
#[derive(Clone, Copy, Debug)]
pub struct SelfAttention<'a> {
    qkv: Linear<'a>,
    out: Linear<'a>,
    /// Subtracted from the keys before the cache stores them, `(kv_dim)`; empty for none.
    key_offset: &'a [f32],
    /// QK norm: norms of each query head and each key head (Henry et al. 2020).
    head_norms: Option<[Norm<'a>; 2]>,
    heads: Heads<'a>,
    mask: Mask,
    kind: AttentionKind,
}

/// Queries, keys and values of some tokens.
#[derive(Clone, Copy, Debug)]
pub struct Projected<'w> {
    /// `(tokens, width)`.
    pub values: &'w [f32],
    /// q_dim + 2 kv_dim.
    pub width: usize,
}

impl<'a> SelfAttention<'a> {
    /// The self-attention of layer `layer`.
    pub fn new(image: &Image<'a>, layer: u32) -> Self {
        let config = image.config();
        let in_encoder = config.has_cross() && layer < config.encoder_layers;
        let bias = if in_encoder { Role::EncoderScoreBias } else { Role::ScoreBias };
        let norms = [Role::QueryNorm, Role::KeyNorm].map(|role| config.qk_norm.then(|| Norm::new(image, role, layer)));
        SelfAttention {
            qkv: Linear::new(image, Role::Qkv, layer),
            out: Linear::new(image, Role::AttnOut, layer),
            head_norms: match norms {
                [Some(query), Some(key)] => Some([query, key]),
                _ => None,
            },
            key_offset: match config.key_offset.then(|| image.entry(Role::KeyOffset, layer)).flatten() {
                Some(entry) => image.view(entry.values, entry.columns),
                None => &[],
            },
            heads: Heads::new(config, ScoreBias::new(image, bias)),
            mask: if in_encoder { Mask::BIDIRECTIONAL } else { Mask::new(config) },
            kind: config.attention,
        }
    }

    /// The same attention without a causal mask: every query attends to its whole sequence.
    pub fn bidirectional(self) -> Self {
        SelfAttention { mask: Mask::BIDIRECTIONAL, ..self }
    }

    /// Width of all queries of a token.
    pub fn q_dim(&self) -> usize {
        self.heads.q_dim()
    }

    /// Projects the normed rows `x` `(tokens, d_model)` to queries, keys and values in the front of `proj` `(tokens, qkv_dim)`, applies QK
    /// norm and RoPE, and subtracts the keys' offset. Softmax ignores the offset, because it changes all scores of a query alike; an int8
    /// cache rounds the smaller keys more finely.
    pub fn project_qkv<'w, P: Probe>(
        &self,
        ctx: &mut Ctx<'_, P>,
        x: &[f32],
        rotary: Option<Rotary<'_>>,
        proj: &'w mut [f32],
    ) -> Projected<'w> {
        let width = self.qkv.matrix().rows;
        let qkv = self.qkv.apply(ctx, x, proj);
        let (q_dim, kv_dim) = (self.q_dim(), self.heads.kv_dim());
        if let (Some([query, key]), Some(scratch)) = (&self.head_norms, &mut ctx.head.phi_q) {
            for row in rows_mut(qkv, width) {
                let (queries, keys) = split_mut(row, q_dim);
                query.apply_in_place(ctx.kernels, queries, scratch);
                key.apply_in_place(ctx.kernels, prefix_mut(keys, kv_dim), scratch);
            }
        }
        if let Some(rotary) = rotary {
            rotary.apply(qkv, width, q_dim + kv_dim);
        }
        for (row, start) in rows_mut(qkv, width).zip(ctx.start..) {
            let site = Site { layer: ctx.layer, part: Part::Keys, start };
            let keys = part_mut(row, q_dim..q_dim + kv_dim);
            ctx.probe.rows(site, kv_dim, keys);
            keys.iter_mut().zip(self.key_offset).for_each(|(key, &offset)| *key -= offset);
        }
        Projected { values: qkv, width }
    }

    /// Stores keys and values in the cache, each token's at its index.
    pub fn store(&self, indices: impl Iterator<Item = usize>, projected: Projected<'_>, cache: &mut LayerCache<'_>) {
        cache.store_rows(indices, projected.values, projected.width, self.heads.kv_dim());
    }

    /// Attends with the query rows to keys in the cache. Returns the front of `out`, `(queries, q_dim)`.
    pub fn attend<'o, P: Probe>(
        &self,
        ctx: &mut Ctx<'_, P>,
        queries: QueryRows<'_>,
        positions: impl Positions,
        cache: &LayerCache<'_>,
        out: &'o mut [f32],
    ) -> &'o mut [f32] {
        AttentionCall { heads: &self.heads, mask: self.mask, cache }.attend(ctx, queries, positions, out)
    }

    /// Causal attention of a decoder's tokens from position `ctx.start` on: stores their keys and values, then attends. Returns the front
    /// of `out`, `(tokens, q_dim)`.
    ///
    /// With a `capacity`, the rows are one token each of a batch of sequences that have so many rows of the cache, all at position `ctx.start`.
    ///
    /// With softmax all tokens are stored first, since the causal mask excludes the keys after a query; a linear-attention state takes one
    /// token at a time.
    pub fn causal_attend<'o, P: Probe>(
        &self,
        ctx: &mut Ctx<'_, P>,
        projected: Projected<'_>,
        capacity: Option<usize>,
        cache: &mut LayerCache<'_>,
        out: &'o mut [f32],
    ) -> &'o mut [f32] {
        let Projected { values, width } = projected;
        let (start, count) = (ctx.start, rows(values, width).len());
        if let Some(capacity) = capacity {
            let positions = (0..count).map(|row| QueryPos { pos: start, seq_start: row * capacity, seq_len: start + 1 });
            self.store(positions.clone().map(|query| query.seq_start + query.pos), projected, cache);
            return self.attend(ctx, QueryRows { values, width }, positions, cache, out);
        }
        if self.kind == AttentionKind::Softmax || !LINEAR {
            self.store(start.., projected, cache);
            let seq_len = start + count;
            let positions = (start..seq_len).map(|pos| QueryPos { pos, seq_start: 0, seq_len });
            return self.attend(ctx, QueryRows { values, width }, positions, cache, out);
        }
        let attended = prefix_mut(out, count * self.q_dim());
        for ((row, out), pos) in rows(values, width).zip(rows_mut(attended, self.q_dim())).zip(start..) {
            self.store(pos.., Projected { values: row, width }, cache);
            let ranges = KeyRanges::new(self.mask, QueryPos { pos, seq_start: 0, seq_len: pos + 1 });
            AttentionCall { heads: &self.heads, mask: self.mask, cache }.attend_one(ctx, row, &ranges, out);
        }
        attended
    }

    /// The output projection of attended rows, in the front of `proj` as `(tokens, d_model)`.
    pub fn output<'o, P: Probe>(&self, ctx: &mut Ctx<'_, P>, attended: &[f32], proj: &'o mut [f32]) -> &'o mut [f32] {
        self.out.apply(ctx, attended, proj)
    }
}
