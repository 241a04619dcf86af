//! The model: an image wired into layers. Here are the parts that every stack shares: embedding, final norm and head.

mod decoder;
#[cfg(feature = "encoder")]
pub(crate) mod encoder;

use crate::format::{PositionKind, Role};
use crate::image::Image;
use crate::kernels::Kernels;
use crate::layers::block::BlockBuffers;
use crate::layers::ctx::{Ctx, HeadScratch, QuantizeScratch};
use crate::layers::embedding::Embedding;
use crate::layers::linear::Linear;
use crate::layers::norm::Norm;
use crate::layers::rope::Rotary;
use crate::memory::{Plan, workspace::Workspace};
use crate::probe::Probe;
use crate::slices::{prefix_mut, row, rows_mut};

/// Embedding, blocks, final norm; then a head, a pooling or a classifier.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    image: Image<'a>,
}

/// A forward pass: its kernels, memory and probe.
#[derive(Debug)]
pub(crate) struct Pass<'r, 'w, P> {
    pub kernels: &'r Kernels,
    pub workspace: &'r mut Workspace<'w>,
    pub plan: Plan,
    /// Position of the first row.
    pub start: usize,
    pub probe: &'r mut P,
}

/// The workspace's buffers that hold activations and caches; [`Ctx`] has the others. [`Workspace`] describes them.
pub(crate) struct Buffers<'r> {
    pub x: &'r mut [f32],
    #[cfg(feature = "encoder")]
    pub queries: Option<&'r mut [f32]>,
    pub kv: &'r mut [u8],
    pub cross: Option<&'r mut [u8]>,
    pub block: BlockBuffers<'r>,
    #[cfg(feature = "encoder")]
    pub conv_out: Option<&'r mut [f32]>,
    pub sin_cos: &'r mut [[f32; 2]],
    pub logit_rows: &'r mut [f32],
    pub output: &'r mut [f32],
}

impl<P: Probe> Pass<'_, '_, P> {
    /// Splits the workspace into the layers' context and the buffers.
    fn split(&mut self) -> (Ctx<'_, P>, Buffers<'_>) {
        let workspace = &mut *self.workspace;
        let ctx = Ctx {
            kernels: self.kernels,
            quantize: QuantizeScratch { values: workspace.quantized, scales: workspace.row_scales, parallel: workspace.parallel },
            head: HeadScratch {
                query: workspace.query,
                weighted_sum: workspace.weighted_sum,
                scores: workspace.scores,
                weights: workspace.weights,
                range_scales: workspace.range_scales.as_deref_mut(),
                phi_q: workspace.phi_q.as_deref_mut(),
            },
            layer: 0,
            start: self.start,
            probe: self.probe,
        };
        let buffers = Buffers {
            x: workspace.x,
            #[cfg(feature = "encoder")]
            queries: workspace.queries.as_deref_mut(),
            kv: workspace.kv,
            cross: workspace.cross.as_deref_mut(),
            block: BlockBuffers { normed: workspace.normed, proj: workspace.proj, attn_out: workspace.attn_out.as_deref_mut() },
            #[cfg(feature = "encoder")]
            conv_out: workspace.conv_out.as_deref_mut(),
            sin_cos: workspace.sin_cos,
            logit_rows: workspace.logit_rows,
            output: workspace.output,
        };
        (ctx, buffers)
    }
}

impl<'a> Model<'a> {
    /// The model of a checked image.
    pub fn new(image: Image<'a>) -> Self {
        Model { image }
    }

    /// The image.
    pub fn image(&self) -> &Image<'a> {
        &self.image
    }

    /// Writes the embeddings of tokens, each given with its position, to `x` `(tokens, d_model)`, normed if the model has an embedding
    /// norm. `positions` is the role of the position table.
    fn embed(&self, kernels: &Kernels, tokens: impl Iterator<Item = (u32, usize)>, positions: Role, x: &mut [f32], scratch: &mut [f32]) {
        Embedding::new(&self.image, positions).apply(tokens, scratch, x);
        if self.image.config().embedding_norm {
            Norm::new(&self.image, Role::EmbeddingNorm, 0).apply_in_place(kernels, x, scratch);
        }
    }

    /// The rotations of tokens at these positions; `None` for models without RoPE.
    fn rotary<'t>(&self, positions: impl Iterator<Item = usize>, sin_cos: &'t mut [[f32; 2]]) -> Option<Rotary<'t>> {
        let config = self.image.config();
        let has_rope = config.positions == PositionKind::Rotary;
        has_rope.then(|| Rotary::new(self.image.rotary(), config.head_dim as usize, positions, sin_cos))
    }

    /// Writes the logits `(vocab)` of row `index` of the last decoder pass to the workspace's output.
    pub(crate) fn logits<P: Probe>(&self, mut pass: Pass<'_, '_, P>, index: usize) {
        let (mut ctx, buffers) = pass.split();
        let x = row(buffers.x, self.image.config().d_model as usize, index);
        self.head(&mut ctx, x, buffers.block.normed, buffers.output);
    }

    /// Passes the logits `(vocab)` of each of the last pass's first `count` rows to `each`, with the row's index. The head's product takes as many
    /// rows at a time as the workspace's `logit_rows` or `proj` holds. The last row's logits go to the workspace's output, too.
    pub(crate) fn each_logits<P: Probe, E>(
        &self,
        mut pass: Pass<'_, '_, P>,
        count: usize,
        mut each: impl FnMut(usize, &mut [f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (d_model, vocab) = (self.image.config().d_model as usize, (self.image.config().vocab as usize).max(1));
        let (mut ctx, Buffers { x, block, logit_rows, output, .. }) = pass.split();
        let larger = if logit_rows.len() > block.proj.len() { logit_rows } else { block.proj };
        let at_once = if larger.len() < 2 * vocab { 1 } else { larger.len() / vocab };
        let blocks = prefix_mut(x, count * d_model).chunks((at_once * d_model).max(1));
        for (index, x) in blocks.enumerate() {
            let first = index * at_once;
            if at_once == 1 {
                self.head(&mut ctx, x, block.normed, output);
                each(first, prefix_mut(output, vocab))?;
                continue;
            }
            self.head(&mut ctx, x, block.normed, larger);
            for (row, logits) in (first..count).zip(rows_mut(larger, vocab)) {
                if row + 1 == count {
                    output.iter_mut().zip(&*logits).for_each(|(out, &logit)| *out = logit);
                }
                each(row, logits)?;
            }
        }
        Ok(())
    }

    /// Writes the logits `(vocab)` of a row `(d_model)` of the residual stream to the workspace's output.
    pub(crate) fn logits_of<P: Probe>(&self, mut pass: Pass<'_, '_, P>, x: &[f32]) {
        let (mut ctx, buffers) = pass.split();
        self.head(&mut ctx, x, buffers.block.normed, buffers.output);
    }

    /// Final norm and head (with tied embeddings, the token table) of rows `(rows, d_model)`; `normed` is scratch.
    fn head<P: Probe>(&self, ctx: &mut Ctx<'_, P>, x: &[f32], normed: &mut [f32], out: &mut [f32]) {
        let config = self.image.config();
        let normed = prefix_mut(normed, x.len());
        if config.final_norm {
            Norm::new(&self.image, Role::FinalNorm, 0).apply(ctx.kernels, x, normed);
        } else {
            normed.iter_mut().zip(x).for_each(|(out, &x)| *out = x);
        }
        let head = if config.tied_head { Role::Embedding } else { Role::Head };
        Linear::new(&self.image, head, 0).apply(ctx, normed, out);
    }
}
