//! Token ids to rows, and learned positions on top.

use super::linear::Linear;
use super::rows_mut;
use crate::image::Image;
use crate::image::directory::Role;
use crate::image::header::PositionKind;
use crate::kernels::scalar::read_row;

/// The token table, and the position table where the model has one.
#[derive(Clone, Copy, Debug)]
pub struct Embedding<'a> {
    tokens: Linear<'a>,
    positions: Option<Linear<'a>>,
}

impl<'a> Embedding<'a> {
    /// The image's tables.
    pub fn new(image: &Image<'a>) -> Self {
        let learned = image.config().positions == PositionKind::Learned;
        Embedding { tokens: Linear::new(image, Role::Embedding, 0), positions: learned.then(|| Linear::new(image, Role::Positions, 0)) }
    }

    /// Rows of `tokens`, the first of which stands at position `start`; `out` is `(tokens, d_model)`, `scratch` is `(d_model)`.
    pub fn apply(&self, tokens: &[u32], start: usize, scratch: &mut [f32], out: &mut [f32]) {
        let table = self.tokens.matrix();
        for ((&token, out), position) in tokens.iter().zip(rows_mut(out, table.columns)).zip(start..) {
            read_row(table, token as usize, out);
            if let Some(positions) = &self.positions {
                let scratch = super::front(scratch, table.columns);
                read_row(positions.matrix(), position, scratch);
                out.iter_mut().zip(&*scratch).for_each(|(x, &p)| *x += p);
            }
        }
    }
}
