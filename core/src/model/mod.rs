//! The image wired into layers: what a decoder does with tokens.

pub(crate) mod encoder;

use crate::format::Role;
use crate::format::{Config, PositionKind};
use crate::image::Image;
use crate::kernels::Kernels;
use crate::layers::attention::heads::HeadScratch;
use crate::layers::attention::kv_cache::KvCache;
use crate::layers::block::{Block, BlockScratch, Step};
use crate::layers::embedding::Embedding;
use crate::layers::linear::{Linear, QuantizeScratch};
use crate::layers::norm::Norm;
use crate::layers::rope::Rotary;
use crate::memory::{Plan, workspace::Workspace};
use crate::probe::{Part, Probe, Site};
use crate::slices::{prefix_mut, rows};

/// Embedding, blocks, final norm; then a head, a pooling or a classifier. `encoder.rs` runs what sees whole sequences.
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

    /// Runs `tokens` (at most a block of them), the first of which stands at position `start`, through a decoder's stack. Keys and values go to the
    /// cache; the rows `(tokens, d_model)` stay in the workspace for [`Model::logits`]. `source` rows of an encoder are there to look at.
    #[expect(clippy::too_many_arguments, reason = "a machine, its memory, and what it is given")]
    pub(crate) fn forward(
        &self,
        kernels: &Kernels,
        workspace: &mut Workspace<'_>,
        plan: Plan,
        start: usize,
        tokens: &[u32],
        source: usize,
        probe: &mut impl Probe,
    ) {
        let config = self.image.config();
        let Rooms { x, mut cache, mut cross, mut scratch, turns, .. } = Rooms::of(workspace, config, plan, tokens.len());
        self.embed(kernels, tokens.iter().copied().zip(start..), false, x, scratch.inner);
        probe.rows(Site { layer: 0, part: Part::Embedded, start }, config.d_model as usize, x);
        let rotary = self.rotary(start..start + tokens.len(), turns);
        for layer in probe.first_layer()..config.layers {
            let Some(mut cache) = cache.layer(layer) else { return };
            if start == 0 {
                cache.clear();
            }
            let source = cross.layer(layer).map(|cache| (cache, source));
            let mut step = Step { tokens, start, rotary, cache, source };
            Block::new(&self.image, config.encoder_layers + layer).apply(kernels, x, &mut step, &mut scratch, probe);
        }
    }

    /// Rows of tokens with their positions, normed where the model does so.
    pub(crate) fn embed(
        &self,
        kernels: &Kernels,
        tokens: impl Iterator<Item = (u32, usize)>,
        encodes: bool,
        x: &mut [f32],
        scratch: &mut [f32],
    ) {
        Embedding::new(&self.image, encodes).apply(tokens, scratch, x);
        if self.image.config().embedding_norm {
            Norm::new(&self.image, Role::EmbeddingNorm, 0).apply_in_place(kernels, x, scratch);
        }
    }

    /// Turns of tokens at these positions, for models that turn.
    pub(crate) fn rotary<'t>(&self, positions: impl Iterator<Item = usize>, turns: &'t mut [[f32; 2]]) -> Option<Rotary<'t>> {
        let config = self.image.config();
        let turning = config.positions == PositionKind::Rotary;
        turning.then(|| Rotary::new(self.image.rotary(), config.head_dim as usize, positions, turns))
    }

    /// Logits `(vocab)` of row `row` of the last [`Model::forward`].
    pub(crate) fn logits(&self, kernels: &Kernels, workspace: &mut Workspace<'_>, row: usize) {
        let d_model = self.image.config().d_model as usize;
        let Some(x) = rows(workspace.x, d_model).nth(row) else { return };
        let mut quantize = QuantizeScratch { values: workspace.quantized, scales: workspace.row_scales, parallel: workspace.parallel };
        self.head(kernels, x, workspace.inner, &mut quantize, workspace.output);
    }

    /// Logits `(vocab)` that one row `(d_model)` of the residual stream has behind the final norm; `inner` is scratch.
    pub(crate) fn head(&self, kernels: &Kernels, x: &[f32], inner: &mut [f32], quantize: &mut QuantizeScratch<'_>, out: &mut [f32]) {
        let config = self.image.config();
        let normed = prefix_mut(inner, x.len());
        if config.final_norm {
            Norm::new(&self.image, Role::FinalNorm, 0).apply(kernels, x, normed);
        } else {
            normed.iter_mut().zip(x).for_each(|(out, &x)| *out = x);
        }
        let head = if config.tied_head { Role::Embedding } else { Role::Head };
        Linear::new(&self.image, head, 0).apply(kernels, normed, quantize, prefix_mut(out, config.vocab as usize));
    }
}

/// The workspace as a run through a stack uses it.
pub(crate) struct Rooms<'w> {
    /// `(rows, d_model)`.
    pub x: &'w mut [f32],
    /// `(rows, q_dim)` of an encoder.
    pub queries: &'w mut [f32],
    pub cache: KvCache<'w>,
    /// Keys and values of the encoder's rows.
    pub cross: KvCache<'w>,
    pub scratch: BlockScratch<'w>,
    pub turns: &'w mut [[f32; 2]],
    /// The first convolution's rows.
    pub stem: &'w mut [f32],
}

impl<'w> Rooms<'w> {
    pub fn of(workspace: &'w mut Workspace<'_>, config: &Config, plan: Plan, count: usize) -> Self {
        Rooms {
            x: prefix_mut(workspace.x, count * config.d_model as usize),
            queries: prefix_mut(workspace.queries, count * config.q_dim() as usize),
            cache: KvCache::new(workspace.kv, config, plan.context),
            cross: KvCache::new(workspace.cross, config, config.encoder_context),
            scratch: BlockScratch {
                inner: workspace.inner,
                wide: workspace.projected,
                aside: workspace.aside,
                quantize: QuantizeScratch { values: workspace.quantized, scales: workspace.row_scales, parallel: workspace.parallel },
                head: HeadScratch {
                    query: workspace.query,
                    mixed: workspace.mixed,
                    scores: workspace.scores,
                    weights: workspace.weights,
                    scales: workspace.run_scales,
                    mapped: workspace.mapped,
                },
            },
            turns: workspace.turns,
            stem: workspace.stem,
        }
    }
}
