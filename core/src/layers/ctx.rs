//! The context that the layers of a forward pass share, and their scratch buffers.

use crate::kernels::Kernels;
use crate::parallel::Parallel;
use crate::probe::{Part, Probe, Site};

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

impl<P: Probe> Ctx<'_, P> {
    /// The same context with another probe.
    pub fn with_probe<'p, Q>(&'p mut self, probe: &'p mut Q) -> Ctx<'p, Q> {
        let QuantizeScratch { values, scales, parallel } = &mut self.quantize;
        let HeadScratch { query, weighted_sum, scores, weights, range_scales, phi_q } = &mut self.head;
        Ctx {
            kernels: self.kernels,
            quantize: QuantizeScratch { values, scales, parallel: *parallel },
            head: HeadScratch {
                query,
                weighted_sum,
                scores,
                weights,
                range_scales: range_scales.as_deref_mut(),
                phi_q: phi_q.as_deref_mut(),
            },
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
