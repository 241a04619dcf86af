//! What turns rows of features into rows of the residual stream: patches (Dosovitskiy et al. 2021, section 3.1) or a stem of two convolutions
//! (Radford et al. 2022, section 2.2).

use super::embedding::Positions;
use super::linear::{Linear, QuantizeScratch};
use crate::format::Role;
use crate::format::{Activation, InputStem as Kind};
use crate::image::Image;
use crate::kernels::Kernels;
use crate::slices::{prefix_mut, rows, rows_mut};

/// The layers before the first block.
#[derive(Clone, Copy, Debug)]
pub struct InputStem<'a> {
    kind: Kind,
    first: Linear<'a>,
    second: Linear<'a>,
    /// `(d_model)`, or empty.
    class_token: &'a [f32],
    positions: Option<Positions<'a>>,
    activation: Activation,
    features: usize,
    d_model: usize,
}

/// Buffers of the front, see the arena's workspace for their shapes.
#[derive(Debug)]
pub struct InputStemScratch<'s, 'q> {
    /// Inputs of a convolution, gathered.
    pub inner: &'s mut [f32],
    /// The first convolution's rows, `(2 * block + 1, d_model)`.
    pub stem: &'s mut [f32],
    /// Quantized inputs.
    pub quantize: &'s mut QuantizeScratch<'q>,
}

impl<'a> InputStem<'a> {
    /// The image's front.
    pub fn new(image: &Image<'a>) -> Self {
        let config = image.config();
        let class_token = image.entry(Role::ClassToken, 0).map_or(&[][..], |entry| image.view(entry.values, entry.columns));
        let positions = if config.has_cross() { Role::EncoderPositions } else { Role::Positions };
        InputStem {
            kind: config.input_stem,
            first: Linear::new(image, Role::Conv1, 0),
            second: Linear::new(image, Role::Conv2, 0),
            class_token,
            positions: Positions::new(image, positions),
            activation: config.activation,
            features: config.features as usize,
            d_model: config.d_model as usize,
        }
    }

    /// Rows that `frames` rows of features become.
    pub fn rows_of(&self, frames: usize) -> usize {
        match self.kind {
            Kind::Convolution => frames.div_ceil(2),
            _ => frames + usize::from(!self.class_token.is_empty()),
        }
    }

    /// Rows `start..` of the residual stream, as many as `x` `(rows, d_model)` holds, from all rows of features `(frames, features)`.
    pub fn apply(&self, kernels: &Kernels, features: &[f32], start: usize, x: &mut [f32], scratch: &mut InputStemScratch<'_, '_>) {
        match self.kind {
            Kind::Convolution => self.convolve(kernels, features, start, x, scratch),
            _ => self.patch(kernels, features, start, x, scratch.quantize),
        }
        if let Some(positions) = &self.positions {
            let row = prefix_mut(scratch.inner, self.d_model);
            rows_mut(x, self.d_model).zip(start..).for_each(|(x, position)| positions.add(position, row, x));
        }
    }

    fn patch(&self, kernels: &Kernels, features: &[f32], start: usize, x: &mut [f32], quantize: &mut QuantizeScratch<'_>) {
        let ahead = usize::from(!self.class_token.is_empty());
        let own = if start < ahead { self.class_token.len() } else { 0 };
        let (class, patches) = x.split_at_mut_checked(own).unwrap_or_default();
        class.iter_mut().zip(self.class_token).for_each(|(x, &y)| *x = y);
        let count = rows(patches, self.d_model).len();
        let from = start.saturating_sub(ahead) * self.features;
        let features = features.get(from..from + count * self.features).unwrap_or_default();
        self.first.apply(kernels, features, quantize, patches);
    }

    /// Row t of the second convolution sees rows 2t - 1 to 2t + 1 of the first, and row s of that frames s - 1 to s + 1; outside all is zero.
    fn convolve(&self, kernels: &Kernels, features: &[f32], start: usize, x: &mut [f32], scratch: &mut InputStemScratch<'_, '_>) {
        let d_model = self.d_model;
        let count = rows(x, d_model).len();
        let frames = features.len() / self.features.max(1);
        let stem = prefix_mut(scratch.stem, (2 * count + 1) * d_model);
        for (chunk, at) in stem.chunks_mut((count * d_model).max(1)).zip((2 * start..).step_by(count.max(1))) {
            // `at` counts one more than the first row of the chunk, so that it stays positive.
            let gathered = prefix_mut(scratch.inner, rows(chunk, d_model).len() * 3 * self.features);
            for (row, at) in rows_mut(gathered, 3 * self.features).zip(at..) {
                for (tap, frame) in rows_mut(row, self.features).zip(at..) {
                    // Taps at s - 1, s, s + 1 with s = at - 1.
                    let frame = frame.checked_sub(2).and_then(|frame| rows(features, self.features).nth(frame));
                    copy_or_clear(tap, frame);
                }
            }
            self.first.apply(kernels, gathered, scratch.quantize, chunk);
            kernels.activate(self.activation, chunk);
            for (row, at) in rows_mut(chunk, d_model).zip(at..) {
                if at == 0 || at > frames {
                    row.fill(0.0);
                }
            }
        }
        let gathered = prefix_mut(scratch.inner, count * 3 * d_model);
        for (row, index) in rows_mut(gathered, 3 * d_model).zip(0..) {
            copy_or_clear(row, stem.get(2 * index * d_model..(2 * index + 3) * d_model));
        }
        self.second.apply(kernels, gathered, scratch.quantize, x);
        kernels.activate(self.activation, x);
    }
}

fn copy_or_clear(to: &mut [f32], from: Option<&[f32]>) {
    match from {
        Some(from) => to.iter_mut().zip(from).for_each(|(to, &x)| *to = x),
        None => to.fill(0.0),
    }
}
