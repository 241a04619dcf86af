//! MLP (position-wise feed-forward network; Vaswani et al. 2017, section 3.3): up projection, activation, down projection. Gated variants
//! (SwiGLU, GeGLU; Shazeer 2020) multiply the activated gate rows with the up rows.

use super::ctx::Ctx;
use super::linear::Linear;
use crate::format::{Activation, Role};
use crate::image::Image;
use crate::probe::{Part, Probe};
use crate::slices::{prefix_mut, rows, rows_mut, split};

/// One block's MLP.
#[derive(Clone, Copy, Debug)]
pub struct Mlp<'a> {
    up: Linear<'a>,
    down: Linear<'a>,
    activation: Activation,
    gated: bool,
    d_hidden: usize,
}

impl<'a> Mlp<'a> {
    /// The MLP of layer `layer`.
    pub fn new(image: &Image<'a>, layer: u32) -> Self {
        let config = image.config();
        Mlp {
            up: Linear::new(image, Role::MlpUp, layer),
            down: Linear::new(image, Role::MlpDown, layer),
            activation: config.activation,
            gated: config.gated,
            d_hidden: config.d_hidden as usize,
        }
    }

    /// Computes the output `(tokens, d_model)` in the front of `proj`, which has space for `(tokens, mlp_up_dim)`. `normed` holds the input
    /// `(tokens, d_model)` and is overwritten with the neurons.
    pub fn apply<'o, P: Probe>(&self, ctx: &mut Ctx<'_, P>, tokens: usize, normed: &mut [f32], proj: &'o mut [f32]) -> &'o mut [f32] {
        let up_dim = self.up.matrix().rows;
        let ffn_up = self.up.apply(ctx, prefix_mut(normed, tokens * self.up.matrix().columns), proj);
        let hidden = prefix_mut(normed, tokens * self.d_hidden);
        if self.gated {
            for (row, out) in rows(ffn_up, up_dim).zip(rows_mut(hidden, self.d_hidden)) {
                let (gate, up) = split(row, self.d_hidden);
                ctx.kernels.gate(self.activation, gate, up, out);
            }
        } else {
            // Row by row, so that the copied row is still in the CPU's cache.
            for (row, out) in rows_mut(ffn_up, up_dim).zip(rows_mut(hidden, self.d_hidden)) {
                ctx.kernels.activate(self.activation, row);
                out.iter_mut().zip(row).for_each(|(x, y)| *x = *y);
            }
        }
        ctx.show(Part::Neurons, self.d_hidden, hidden);
        self.down.apply(ctx, hidden, proj)
    }
}
