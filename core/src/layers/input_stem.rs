//! Input stem: turns rows of features into rows of the residual stream, either as a patch embedding (ViT; Dosovitskiy et al. 2021, section
//! 3.1) or with two convolutions over time (Whisper; Radford et al. 2022, section 2.2). A convolution is an im2col gather and a matrix
//! product.

use super::ctx::Ctx;
use super::embedding::Positions;
use super::linear::Linear;
use crate::format::{Activation, InputStem as Kind, Role};
use crate::image::Image;
use crate::probe::Probe;
use crate::slices::{part, prefix_mut, rows, rows_mut, split_mut};

/// The layers before the first block of a model that reads features.
#[derive(Clone, Copy, Debug)]
pub struct InputStem<'a> {
    kind: Kind,
    /// Patch embedding, or first convolution.
    conv1: Linear<'a>,
    /// Second convolution.
    conv2: Linear<'a>,
    /// `(d_model)`; empty for none.
    class_token: &'a [f32],
    positions: Option<Positions<'a>>,
    activation: Activation,
    features: usize,
    d_model: usize,
}

/// Buffers of the input stem.
#[derive(Debug)]
pub struct InputStemBuffers<'s> {
    /// Gathered inputs of a convolution.
    pub gathered: &'s mut [f32],
    /// Rows of the first convolution, `(2 * block + 1, d_model)`; only for models with convolutions.
    pub conv_out: Option<&'s mut [f32]>,
}

impl<'a> InputStem<'a> {
    /// The image's input stem, with the position table of this role, if the image has it.
    pub fn new(image: &Image<'a>, positions: Role) -> Self {
        let config = image.config();
        InputStem {
            kind: config.input_stem,
            conv1: Linear::new(image, Role::Conv1, 0),
            conv2: Linear::new(image, Role::Conv2, 0),
            class_token: image.entry(Role::ClassToken, 0).map_or(&[][..], |entry| image.view(entry.values, entry.columns)),
            positions: Positions::new(image, positions),
            activation: config.activation,
            features: config.features as usize,
            d_model: config.d_model as usize,
        }
    }

    /// Computes rows of the residual stream from `ctx.start` on, as many as `x` `(rows, d_model)` holds, from all features `(frames,
    /// features)`.
    pub fn apply<P: Probe>(&self, ctx: &mut Ctx<'_, P>, features: &[f32], x: &mut [f32], buffers: &mut InputStemBuffers<'_>) {
        let start = ctx.start;
        match (self.kind, &mut buffers.conv_out) {
            (Kind::Convolution, Some(conv_out)) => self.convolve(ctx, features, x, buffers.gathered, conv_out),
            (kind, _) => {
                debug_assert!(kind != Kind::Convolution, "a convolution without its buffer");
                self.embed_patches(ctx, features, x);
            }
        }
        if let Some(positions) = &self.positions {
            let row = prefix_mut(buffers.gathered, self.d_model);
            rows_mut(x, self.d_model).zip(start..).for_each(|(x, position)| positions.add(position, row, x));
        }
    }

    /// Patch embedding: the class token, if the model has one, then a product per patch.
    fn embed_patches<P: Probe>(&self, ctx: &mut Ctx<'_, P>, features: &[f32], x: &mut [f32]) {
        let class_rows = usize::from(!self.class_token.is_empty());
        let class_len = if ctx.start < class_rows { self.class_token.len() } else { 0 };
        let (class, patches) = split_mut(x, class_len);
        class.iter_mut().zip(self.class_token).for_each(|(x, &y)| *x = y);
        let from = ctx.start.saturating_sub(class_rows) * self.features;
        let count = rows(patches, self.d_model).len();
        self.conv1.apply(ctx, part(features, from..from + count * self.features), patches);
    }

    /// Both convolutions have a kernel of three. The second has a stride of two: its row t reads rows 2t - 1 to 2t + 1 of the first, whose
    /// row s reads frames s - 1 to s + 1. Padding is zero.
    fn convolve<P: Probe>(&self, ctx: &mut Ctx<'_, P>, features: &[f32], x: &mut [f32], gathered: &mut [f32], conv_out: &mut [f32]) {
        let d_model = self.d_model;
        let count = rows(x, d_model).len();
        let frames = features.len() / self.features.max(1);
        let conv_out = prefix_mut(conv_out, (2 * count + 1) * d_model);
        for (chunk, at) in conv_out.chunks_mut((count * d_model).max(1)).zip((2 * ctx.start..).step_by(count.max(1))) {
            // `at` is one more than the first row of the chunk, so that it is never negative.
            let gathered = prefix_mut(gathered, rows(chunk, d_model).len() * 3 * self.features);
            for (row, at) in rows_mut(gathered, 3 * self.features).zip(at..) {
                for (tap, frame) in rows_mut(row, self.features).zip(at..) {
                    // Taps at s - 1, s, s + 1 with s = at - 1.
                    let frame = frame.checked_sub(2).and_then(|frame| rows(features, self.features).nth(frame));
                    copy_or_clear(tap, frame);
                }
            }
            self.conv1.apply(ctx, gathered, chunk);
            ctx.kernels.activate(self.activation, chunk);
            for (row, at) in rows_mut(chunk, d_model).zip(at..) {
                if at == 0 || at > frames {
                    row.fill(0.0);
                }
            }
        }
        let gathered = prefix_mut(gathered, count * 3 * d_model);
        for (row, index) in rows_mut(gathered, 3 * d_model).zip(0..) {
            copy_or_clear(row, conv_out.get(2 * index * d_model..(2 * index + 3) * d_model));
        }
        self.conv2.apply(ctx, gathered, x);
        ctx.kernels.activate(self.activation, x);
    }
}

fn copy_or_clear(to: &mut [f32], from: Option<&[f32]>) {
    match from {
        Some(from) => to.iter_mut().zip(from).for_each(|(to, &x)| *to = x),
        None => to.fill(0.0),
    }
}
