//! One layer of a stack: attention and MLP with their norms and residual connections.

use super::attention::SelfAttention;
use super::attention::attend::Positions;
use super::attention::cross::{CrossAttention, EncoderKv};
use super::attention::heads::QueryRows;
use super::attention::key_ranges::QueryPos;
use super::attention::kv_cache::LayerCache;
use super::ctx::Ctx;
use super::layer_embedding::LayerEmbedding;
use super::mlp::Mlp;
use super::norm::Norm;
use super::rope::Rotary;
use crate::format::{NormPlacement, Role};
use crate::image::Image;
use crate::kernels::Kernels;
use crate::probe::{Part, Probe};
use crate::slices::{prefix_mut, rows, rows_mut};

/// One layer.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    placement: NormPlacement,
    parallel: bool,
    attn_norm: Norms<'a>,
    attention: SelfAttention<'a>,
    cross_norm: Norms<'a>,
    cross: Option<CrossAttention<'a>>,
    mlp_norm: Norms<'a>,
    mlp: Mlp<'a>,
    layer_embedding: Option<LayerEmbedding<'a>>,
    d_model: usize,
}

/// The norms of a sublayer: the one that every placement has, and a sandwich's second one, after the sublayer.
type Norms<'a> = (Norm<'a>, Option<Norm<'a>>);

/// Activation buffers of a block. The arena's workspace states their sizes.
#[derive(Debug)]
pub struct BlockBuffers<'s> {
    /// Normed rows, attended rows, or the MLP's neurons.
    pub normed: &'s mut [f32],
    /// Products of a sublayer's first matrix, then its output.
    pub proj: &'s mut [f32],
    /// The attention's output while a parallel MLP runs, `(block, d_model)`; only for parallel blocks (GPT-J).
    pub attn_out: Option<&'s mut [f32]>,
}

/// Inputs of a decoder's block besides its rows.
#[derive(Debug)]
pub struct Step<'r, 'c> {
    /// Tokens of the rows.
    pub tokens: &'r [u32],
    /// The rows' rotations, in models with RoPE.
    pub rotary: Option<Rotary<'r>>,
    /// The layer's keys and values.
    pub cache: LayerCache<'c>,
    /// Rows of the cache of each sequence of a batch; `None` for consecutive tokens of one sequence.
    pub capacity: Option<usize>,
    /// Keys and values of the encoder's rows, for cross-attention.
    pub encoder: Option<EncoderKv<'c>>,
}

/// Rows of an encoder, between the two halves of a layer.
#[derive(Debug)]
pub struct EncoderRows<'r, 'c> {
    /// The residual stream, `(tokens, d_model)`.
    pub x: &'r mut [f32],
    /// `(tokens, q_dim)`.
    pub queries: &'r mut [f32],
    /// The layer's keys and values.
    pub cache: &'r mut LayerCache<'c>,
}

impl<'a> Block<'a> {
    /// Layer `layer` of the image.
    pub fn new(image: &Image<'a>, layer: u32) -> Self {
        let config = image.config();
        let sandwich = config.placement == NormPlacement::Sandwich;
        let norms = |role, post_role| (Norm::new(image, role, layer), sandwich.then(|| Norm::new(image, post_role, layer)));
        Block {
            placement: config.placement,
            parallel: config.parallel,
            attn_norm: norms(Role::AttnNorm, Role::AttnPostNorm),
            attention: SelfAttention::new(image, layer),
            // A sandwich's cross-attention has only the norm before it.
            cross_norm: (Norm::new(image, Role::CrossNorm, layer), None),
            cross: CrossAttention::new(image, layer),
            mlp_norm: norms(Role::MlpNorm, Role::MlpPostNorm),
            mlp: Mlp::new(image, layer),
            layer_embedding: LayerEmbedding::new(image, layer),
            d_model: config.d_model as usize,
        }
    }

    /// The same block with bidirectional attention.
    pub fn bidirectional(self) -> Self {
        Block { attention: self.attention.bidirectional(), ..self }
    }

    /// Runs a decoder's rows `(tokens, d_model)` through the layer in place. They attend to the tokens before them.
    pub fn forward<P: Probe>(&self, ctx: &mut Ctx<'_, P>, x: &mut [f32], step: &mut Step<'_, '_>, buffers: &mut BlockBuffers<'_>) {
        let BlockBuffers { normed, proj, .. } = buffers;
        let input = self.pre_norm(ctx.kernels, &self.attn_norm, x, normed);
        let projected = self.attention.project_qkv(ctx, input, step.rotary, proj);
        self.attention.causal_attend(ctx, projected, step.capacity, &mut step.cache, normed);
        self.attn_out_and_mlp(ctx, x, Some(step), buffers);
    }

