//! One layer of a stack: attention and MLP with their norms and residual sums.

use super::attention::heads::{HeadScratch, QueryRows, Sight};
use super::attention::kv_cache::LayerCache;
use super::attention::{Attention, CrossAttention};
use super::layer_embedding::LayerEmbedding;
use super::linear::QuantizeScratch;
use super::mlp::Mlp;
use super::norm::Norm;
use super::rope::Rotary;
use crate::format::NormPlacement;
use crate::format::Role;
use crate::image::Image;
use crate::kernels::Kernels;
use crate::probe::{Part, Probe, Site};
use crate::slices::{prefix_mut, rows, rows_mut};

/// One layer.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    layer: u32,
    placement: NormPlacement,
    parallel: bool,
    attn_norm: Norms<'a>,
    attention: Attention<'a>,
    cross_norm: Norms<'a>,
    cross: Option<CrossAttention<'a>>,
    mlp_norm: Norms<'a>,
    mlp: Mlp<'a>,
    layer_embedding: Option<LayerEmbedding<'a>>,
    d_model: usize,
}

/// The norms of a sublayer: the one that its placement names, and the one behind it of a sandwich.
type Norms<'a> = (Norm<'a>, Option<Norm<'a>>);

/// Buffers of a block, see the arena's workspace for their shapes.
#[derive(Debug)]
pub struct BlockScratch<'s> {
    /// Normed rows, attended values, or the MLP's inner rows.
    pub inner: &'s mut [f32],
    /// Products of the first matrices, then a layer's output.
    pub wide: &'s mut [f32],
    /// The attention's output while a parallel MLP runs, `(block, d_model)`.
    pub aside: &'s mut [f32],
    /// Quantized inputs.
    pub quantize: QuantizeScratch<'s>,
    /// One head's.
    pub head: HeadScratch<'s>,
}

/// What a decoder's block is told beside its rows.
#[derive(Debug)]
pub struct Step<'r, 'c> {
    /// Tokens of the rows.
    pub tokens: &'r [u32],
    /// Position of the first one.
    pub start: usize,
    /// The rows' turns, in models that turn.
    pub rotary: Option<Rotary<'r>>,
    /// The layer's keys and values.
    pub cache: LayerCache<'c>,
    /// Keys and values of the encoder's rows, and how many they are.
    pub source: Option<(LayerCache<'c>, usize)>,
}

impl<'a> Block<'a> {
    /// Layer `layer` of the image.
    pub fn new(image: &Image<'a>, layer: u32) -> Self {
        let config = image.config();
        let sandwich = config.placement == NormPlacement::Sandwich;
        let norm = |role, behind| (Norm::new(image, role, layer), sandwich.then(|| Norm::new(image, behind, layer)));
        Block {
            layer,
            placement: config.placement,
            parallel: config.parallel,
            attn_norm: norm(Role::AttnNorm, Role::AttnPostNorm),
            attention: Attention::new(image, layer),
            // A cross-attention in a sandwich has the norm before it only.
            cross_norm: (Norm::new(image, Role::CrossNorm, layer), None),
            cross: CrossAttention::new(image, layer),
            mlp_norm: norm(Role::MlpNorm, Role::MlpPostNorm),
            mlp: Mlp::new(image, layer),
            layer_embedding: LayerEmbedding::new(image, layer),
            d_model: config.d_model as usize,
        }
    }

    /// The same block, whose attention sees the whole sequence.
    pub fn seeing_all(self) -> Self {
        Block { attention: self.attention.seeing_all(), ..self }
    }

    /// The attention to the encoder's rows.
    pub fn cross(&self) -> Option<&CrossAttention<'a>> {
        self.cross.as_ref()
    }

    /// Runs a decoder's rows `(tokens, d_model)` through the layer in place: they see the tokens before them.
    pub fn apply(&self, kernels: &Kernels, x: &mut [f32], step: &mut Step<'_, '_>, scratch: &mut BlockScratch<'_>, probe: &mut impl Probe) {
        let BlockScratch { inner, wide, quantize, head, .. } = scratch;
        let normed = self.enter(kernels, &self.attn_norm, x, inner);
        let projected = self.attention.project(kernels, normed, step.rotary, wide, quantize, head.mapped);
        self.attention.look_back(kernels, step.start, projected, &mut step.cache, head, inner, self.layer, probe);
        let source = step.source.as_ref().map(|(cache, rows)| (cache, *rows));
        self.finish(kernels, x, step.tokens, step.start, source, scratch, probe);
    }

