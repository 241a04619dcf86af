//! The context that the layers of a forward pass share, and their scratch buffers.

use crate::kernels::Kernels;
use crate::parallel::Parallel;
use crate::probe::{Part, Probe, Site};
use crate::slices::split_mut;

/// A forward pass's kernels, scratch buffers and probe, and the place in the model that it has reached.
#[derive(Debug)]
pub struct Ctx<'r, P> {
    /// The kernel set.
    pub kernels: &'r Kernels,
    /// Scratch of matrix products.
    pub quantize: QuantizeScratch<'r>,
    /// Scratch of attention heads.
    pub head: HeadScratch<'r>,
    /// The layer, numbered as in the image's directory. Only the probe sees it.
    pub layer: u32,
    /// Position of the first row. Only the probe sees it.
    pub start: usize,
    /// The probe.
    pub probe: &'r mut P,
}

/// Buffers for a matrix's quantized input, and the threads that share a product.
#[derive(Debug)]
pub struct QuantizeScratch<'s> {
    /// `(tokens, columns rounded up to four)`.
    pub values: &'s mut [i16],
    /// `(tokens)`.
    pub scales: &'s mut [f32],
    /// The threads.
    pub parallel: &'s dyn Parallel,
}

/// Buffers for one head of one query, or of a tile of queries.
#[derive(Debug)]
pub struct HeadScratch<'s> {
    /// Quantized queries, `(tile, head_dim)`.
    pub query: &'s mut [i16],
    /// Integer sums of weighted values, `(tile, head_dim)`.
    pub weighted_sum: &'s mut [i32],
    /// `(tile, context)`; bits of f32 with a float cache. Empty for linear attention, which has no scores.
    pub scores: &'s mut [i32],
    /// Softmax weights, `(tile, context)`. Empty for linear attention.
    pub weights: &'s mut [i16],
    /// Value scales of two key ranges side by side, `(context)`; only for masks that have two.
    pub range_scales: Option<&'s mut [f32]>,
    /// The feature map phi of a query (linear attention), or a normed head (QK norm), `(head_dim)`; only for models with either.
    pub phi_q: Option<&'s mut [f32]>,
}

impl HeadScratch<'_> {
    /// The same buffers.
    fn reborrow(&mut self) -> HeadScratch<'_> {
        let HeadScratch { query, weighted_sum, scores, weights, range_scales, phi_q } = self;
        HeadScratch { query, weighted_sum, scores, weights, range_scales: range_scales.as_deref_mut(), phi_q: phi_q.as_deref_mut() }
    }

    /// Queries of a head that the buffers hold.
    pub fn capacity(&self, head_dim: usize) -> usize {
        self.weighted_sum.len() / head_dim.max(1)
    }

    /// Buffers for `first` of the `all` queries that these hold, and for the others. Buffers of a single query are left out.
    fn split(&mut self, first: usize, all: usize) -> [HeadScratch<'_>; 2] {
        let (query, later_query) = split_at(self.query, first, all);
        let (weighted_sum, later_weighted_sum) = split_at(self.weighted_sum, first, all);
        let (scores, later_scores) = split_at(self.scores, first, all);
        let (weights, later_weights) = split_at(self.weights, first, all);
        [
            HeadScratch { query, weighted_sum, scores, weights, range_scales: None, phi_q: None },
            HeadScratch {
                query: later_query,
                weighted_sum: later_weighted_sum,
                scores: later_scores,
                weights: later_weights,
                range_scales: None,
                phi_q: None,
            },
        ]
    }
}

/// The first `first` of `all` equal parts, and the others.
fn split_at<T>(values: &mut [T], first: usize, all: usize) -> (&mut [T], &mut [T]) {
    let at = values.len() / all.max(1) * first;
    split_mut(values, at)
}

/// Attention scratch of one thread.
#[derive(Debug)]
pub struct ThreadCtx<'s> {
    kernels: &'s Kernels,
    parallel: &'s dyn Parallel,
    head: HeadScratch<'s>,
    probe: (),
}

impl ThreadCtx<'_> {
    /// The thread's context.
    pub fn ctx(&mut self) -> Ctx<'_, ()> {
        let quantize = QuantizeScratch { values: &mut [], scales: &mut [], parallel: self.parallel };
        Ctx { kernels: self.kernels, quantize, head: self.head.reborrow(), layer: 0, start: 0, probe: &mut self.probe }
    }
}

impl Ctx<'_, ()> {
    /// Contexts for two threads' attention: scratch for `first` of the `all` queries that the scratch holds, and for the others.
    pub fn split_heads(&mut self, first: usize, all: usize) -> [ThreadCtx<'_>; 2] {
        let (kernels, parallel) = (self.kernels, self.quantize.parallel);
        self.head.split(first, all).map(|head| ThreadCtx { kernels, parallel, head, probe: () })
    }
}

impl<P: Probe> Ctx<'_, P> {
    /// The same context with another probe.
    pub fn with_probe<'p, Q>(&'p mut self, probe: &'p mut Q) -> Ctx<'p, Q> {
        let QuantizeScratch { values, scales, parallel } = &mut self.quantize;
        Ctx {
            kernels: self.kernels,
            quantize: QuantizeScratch { values, scales, parallel: *parallel },
            head: self.head.reborrow(),
            layer: self.layer,
            start: self.start,
            probe,
        }
    }

    /// Shows rows of `width` elements to the probe, which may modify them.
    #[inline]
    pub fn show(&mut self, part: Part, width: usize, rows: &mut [f32]) {
        self.probe.rows(Site { layer: self.layer, part, start: self.start }, width, rows);
    }
}
