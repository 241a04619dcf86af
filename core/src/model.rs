//! The image wired into layers.

use crate::arena::Workspace;
use crate::image::Image;
use crate::image::directory::Role;
use crate::image::header::PositionKind;
use crate::kernels::Kernels;
use crate::layers::attention::HeadScratch;
use crate::layers::block::{Block, BlockScratch};
use crate::layers::cache::KvCache;
use crate::layers::embedding::Embedding;
use crate::layers::linear::{Linear, QuantizeScratch};
use crate::layers::norm::Norm;
use crate::layers::position::Rotary;
use crate::layers::{front, rows};

/// A decoder: embedding, blocks, final norm, head.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    image: Image<'a>,
}

impl<'a> Model<'a> {
    /// Over a checked image.
    pub fn new(image: Image<'a>) -> Self {
        Model { image }
    }

    /// The image.
    pub fn image(&self) -> &Image<'a> {
        &self.image
    }

    /// Runs `tokens` (at most a block of them), the first of which stands at position `start`, through the stack. Keys and values go to the
    /// cache; the rows `(tokens, d_model)` stay in the workspace for [`Model::logits`].
    pub(crate) fn forward(&self, kernels: &Kernels, workspace: &mut Workspace<'_>, context: u32, start: usize, tokens: &[u32]) {
        let config = self.image.config();
        let x = front(workspace.x, tokens.len() * config.d_model as usize);
        Embedding::new(&self.image).apply(tokens, start, workspace.inner, x);
        let rotary =
            (config.positions == PositionKind::Rotary).then(|| Rotary::new(self.image.rotary(), start, tokens.len(), workspace.turns));
        let mut cache = KvCache::new(workspace.kv, config, context);
        let mut scratch = BlockScratch {
            inner: workspace.inner,
            wide: workspace.projected,
            quantize: QuantizeScratch { values: workspace.quantized, scales: workspace.row_scales },
            head: HeadScratch { query: workspace.query, mixed: workspace.mixed, scores: workspace.scores, weights: workspace.weights },
        };
        for layer in 0..config.layers {
            Block::new(&self.image, layer).apply(kernels, start, x, rotary, &mut cache, &mut scratch);
        }
    }

    /// Logits `(vocab)` of row `row` of the last [`Model::forward`].
    pub(crate) fn logits(&self, kernels: &Kernels, workspace: &mut Workspace<'_>, row: usize) {
        let config = self.image.config();
        let Some(x) = rows(workspace.x, config.d_model as usize).nth(row) else { return };
        let normed = front(workspace.inner, x.len());
        if config.final_norm {
            Norm::new(&self.image, Role::FinalNorm, 0).apply(kernels, x, normed);
        } else {
            normed.iter_mut().zip(x).for_each(|(out, &x)| *out = x);
        }
        let head = if config.tied_head { Role::Embedding } else { Role::Head };
        let mut scratch = QuantizeScratch { values: workspace.quantized, scales: workspace.row_scales };
        Linear::new(&self.image, head, 0).apply(kernels, normed, &mut scratch, front(workspace.logits, config.vocab as usize));
    }
}
