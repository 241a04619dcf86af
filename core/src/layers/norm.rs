//! RMSNorm (Zhang and Sennrich 2019) and layer norm (Ba et al. 2016) of token rows.

use crate::format::NormKind;
use crate::format::Role;
use crate::image::Image;
use crate::kernels::Kernels;
use crate::slices::{prefix_mut, rows, rows_mut};

/// A norm's parameters.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    kind: NormKind,
    eps: f32,
    /// `(width)`.
    scale: &'a [f32],
    /// `(width)`; empty for RMSNorm.
    bias: &'a [f32],
}

impl<'a> Norm<'a> {
    /// The norm with this role and layer.
    pub fn new(image: &Image<'a>, role: Role, layer: u32) -> Self {
        let config = image.config();
        let (values, width) = image.entry(role, layer).map_or((0, 0), |entry| (entry.values, entry.columns));
        let bias_at = values.wrapping_add(width * 4);
        Norm {
            kind: config.norm,
            eps: config.norm_eps,
            scale: image.view(values, width),
            bias: match config.norm {
                NormKind::Rms => &[],
                NormKind::Layer => image.view(bias_at, width),
            },
        }
    }

    /// Normalizes each row of `x` `(tokens, width)` into `out`.
    pub fn apply(&self, kernels: &Kernels, x: &[f32], out: &mut [f32]) {
        let width = self.scale.len();
        for (x, out) in rows(x, width).zip(rows_mut(out, width)) {
            self.apply_row(kernels, x, out);
        }
    }

    /// Normalizes each row of `x` `(tokens, width)` in place; `scratch` is `(width)`.
    pub fn apply_in_place(&self, kernels: &Kernels, x: &mut [f32], scratch: &mut [f32]) {
        let scratch = prefix_mut(scratch, self.scale.len());
        for row in rows_mut(x, self.scale.len()) {
            self.apply_row(kernels, row, scratch);
            row.iter_mut().zip(&*scratch).for_each(|(x, &y)| *x = y);
        }
    }

    fn apply_row(&self, kernels: &Kernels, x: &[f32], out: &mut [f32]) {
        match self.kind {
            NormKind::Rms => kernels.rms_norm(x, self.scale, self.eps, out),
            NormKind::Layer => kernels.layer_norm(x, self.scale, self.bias, self.eps, out),
        }
    }
}
