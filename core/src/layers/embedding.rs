//! Token ids to rows, and tables of positions on top.

use super::linear::Linear;
use crate::format::Role;
use crate::image::Image;
use crate::kernels::scalar::read_row;
use crate::slices::{prefix_mut, rows_mut};

/// The token table.
#[derive(Clone, Copy, Debug)]
pub struct Embedding<'a> {
    tokens: Linear<'a>,
    /// Factor of the rows.
    scale: Option<f32>,
    positions: Option<Positions<'a>>,
}

/// A row for each position: learned, or sines and cosines.
#[derive(Clone, Copy, Debug)]
pub struct Positions<'a>(Linear<'a>);

impl<'a> Positions<'a> {
    /// The table with this role; `None` where the image has none.
    pub fn new(image: &Image<'a>, role: Role) -> Option<Self> {
        image.entry(role, 0).map(|_| Positions(Linear::new(image, role, 0)))
    }

    /// Adds the row of `position` to `x` `(d_model)`; `row` is scratch of as many elements.
    pub fn add(&self, position: usize, row: &mut [f32], x: &mut [f32]) {
        read_row(self.0.matrix(), position, row);
        x.iter_mut().zip(&*row).for_each(|(x, &p)| *x += p);
    }
}

impl<'a> Embedding<'a> {
    /// The image's tables, those of an encoder-decoder's encoder where `encodes` says so.
    pub fn new(image: &Image<'a>, encodes: bool) -> Self {
        let positions = if encodes && image.config().has_cross() { Role::EncoderPositions } else { Role::Positions };
        Embedding {
            tokens: Linear::new(image, Role::Embedding, 0),
            scale: image.config().embedding_scale,
            positions: Positions::new(image, positions),
        }
    }

    /// Rows of tokens, each with its position; `out` is `(tokens, d_model)`, `scratch` is `(d_model)`.
    pub fn apply(&self, tokens: impl Iterator<Item = (u32, usize)>, scratch: &mut [f32], out: &mut [f32]) {
        let table = self.tokens.matrix();
        for ((token, position), out) in tokens.zip(rows_mut(out, table.columns)) {
            read_row(table, token as usize, out);
            // The columns of a table that is the head's, too, may be scaled for the head.
            out.iter_mut().zip(self.tokens.in_scale()).for_each(|(x, &scale)| *x *= scale);
            if let Some(scale) = self.scale {
                out.iter_mut().for_each(|x| *x *= scale);
            }
            if let Some(positions) = &self.positions {
                positions.add(position, prefix_mut(scratch, table.columns), out);
            }
        }
    }
}
