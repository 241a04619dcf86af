//! A view of an f32 matrix.

/// An f32 matrix in row-major order.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// Columns, at least one.
    pub columns: usize,
    /// Values `(rows, columns)`.
    pub values: &'a [f32],
}

impl<'a> Matrix<'a> {
    /// Iterates over the rows.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &'a [f32]> + use<'a> {
        self.values.chunks_exact(self.columns)
    }
}
