//! Token embedding: rows of the token table, plus absolute position embeddings (learned or sinusoidal).

use super::linear::Linear;
use crate::format::Role;
use crate::image::Image;
use crate::kernels::scalar::read_row;
use crate::slices::{prefix_mut, rows_mut};

/// The token table and the position table.
#[derive(Clone, Copy, Debug)]
pub struct Embedding<'a> {
    tokens: Linear<'a>,
    /// Factor of the token rows.
    scale: Option<f32>,
    positions: Option<Positions<'a>>,
}

/// A table with a row for each position, `(context, d_model)`.
#[derive(Clone, Copy, Debug)]
pub struct Positions<'a>(Linear<'a>);

impl<'a> Positions<'a> {
    /// The table with this role; `None` for an image without it.
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
    /// The image's token table with the position table of this role, if the image has it.
    pub fn new(image: &Image<'a>, positions: Role) -> Self {
        Embedding {
            tokens: Linear::new(image, Role::Embedding, 0),
            scale: image.config().embedding_scale,
            positions: Positions::new(image, positions),
        }
    }

    /// Writes the rows of tokens, each given with its position, to `out` `(tokens, d_model)`; `scratch` is `(d_model)`.
    pub fn apply(&self, tokens: impl Iterator<Item = (u32, usize)>, scratch: &mut [f32], out: &mut [f32]) {
        let table = self.tokens.matrix();
        for ((token, position), out) in tokens.zip(rows_mut(out, table.columns)) {
            read_row(table, token as usize, out);
            // With tied embeddings the table is the head, too, and its columns may be scaled for the head.
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
