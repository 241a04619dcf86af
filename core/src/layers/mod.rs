//! What a textbook calls the parts of a transformer. Each layer is a small copyable view of the image plus the rows it is given.

pub mod attention;
pub mod bias;
pub mod block;
pub mod cache;
pub mod embedding;
pub mod front;
pub mod heads;
pub mod layer_embedding;
pub mod linear;
pub mod linear_attention;
pub mod mask;
pub mod mlp;
pub mod norm;
pub mod position;
pub mod softmax;
pub mod tile;

/// Rows of `width` elements.
pub(crate) fn rows<T>(values: &[T], width: usize) -> core::slice::ChunksExact<'_, T> {
    values.chunks_exact(width.max(1))
}

/// Mutable rows of `width` elements.
pub(crate) fn rows_mut<T>(values: &mut [T], width: usize) -> core::slice::ChunksExactMut<'_, T> {
    values.chunks_exact_mut(width.max(1))
}

/// The first `count` elements; all of them where there are fewer.
pub(crate) fn front<T>(values: &mut [T], count: usize) -> &mut [T] {
    let count = count.min(values.len());
    values.get_mut(..count).unwrap_or_default()
}
