//! One layer of the stack: attention and MLP with their norms and residual sums.

use super::attention::{Attention, HeadScratch, QueryRows};
use super::cache::LayerCache;
use super::linear::QuantizeScratch;
use super::mlp::Mlp;
use super::norm::Norm;
use super::position::Rotary;
use super::{front, rows, rows_mut};
use crate::image::Image;
use crate::image::directory::Role;
use crate::image::header::NormPlacement;
use crate::kernels::Kernels;

/// One layer.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    placement: NormPlacement,
    attn_norm: Norm<'a>,
    attention: Attention<'a>,
    mlp_norm: Norm<'a>,
    mlp: Mlp<'a>,
    d_model: usize,
}

/// Buffers of a block, see the arena's workspace for their shapes.
#[derive(Debug)]
pub struct BlockScratch<'s> {
    /// Normed rows, attended values, or the MLP's inner rows.
    pub inner: &'s mut [f32],
    /// Products of the first matrices, then a layer's output.
    pub wide: &'s mut [f32],
    /// Quantized inputs.
    pub quantize: QuantizeScratch<'s>,
    /// One head's.
    pub head: HeadScratch<'s>,
}

impl<'a> Block<'a> {
    /// Layer `layer` of the image.
    pub fn new(image: &Image<'a>, layer: u32) -> Self {
        let config = image.config();
        Block {
            placement: config.placement,
            attn_norm: Norm::new(image, Role::AttnNorm, layer),
            attention: Attention::new(image, layer),
            mlp_norm: Norm::new(image, Role::MlpNorm, layer),
            mlp: Mlp::new(image, layer),
            d_model: config.d_model as usize,
        }
    }

    /// Runs the rows of `x` `(tokens, d_model)`, the first of which stands at position `start`, through the layer in place: they see
    /// the tokens before them.
    pub fn apply(
        &self,
        kernels: &Kernels,
        start: usize,
        x: &mut [f32],
        rotary: Option<Rotary<'_>>,
        cache: &mut LayerCache<'_>,
        scratch: &mut BlockScratch<'_>,
    ) {
        let end = start + rows(x, self.d_model).len();
        let BlockScratch { inner, wide, quantize, head } = scratch;
        let normed = self.enter(kernels, &self.attn_norm, x, inner);
        let queries = self.attention.project(kernels, start, normed, rotary, wide, cache, quantize);
        self.attention.attend(kernels, queries, end, cache, head, inner);
        self.finish(kernels, x, scratch);
    }

    /// The first half of an encoder's layer: keys and values of the rows of `x` go to the cache, their queries to `queries` `(tokens, q_dim)`.
    #[expect(clippy::too_many_arguments, reason = "what `apply` takes, and where the queries go")]
    pub fn ask(
        &self,
        kernels: &Kernels,
        start: usize,
        x: &[f32],
        rotary: Option<Rotary<'_>>,
        cache: &mut LayerCache<'_>,
        scratch: &mut BlockScratch<'_>,
        queries: &mut [f32],
    ) {
        let BlockScratch { inner, wide, quantize, .. } = scratch;
        let normed = self.enter(kernels, &self.attn_norm, x, inner);
        let asked = self.attention.project(kernels, start, normed, rotary, wide, cache, quantize);
        for (kept, row) in rows_mut(queries, self.attention.q_dim()).zip(rows(asked.values, asked.width)) {
            kept.iter_mut().zip(row).for_each(|(kept, &x)| *kept = x);
        }
    }

    /// The second half: the rows of `x` see all `tokens` of the sequence, and run through the rest of the layer in place.
    #[expect(clippy::too_many_arguments, reason = "what `apply` takes, and what the first half kept")]
    pub fn answer(
        &self,
        kernels: &Kernels,
        start: usize,
        x: &mut [f32],
        tokens: usize,
        cache: &LayerCache<'_>,
        scratch: &mut BlockScratch<'_>,
        queries: &[f32],
    ) {
        let asked = QueryRows { values: queries, width: self.attention.q_dim(), start };
        self.attention.attend(kernels, asked, tokens, cache, &mut scratch.head, scratch.inner);
        self.finish(kernels, x, scratch);
    }

    /// From the attended rows in the front of `inner` to the end of the layer.
    fn finish(&self, kernels: &Kernels, x: &mut [f32], scratch: &mut BlockScratch<'_>) {
        let BlockScratch { inner, wide, quantize, .. } = scratch;
        let tokens = rows(x, self.d_model).len();
        let attended = front(inner, tokens * self.attention.q_dim());
        let out = self.attention.output(kernels, attended, wide, quantize);
        self.leave(kernels, &self.attn_norm, x, out, inner);
        self.enter(kernels, &self.mlp_norm, x, inner);
        let out = self.mlp.apply(kernels, tokens, inner, wide, quantize);
        self.leave(kernels, &self.mlp_norm, x, out, inner);
    }

    /// What a sublayer reads: normed rows with pre-norm, the rows themselves with post-norm.
    fn enter<'i>(&self, kernels: &Kernels, norm: &Norm<'_>, x: &[f32], inner: &'i mut [f32]) -> &'i [f32] {
        let inner = front(inner, x.len());
        match self.placement {
            NormPlacement::Pre => norm.apply(kernels, x, inner),
            NormPlacement::Post => inner.iter_mut().zip(x).for_each(|(inner, &x)| *inner = x),
        }
        inner
    }

    /// The residual sum, normed afterwards with post-norm.
    fn leave(&self, kernels: &Kernels, norm: &Norm<'_>, x: &mut [f32], out: &[f32], inner: &mut [f32]) {
        x.iter_mut().zip(out).for_each(|(x, &y)| *x += y);
        if self.placement == NormPlacement::Post {
            norm.apply_in_place(kernels, x, inner);
        }
    }
}