    /// The first half of an encoder's layer: stores keys and values of the rows in the cache, and their queries in `rows.queries`.
    pub fn project_qkv<P: Probe>(
        &self,
        ctx: &mut Ctx<'_, P>,
        rows: &mut EncoderRows<'_, '_>,
        positions: impl Iterator<Item = QueryPos>,
        rotary: Option<Rotary<'_>>,
        buffers: &mut BlockBuffers<'_>,
    ) {
        let input = self.pre_norm(ctx.kernels, &self.attn_norm, rows.x, buffers.normed);
        let projected = self.attention.project_qkv(ctx, input, rotary, buffers.proj);
        self.attention.store(positions.map(|query| query.seq_start + query.pos), projected, rows.cache);
        for (query, row) in rows_mut(rows.queries, self.attention.q_dim()).zip(projected.values.chunks_exact(projected.width.max(1))) {
            query.iter_mut().zip(row).for_each(|(query, &x)| *query = x);
        }
    }

    /// The second half of an encoder's layer: the rows attend to the keys of their sequence and run through the rest of the layer in place.
    pub fn attend_and_mlp<P: Probe>(
        &self,
        ctx: &mut Ctx<'_, P>,
        rows: &mut EncoderRows<'_, '_>,
        positions: impl Positions,
        buffers: &mut BlockBuffers<'_>,
    ) {
        let queries = QueryRows { values: rows.queries, width: self.attention.q_dim() };
        self.attention.attend(ctx, queries, positions, rows.cache, buffers.normed);
        self.attn_out_and_mlp(ctx, rows.x, None, buffers);
    }

    /// The rest of the layer after self-attention, whose attended rows are in the front of `buffers.normed`: output projection,
    /// cross-attention, MLP, per-layer embedding.
    fn attn_out_and_mlp<P: Probe>(&self, ctx: &mut Ctx<'_, P>, x: &mut [f32], step: Option<&Step<'_, '_>>, buffers: &mut BlockBuffers<'_>) {
        let BlockBuffers { normed, proj, attn_out } = buffers;
        let (kernels, count, q_dim) = (ctx.kernels, rows(x, self.d_model).len(), self.attention.q_dim());
        let attended = prefix_mut(normed, count * q_dim);
        ctx.show(Part::Heads, q_dim, attended);
        let out = self.attention.output(ctx, attended, proj);
        ctx.show(Part::Attention, self.d_model, out);
        let mut attn_out = attn_out.as_deref_mut().filter(|_| self.parallel).map(|kept| prefix_mut(kept, out.len()));
        match &mut attn_out {
            Some(kept) => kept.iter_mut().zip(&*out).for_each(|(kept, &y)| *kept = y),
            None => self.add_residual(kernels, &self.attn_norm, x, out, normed),
        }
        let encoder = step.and_then(|step| step.encoder.as_ref()).filter(|_| cfg!(feature = "encoder"));
        if let (Some(cross), Some(encoder)) = (&self.cross, encoder) {
            self.pre_norm(kernels, &self.cross_norm, x, normed);
            let out = cross.apply(ctx, count, encoder, normed, proj);
            self.add_residual(kernels, &self.cross_norm, x, out, normed);
        }
        self.pre_norm(kernels, &self.mlp_norm, x, normed);
        let out = self.mlp.apply(ctx, count, normed, proj);
        ctx.show(Part::Mlp, self.d_model, out);
        if let Some(kept) = attn_out {
            x.iter_mut().zip(&*kept).for_each(|(x, &y)| *x += y);
        }
        self.add_residual(kernels, &self.mlp_norm, x, out, normed);
        if let Some(embedding) = &self.layer_embedding {
            let tokens = step.map_or(&[][..], |step| step.tokens);
            embedding.apply(ctx, tokens, x, normed, proj);
        }
        ctx.show(Part::Residual, self.d_model, x);
    }

    /// The input of a sublayer, in the front of `normed`: normed rows, or with post-norm the rows themselves.
    fn pre_norm<'i>(&self, kernels: &Kernels, (norm, _): &Norms<'_>, x: &[f32], normed: &'i mut [f32]) -> &'i [f32] {
        let normed = prefix_mut(normed, x.len());
        match self.placement {
            NormPlacement::Pre | NormPlacement::Sandwich => norm.apply(kernels, x, normed),
            NormPlacement::Post => normed.iter_mut().zip(x).for_each(|(normed, &x)| *normed = x),
        }
        normed
    }

    /// Adds a sublayer's output to the residual stream `x`. A sandwich norms the output first; post-norm norms the sum.
    fn add_residual(&self, kernels: &Kernels, (norm, post): &Norms<'_>, x: &mut [f32], out: &mut [f32], scratch: &mut [f32]) {
        if let Some(post) = post {
            post.apply_in_place(kernels, out, scratch);
        }
        x.iter_mut().zip(&*out).for_each(|(x, &y)| *x += y);
        if self.placement == NormPlacement::Post {
            norm.apply_in_place(kernels, x, scratch);
        }
    }
}
