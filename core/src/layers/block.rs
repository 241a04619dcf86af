//! One layer of the stack: attention and MLP with their norms and residual sums.

use super::attention::{Attention, HeadScratch};
use super::cache::KvCache;
use super::front;
use super::linear::QuantizeScratch;
use super::mlp::Mlp;
use super::norm::Norm;
use super::position::Rotary;
use crate::image::Image;
use crate::image::directory::Role;
use crate::image::header::NormPlacement;
use crate::kernels::Kernels;

/// One layer.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    layer: u32,
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
            layer,
            placement: config.placement,
            attn_norm: Norm::new(image, Role::AttnNorm, layer),
            attention: Attention::new(image, layer),
            mlp_norm: Norm::new(image, Role::MlpNorm, layer),
            mlp: Mlp::new(image, layer),
            d_model: config.d_model as usize,
        }
    }

    /// Runs the rows of `x` `(tokens, d_model)`, the first of which stands at position `start`, through the layer in place.
    pub fn apply(
        &self,
        kernels: &Kernels,
        start: usize,
        x: &mut [f32],
        rotary: Option<Rotary<'_>>,
        cache: &mut KvCache<'_>,
        scratch: &mut BlockScratch<'_>,
    ) {
        let tokens = x.len() / self.d_model.max(1);
        let Some(mut cache) = cache.layer(self.layer) else { return };
        let BlockScratch { inner, wide, quantize, head } = scratch;
        self.enter(kernels, &self.attn_norm, x, inner);
        let out = self.attention.apply(kernels, start, tokens, rotary, inner, wide, &mut cache, head, quantize);
        self.leave(kernels, &self.attn_norm, x, out, inner);
        self.enter(kernels, &self.mlp_norm, x, inner);
        let out = self.mlp.apply(kernels, tokens, inner, wide, quantize);
        self.leave(kernels, &self.mlp_norm, x, out, inner);
    }

    /// What a sublayer reads: normed rows with pre-norm, the rows themselves with post-norm.
    fn enter(&self, kernels: &Kernels, norm: &Norm<'_>, x: &[f32], inner: &mut [f32]) {
        let inner = front(inner, x.len());
        match self.placement {
            NormPlacement::Pre => norm.apply(kernels, x, inner),
            NormPlacement::Post => inner.iter_mut().zip(x).for_each(|(inner, &x)| *inner = x),
        }
    }

    /// The residual sum, normed afterwards with post-norm.
    fn leave(&self, kernels: &Kernels, norm: &Norm<'_>, x: &mut [f32], out: &[f32], inner: &mut [f32]) {
        x.iter_mut().zip(out).for_each(|(x, &y)| *x += y);
        if self.placement == NormPlacement::Post {
            norm.apply_in_place(kernels, x, inner);
        }
    }
}
