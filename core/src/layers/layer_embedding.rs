//! Per-layer embeddings (Gemma 3n): each layer has a table of its own, from which a token's row is read in place, gated by the residual stream,
//! projected and added: `x += norm(project(activation(gate x) * table[token]))`. A model may so hold many times the parameters that its
//! arithmetic and RAM allow.

use super::linear::{Linear, QuantizeScratch};
use super::norm::Norm;
use crate::format::Activation;
use crate::format::Role;
use crate::image::Image;
use crate::kernels::Kernels;
use crate::kernels::scalar::read_row;
use crate::slices::{prefix_mut, rows_mut};

/// One layer's table and what its rows go through.
#[derive(Clone, Copy, Debug)]
pub struct LayerEmbedding<'a> {
    table: Linear<'a>,
    gate: Linear<'a>,
    project: Linear<'a>,
    norm: Norm<'a>,
    activation: Activation,
}

impl<'a> LayerEmbedding<'a> {
    /// The table of layer `layer`; `None` in models that have none.
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

    /// Adds the rows of `tokens` to `x` `(tokens, d_model)`.
    pub fn apply(
        &self,
        kernels: &Kernels,
        tokens: &[u32],
        x: &mut [f32],
        inner: &mut [f32],
        wide: &mut [f32],
        quantize: &mut QuantizeScratch<'_>,
    ) {
        let (width, d_model) = (self.gate.matrix().rows, self.gate.matrix().columns);
        let gates = prefix_mut(wide, tokens.len() * width);
        self.gate.apply(kernels, x, quantize, gates);
        let gated = prefix_mut(inner, tokens.len() * width);
        for ((&token, row), gate) in tokens.iter().zip(rows_mut(gated, width)).zip(gates.chunks_exact(width.max(1))) {
            read_row(self.table.matrix(), token as usize, row);
            gate_row(kernels, self.activation, gate, row);
        }
        let added = prefix_mut(wide, tokens.len() * d_model);
        self.project.apply(kernels, gated, quantize, added);
        self.norm.apply_in_place(kernels, added, inner);
        x.iter_mut().zip(&*added).for_each(|(x, &y)| *x += y);
    }
}

/// `row = activation(gate) * row`, in runs that fit a small buffer, since the kernel wants its output apart.
fn gate_row(kernels: &Kernels, activation: Activation, gate: &[f32], row: &mut [f32]) {
    const RUN: usize = 32;
    let mut product = [0.0; RUN];
    for (gate, row) in gate.chunks(RUN).zip(row.chunks_mut(RUN)) {
        let product = prefix_mut(&mut product, row.len());
        kernels.gate(activation, gate, row, product);
        row.iter_mut().zip(&*product).for_each(|(row, &y)| *row = y);
    }
}
