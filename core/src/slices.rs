//! Rows and parts of slices, without panics. A size that does not fit is a fault of the engine: it stops a debug build; a release build
//! goes on with a shorter or empty slice.

use core::ops::Range;

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

/// Row `index` of rows of `width` elements.
#[inline]
pub fn row<T>(values: &[T], width: usize, index: usize) -> &[T] {
    let row = rows(values, width).nth(index);
    debug_assert!(row.is_some(), "row {index} of {} elements in rows of {width}", values.len());
    row.unwrap_or_default()
}

/// The first `count` elements; all of them when there are fewer.
#[inline]
pub fn prefix_mut<T>(values: &mut [T], count: usize) -> &mut [T] {
    debug_assert!(count <= values.len(), "a prefix of {count} elements of a slice of {}", values.len());
    let count = count.min(values.len());
    values.get_mut(..count).unwrap_or_default()
}

/// The elements from `start` on.
#[inline]
#[cfg(any(feature = "kv-int8", feature = "kv-float"))]
pub fn suffix<T>(values: &[T], start: usize) -> &[T] {
    debug_assert!(start <= values.len(), "a suffix from {start} of a slice of {}", values.len());
    values.get(start..).unwrap_or_default()
}

/// The elements of a range.
#[inline]
pub fn part<T>(values: &[T], range: Range<usize>) -> &[T] {
    debug_assert!(values.get(range.clone()).is_some(), "{range:?} of a slice of {}", values.len());
    values.get(range).unwrap_or_default()
}

/// The elements of a range, mutable.
#[inline]
pub fn part_mut<T>(values: &mut [T], range: Range<usize>) -> &mut [T] {
    debug_assert!(values.get(range.clone()).is_some(), "{range:?} of a slice of {}", values.len());
    values.get_mut(range).unwrap_or_default()
}

/// The first `at` elements and the others.
#[inline]
pub fn split<T>(values: &[T], at: usize) -> (&[T], &[T]) {
    debug_assert!(at <= values.len(), "a slice of {} split at {at}", values.len());
    values.split_at_checked(at).unwrap_or_default()
}

/// The first `at` elements and the others, mutable.
#[inline]
pub fn split_mut<T>(values: &mut [T], at: usize) -> (&mut [T], &mut [T]) {
    debug_assert!(at <= values.len(), "a slice of {} split at {at}", values.len());
    values.split_at_mut_checked(at).unwrap_or_default()
}