    /// The first half of an encoder's layer: keys and values of the rows of `x` go to these places of the cache, their queries to `queries`
    /// `(tokens, q_dim)`.
    #[expect(clippy::too_many_arguments, reason = "what `apply` takes, and where the queries go")]
    pub fn ask(
        &self,
        kernels: &Kernels,
        places: impl Iterator<Item = usize>,
        x: &[f32],
        rotary: Option<Rotary<'_>>,
        cache: &mut LayerCache<'_>,
        scratch: &mut BlockScratch<'_>,
        queries: &mut [f32],
    ) {
        let BlockScratch { inner, wide, quantize, head, .. } = scratch;
        let normed = self.enter(kernels, &self.attn_norm, x, inner);
        let asked = self.attention.project(kernels, normed, rotary, wide, quantize, head.mapped);
        self.attention.store(places, asked, cache);
        for (kept, row) in rows_mut(queries, self.attention.q_dim()).zip(rows(asked.values, asked.width)) {
            kept.iter_mut().zip(row).for_each(|(kept, &x)| *kept = x);
        }
    }

    /// The second half: the rows of `x` see the keys of their sequence, and run through the rest of the layer in place. `start` is the first
    /// row's number, for a probe.
    #[expect(clippy::too_many_arguments, reason = "what `apply` takes, and what the first half kept")]
    pub fn answer(
        &self,
        kernels: &Kernels,
        start: usize,
        x: &mut [f32],
        sights: impl Iterator<Item = Sight>,
        cache: &LayerCache<'_>,
        scratch: &mut BlockScratch<'_>,
        queries: &[f32],
        probe: &mut impl Probe,
    ) {
        let asked = QueryRows { values: queries, width: self.attention.q_dim() };
        self.attention.attend(kernels, asked, sights, cache, &mut scratch.head, scratch.inner, self.layer, probe);
        self.finish(kernels, x, &[], start, None, scratch, probe);
    }

    /// From the attended rows in the front of `inner` to the end of the layer.
    #[expect(clippy::too_many_arguments, reason = "what `apply` and `answer` have in common")]
    fn finish(
        &self,
        kernels: &Kernels,
        x: &mut [f32],
        tokens: &[u32],
        start: usize,
        source: Option<(&LayerCache<'_>, usize)>,
        scratch: &mut BlockScratch<'_>,
        probe: &mut impl Probe,
    ) {
        let BlockScratch { inner, wide, aside, quantize, head } = scratch;
        let (layer, count, q_dim) = (self.layer, rows(x, self.d_model).len(), self.attention.q_dim());
        let site = |part| Site { layer, part, start };
        let attended = prefix_mut(inner, count * q_dim);
        probe.rows(site(Part::Heads), q_dim, attended);
        let out = self.attention.output(kernels, attended, wide, quantize);
        probe.rows(site(Part::Attention), self.d_model, out);
        if self.parallel {
            prefix_mut(aside, out.len()).iter_mut().zip(&*out).for_each(|(kept, &y)| *kept = y);
        } else {
            self.leave(kernels, &self.attn_norm, x, out, inner);
        }
        if let (Some(cross), Some((cache, rows))) = (&self.cross, source) {
            self.enter(kernels, &self.cross_norm, x, inner);
            let out = cross.apply(kernels, count, start, rows, cache, inner, wide, quantize, head);
            self.leave(kernels, &self.cross_norm, x, out, inner);
        }
        self.enter(kernels, &self.mlp_norm, x, inner);
        let d_hidden = self.mlp.d_hidden();
        let out = self.mlp.apply(kernels, count, inner, wide, quantize, |hidden| probe.rows(site(Part::Neurons), d_hidden, hidden));
        probe.rows(site(Part::Mlp), self.d_model, out);
        if self.parallel {
            x.iter_mut().zip(&*prefix_mut(aside, out.len())).for_each(|(x, &y)| *x += y);
        }
        self.leave(kernels, &self.mlp_norm, x, out, inner);
        if let Some(embedding) = &self.layer_embedding {
            embedding.apply(kernels, tokens, x, inner, wide, quantize);
        }
        probe.rows(site(Part::Residual), self.d_model, x);
    }

    /// What a sublayer reads: the rows themselves with post-norm, normed rows otherwise.
    fn enter<'i>(&self, kernels: &Kernels, (norm, _): &Norms<'_>, x: &[f32], inner: &'i mut [f32]) -> &'i [f32] {
        let inner = prefix_mut(inner, x.len());
        match self.placement {
            NormPlacement::Pre | NormPlacement::Sandwich => norm.apply(kernels, x, inner),
            NormPlacement::Post => inner.iter_mut().zip(x).for_each(|(inner, &x)| *inner = x),
        }
        inner
    }

    /// The residual sum: of normed rows in a sandwich, normed afterwards with post-norm.
    fn leave(&self, kernels: &Kernels, (norm, behind): &Norms<'_>, x: &mut [f32], out: &mut [f32], inner: &mut [f32]) {
        if let Some(behind) = behind {
            behind.apply_in_place(kernels, out, inner);
        }
        x.iter_mut().zip(&*out).for_each(|(x, &y)| *x += y);
        if self.placement == NormPlacement::Post {
            norm.apply_in_place(kernels, x, inner);
        }
    }
}
