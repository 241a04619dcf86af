//! Cross-attention: a decoder block's attention to the encoder's rows (Vaswani et al. 2017, section 3.2.3). The rows' keys and values are
//! computed and cached once per input.

use super::attend::AttentionCall;
use super::bias::ScoreBias;
use super::heads::{Heads, QueryRows};
use super::key_ranges::{Mask, QueryPos};
use super::kv_cache::LayerCache;
use crate::format::Role;
use crate::image::Image;
use crate::layers::ctx::Ctx;
use crate::layers::linear::Linear;
use crate::probe::{Part, Probe, Site};
use crate::slices::{prefix_mut, rows_mut};

/// A decoder block's cross-attention.
#[derive(Clone, Copy, Debug)]
pub struct CrossAttention<'a> {
    query: Linear<'a>,
    kv: Linear<'a>,
    out: Linear<'a>,
    heads: Heads<'a>,
}

/// Keys and values of the encoder's output in one decoder layer.
#[derive(Debug)]
pub struct EncoderKv<'c> {
    /// Keys and values.
    pub cache: LayerCache<'c>,
    /// Rows of encoder output.
    pub encoder_len: usize,
}

impl<'a> CrossAttention<'a> {
    /// The cross-attention of layer `layer`; `None` in stacks without.
    pub fn new(image: &Image<'a>, layer: u32) -> Option<Self> {
        let config = image.config();
        (config.has_cross() && layer >= config.encoder_layers).then(|| CrossAttention {
            query: Linear::new(image, Role::CrossQuery, layer),
            kv: Linear::new(image, Role::CrossKv, layer),
            out: Linear::new(image, Role::CrossOut, layer),
            heads: Heads::new(config, ScoreBias::None),
        })
    }

    /// Computes keys and values of the encoder's rows `x` `(rows, d_model)`, of which the first has the index `ctx.start`, and stores them
    /// in the cache.
    pub fn cache_encoder_kv<P: Probe>(&self, ctx: &mut Ctx<'_, P>, x: &[f32], cache: &mut LayerCache<'_>, proj: &mut [f32]) {
        let (width, kv_dim, first) = (self.kv.matrix().rows, self.heads.kv_dim(), ctx.start);
        let kv = self.kv.apply(ctx, x, proj);
        for (row, start) in rows_mut(kv, width).zip(first..) {
            ctx.probe.rows(Site { layer: ctx.layer, part: Part::CrossKeys, start }, kv_dim, prefix_mut(row, kv_dim));
        }
        cache.store_rows(first.., kv, width, kv_dim);
    }

    /// Attends with `tokens` rows from position `ctx.start` on to the encoder's rows. `normed` holds the rows `(tokens, d_model)` and is
    /// overwritten; returns the output in the front of `proj`, `(tokens, d_model)`.
    pub fn apply<'o, P: Probe>(
        &self,
        ctx: &mut Ctx<'_, P>,
        tokens: usize,
        encoder: &EncoderKv<'_>,
        normed: &mut [f32],
        proj: &'o mut [f32],
    ) -> &'o mut [f32] {
        let (start, seq_len, width) = (ctx.start, encoder.encoder_len, self.query.matrix().rows);
        let queries = self.query.apply(ctx, prefix_mut(normed, tokens * self.query.matrix().columns), proj);
        let positions = (start..).map(|pos| QueryPos { pos, seq_start: 0, seq_len });
        let call = AttentionCall { heads: &self.heads, mask: Mask::BIDIRECTIONAL, cache: &encoder.cache };
        // A probe's attention is the self-attention.
        let attended = call.attend(&mut ctx.with_probe(&mut ()), QueryRows { values: queries, width }, positions, normed);
        self.out.apply(ctx, attended, proj)
    }
}
