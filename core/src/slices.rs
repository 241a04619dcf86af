//! Rows and prefixes of slices, without panics. A size that does not fit is a fault of the engine: it stops a debug build.

/// Rows of `width` elements.
#[inline]
pub fn rows<T>(values: &[T], width: usize) -> core::slice::ChunksExact<'_, T> {
    values.chunks_exact(width.max(1))
}

/// Mutable rows of `width` elements.
#[inline]
pub fn rows_mut<T>(values: &mut [T], width: usize) -> core::slice::ChunksExactMut<'_, T> {
    values.chunks_exact_mut(width.max(1))
}

/// The first `count` elements; all of them when there are fewer.
#[inline]
pub fn prefix_mut<T>(values: &mut [T], count: usize) -> &mut [T] {
    // An empty slice is an absent buffer.
    debug_assert!(count <= values.len() || values.is_empty(), "a prefix of {count} elements of a slice of {}", values.len());
    let count = count.min(values.len());
    values.get_mut(..count).unwrap_or_default()
}
