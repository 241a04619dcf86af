//! Per-layer embeddings (Gemma 3n): each layer has a token table of its own. A token's row is read in place, gated by the residual stream,
//! projected and added: `x += norm(project(activation(gate x) * table[token]))`. A model may thus have many times the parameters that its
//! arithmetic and RAM suggest.

use super::ctx::Ctx;
use super::linear::Linear;
use super::norm::Norm;
use crate::format::{Activation, Role};
use crate::image::Image;
use crate::kernels::Kernels;
use crate::kernels::scalar::read_row;
use crate::probe::Probe;
use crate::slices::{prefix_mut, rows, rows_mut};

/// One layer's table, gate, projection and norm.
#[derive(Clone, Copy, Debug)]
pub struct LayerEmbedding<'a> {
    table: Linear<'a>,
    gate: Linear<'a>,
    project: Linear<'a>,
    norm: Norm<'a>,
    activation: Activation,
}

impl<'a> LayerEmbedding<'a> {
    /// The per-layer embedding of layer `layer`; `None` for models without.
    pub fn new(image: &Image<'a>, layer: u32) -> Option<Self> {
        let config = image.config();
        config.layer_dim.is_some().then(|| LayerEmbedding {
            table: Linear::new(image, Role::LayerTable, layer),
            gate: Linear::new(image, Role::LayerGate, layer),
            project: Linear::new(image, Role::LayerProject, layer),
            norm: Norm::new(image, Role::LayerNorm, layer),
            activation: config.activation,
        })
    }

    /// Adds the rows of `tokens` to `x` `(tokens, d_model)`; `normed` and `proj` are scratch.
    pub fn apply<P: Probe>(&self, ctx: &mut Ctx<'_, P>, tokens: &[u32], x: &mut [f32], normed: &mut [f32], proj: &mut [f32]) {
        let width = self.gate.matrix().rows;
        let gates = self.gate.apply(ctx, x, proj);
        let gated = prefix_mut(normed, tokens.len() * width);
        for ((&token, row), gate) in tokens.iter().zip(rows_mut(gated, width)).zip(rows(gates, width)) {
            read_row(self.table.matrix(), token as usize, row);
            gate_row(ctx.kernels, self.activation, gate, row);
        }
        let added = self.project.apply(ctx, gated, proj);
        self.norm.apply_in_place(ctx.kernels, added, normed);
        x.iter_mut().zip(&*added).for_each(|(x, &y)| *x += y);
    }
}

/// `row = activation(gate) * row`, in pieces that fit a small buffer, since the kernel's output must not overlap its inputs.
fn gate_row(kernels: &Kernels, activation: Activation, gate: &[f32], row: &mut [f32]) {
    const PIECE: usize = 32;
    let mut product = [0.0; PIECE];
    for (gate, row) in gate.chunks(PIECE).zip(row.chunks_mut(PIECE)) {
        let product = prefix_mut(&mut product, row.len());
        kernels.gate(activation, gate, row, product);
        row.iter_mut().zip(&*product).for_each(|(row, &y)| *row = y);
    }
}
