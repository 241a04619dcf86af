//! The image wired into layers.

use crate::arena::Workspace;
use crate::image::Image;
use crate::image::directory::Role;
use crate::image::header::{Config, Pooling, PositionKind};
use crate::kernels::Kernels;
use crate::layers::attention::HeadScratch;
use crate::layers::block::{Block, BlockScratch};
use crate::layers::cache::KvCache;
use crate::layers::embedding::Embedding;
use crate::layers::linear::{Linear, QuantizeScratch};
use crate::layers::norm::Norm;
use crate::layers::position::Rotary;
use crate::layers::{front, rows};
use crate::numeric::normalize;

/// Embedding, blocks, final norm; then a decoder's head, or an encoder's pooling.
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
        let Rooms { x, mut cache, mut scratch, turns, .. } = Rooms::of(workspace, config, context, tokens.len());
        self.embed(kernels, tokens, start, x, scratch.inner);
        let rotary = self.rotary(start, tokens.len(), turns);
        for layer in 0..config.layers {
            let Some(mut cache) = cache.layer(layer) else { return };
            Block::new(&self.image, layer).apply(kernels, start, x, rotary, &mut cache, &mut scratch);
        }
    }

    /// Runs a whole sequence through the stack, every token of which sees all others, `block` rows at a time. A layer has two halves: first all
    /// rows leave their keys, values and queries, then all rows go on. The rows `(tokens, d_model)` stay in the workspace for [`Model::pool`].
    pub(crate) fn encode(&self, kernels: &Kernels, workspace: &mut Workspace<'_>, context: u32, block: usize, tokens: &[u32]) {
        let config = self.image.config();
        let Rooms { x, queries, mut cache, mut scratch, turns } = Rooms::of(workspace, config, context, tokens.len());
        self.embed(kernels, tokens, 0, x, scratch.inner);
        let (rows_at_once, queries_at_once) = (block * config.d_model as usize, block * config.q_dim() as usize);
        for layer in 0..config.layers {
            let Some(mut cache) = cache.layer(layer) else { return };
            let layer = Block::new(&self.image, layer);
            let starts = (0..).step_by(block.max(1));
            for ((x, queries), start) in
                x.chunks_mut(rows_at_once.max(1)).zip(queries.chunks_mut(queries_at_once.max(1))).zip(starts.clone())
            {
                let rotary = self.rotary(start, block, turns);
                layer.ask(kernels, start, x, rotary, &mut cache, &mut scratch, queries);
            }
            for ((x, queries), start) in x.chunks_mut(rows_at_once.max(1)).zip(queries.chunks(queries_at_once.max(1))).zip(starts) {
                layer.answer(kernels, start, x, tokens.len(), &cache, &mut scratch, queries);
            }
        }
    }

    /// Rows of tokens with their positions, normed where the model does so.
    fn embed(&self, kernels: &Kernels, tokens: &[u32], start: usize, x: &mut [f32], scratch: &mut [f32]) {
        Embedding::new(&self.image).apply(tokens, start, scratch, x);
        if self.image.config().embedding_norm {
            Norm::new(&self.image, Role::EmbeddingNorm, 0).apply_in_place(kernels, x, scratch);
        }
    }

    /// Turns of `tokens` positions from `start` on, for models that turn.
    fn rotary<'t>(&self, start: usize, tokens: usize, turns: &'t mut [[f32; 2]]) -> Option<Rotary<'t>> {
        (self.image.config().positions == PositionKind::Rotary).then(|| Rotary::new(self.image.rotary(), start, tokens, turns))
    }

    /// One embedding `(d_model)` from the first `tokens` rows of the last [`Model::encode`].
    pub(crate) fn pool(&self, kernels: &Kernels, workspace: &mut Workspace<'_>, tokens: usize) {
        let config = self.image.config();
        let d_model = config.d_model as usize;
        let x = front(workspace.x, tokens * d_model);
        if config.final_norm {
            Norm::new(&self.image, Role::FinalNorm, 0).apply_in_place(kernels, x, workspace.inner);
        }
        let out = front(workspace.output, d_model);
        out.fill(0.0);
        let pooled = if config.pooling == Pooling::First { 1 } else { tokens };
        for row in rows(x, d_model).take(pooled) {
            out.iter_mut().zip(row).for_each(|(out, &x)| *out += x);
        }
        let count = pooled as f32;
        out.iter_mut().for_each(|x| *x /= count);
        if config.normalized {
            normalize(out);
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
        Linear::new(&self.image, head, 0).apply(kernels, normed, &mut scratch, front(workspace.output, config.vocab as usize));
    }
}

/// The workspace as a run through the stack uses it.
struct Rooms<'w> {
    /// `(tokens, d_model)`.
    x: &'w mut [f32],
    /// `(tokens, q_dim)` of an encoder.
    queries: &'w mut [f32],
    cache: KvCache<'w>,
    scratch: BlockScratch<'w>,
    turns: &'w mut [[f32; 2]],
}

impl<'w> Rooms<'w> {
    fn of(workspace: &'w mut Workspace<'_>, config: &Config, context: u32, tokens: usize) -> Self {
        Rooms {
            x: front(workspace.x, tokens * config.d_model as usize),
            queries: front(workspace.queries, tokens * config.q_dim() as usize),
            cache: KvCache::new(workspace.kv, config, context),
            scratch: BlockScratch {
                inner: workspace.inner,
                wide: workspace.projected,
                quantize: QuantizeScratch { values: workspace.quantized, scales: workspace.row_scales },
                head: HeadScratch { query: workspace.query, mixed: workspace.mixed, scores: workspace.scores, weights: workspace.weights },
            },
            turns: workspace.turns,
        }
    }
}
