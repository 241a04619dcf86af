//! The position-wise network between attentions: up, non-linearity, down (Vaswani et al. 2017, section 3.3), gated or not.

use super::linear::{Linear, QuantizeScratch};
use crate::format::Activation;
use crate::format::Role;
use crate::image::Image;
use crate::kernels::Kernels;
use crate::slices::{prefix_mut, rows, rows_mut};

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

    /// Neurons.
    pub fn d_hidden(&self) -> usize {
        self.d_hidden
    }

    /// The MLP's output for `tokens` rows, in the front of `wide` as `(tokens, d_model)`.
    ///
    /// `see` is shown the neurons `(tokens, d_hidden)`. `inner` holds the normed rows `(tokens, d_model)` and is used up; `wide` has room for `(tokens, mlp_up_dim)`.
    pub fn apply<'w>(
        &self,
        kernels: &Kernels,
        tokens: usize,
        inner: &mut [f32],
        wide: &'w mut [f32],
        scratch: &mut QuantizeScratch<'_>,
        see: impl FnOnce(&mut [f32]),
    ) -> &'w mut [f32] {
        let d_model = self.up.matrix().columns;
        let up_dim = self.up.matrix().rows;
        let projected = prefix_mut(wide, tokens * up_dim);
        self.up.apply(kernels, prefix_mut(inner, tokens * d_model), scratch, projected);
        let hidden = prefix_mut(inner, tokens * self.d_hidden);
        if self.gated {
            for (row, out) in rows(projected, up_dim).zip(rows_mut(hidden, self.d_hidden)) {
                if let Some((gate, up)) = row.split_at_checked(self.d_hidden) {
                    kernels.gate(self.activation, gate, up, out);
                }
            }
        } else {
            // Row by row, so that what is copied is still at hand.
            for (row, out) in rows_mut(projected, up_dim).zip(rows_mut(hidden, self.d_hidden)) {
                kernels.activate(self.activation, row);
                out.iter_mut().zip(row).for_each(|(x, y)| *x = *y);
            }
        }
        see(hidden);
        let out = prefix_mut(wide, tokens * d_model);
        self.down.apply(kernels, hidden, scratch, out);
        out
    }
}
