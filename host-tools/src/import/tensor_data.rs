//! Values of a tensor, decoded whenever they are read: a checkpoint takes little memory, whatever the size of its file.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::elements::ElementType;
use crate::files::FileBytes;

/// Values that are decoded together where a large tensor is read in parts.
const STEP: usize = 1 << 18;

/// Values of a tensor, row-major. Clones share them.
#[derive(Clone)]
pub struct TensorData(Source);

#[derive(Clone)]
enum Source {
    /// Values in memory.
    Memory(Arc<Vec<f32>>),
    /// Whole blocks of a file.
    Stored { bytes: FileBytes, element: ElementType },
    /// Values that follow from others, such as a transpose.
    Computed { len: usize, compute: Arc<dyn Fn() -> Vec<f32> + Send + Sync> },
}

impl TensorData {
    /// The values of whole blocks of a file.
    pub fn stored(bytes: FileBytes, element: ElementType) -> Self {
        TensorData(Source::Stored { bytes, element })
    }

    /// `len` values that `compute` returns whenever they are read.
    pub fn computed(len: usize, compute: impl Fn() -> Vec<f32> + Send + Sync + 'static) -> Self {
        TensorData(Source::Computed { len, compute: Arc::new(compute) })
    }

    /// The `len` values that `change` makes of these. Values in memory are changed now, others whenever they are read.
    #[must_use]
    pub fn map(self, len: usize, change: impl Fn(&[f32]) -> Vec<f32> + Send + Sync + 'static) -> Self {
        match self.0 {
            Source::Memory(values) => change(&values).into(),
            source => TensorData::computed(len, move || change(&TensorData(source.clone()).read())),
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        match &self.0 {
            Source::Memory(values) => values.len(),
            Source::Stored { bytes, element: kind } => bytes.len() / kind.block().1 * kind.block().0,
            Source::Computed { len, .. } => *len,
        }
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the decoded values are kept in memory.
    pub fn is_in_memory(&self) -> bool {
        matches!(self.0, Source::Memory(_))
    }

    /// Whether all values are computed for any range of them.
    pub fn is_computed(&self) -> bool {
        matches!(self.0, Source::Computed { .. })
    }

    /// All values.
    pub fn read(&self) -> Cow<'_, [f32]> {
        self.read_range(0..self.len())
    }

    /// Changes the values, which are kept in memory from now on.
    pub fn edit(&mut self, change: impl FnOnce(&mut [f32])) {
        let mut values = self.read().into_owned();
        change(&mut values);
        *self = values.into();
    }

    /// The values of a range. Values that follow from others are all computed for it.
    pub fn read_range(&self, range: Range<usize>) -> Cow<'_, [f32]> {
        match &self.0 {
            Source::Memory(values) => Cow::Borrowed(&values[range]),
            Source::Stored { bytes, element } => Cow::Owned(decode(bytes, *element, range)),
            Source::Computed { len, compute } => {
                let mut values = compute();
                debug_assert_eq!(values.len(), *len);
                values.truncate(range.end);
                values.drain(..range.start);
                Cow::Owned(values)
            }
        }
    }

    /// Index and value of the first value that is NaN or infinite.
    pub fn first_not_finite(&self) -> Option<(usize, f32)> {
        (0..self.len()).step_by(STEP).find_map(|start| {
            let values = self.read_range(start..(start + STEP).min(self.len()));
            let index = values.iter().position(|value| !value.is_finite())?;
            Some((start + index, values[index]))
        })
    }
}

/// Decodes the blocks that hold the values of a range, and releases their bytes.
fn decode(bytes: &FileBytes, element: ElementType, range: Range<usize>) -> Vec<f32> {
    let (values, size) = element.block();
    let (first, last) = (range.start / values, range.end.div_ceil(values));
    let blocks = bytes.part(&bytes[first * size..last * size]);
    let mut decoded = element.decode(&blocks);
    blocks.release();
    decoded.truncate(range.end - first * values);
    decoded.drain(..range.start - first * values);
    decoded
}

impl From<Vec<f32>> for TensorData {
    fn from(values: Vec<f32>) -> Self {
        TensorData(Source::Memory(Arc::new(values)))
    }
}

impl fmt::Debug for TensorData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Memory(values) => write!(f, "{values:?}"),
            Source::Stored { element, .. } => write!(f, "{} values, stored as {element:?}", self.len()),
            Source::Computed { len, .. } => write!(f, "{len} values, computed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_begins_and_ends_inside_a_block() {
        // Two blocks of 32 bytes and an f16 scale: 1, then 2.
        let block = |scale: u16, first: u8| scale.to_le_bytes().into_iter().chain(first..first + 32);
        let bytes: Vec<u8> = block(0x3c00, 0).chain(block(0x4000, 32)).collect();
        let data = TensorData::stored(bytes.into(), ElementType::Q8_0);
        assert_eq!((data.len(), data.is_in_memory()), (64, false));
        assert_eq!(*data.read_range(30..34), [30.0, 31.0, 64.0, 66.0]);
        assert!(data.read_range(33..33).is_empty());
        let halves = data.map(32, |values| values[32..].iter().map(|value| value / 2.0).collect());
        assert_eq!((halves.len(), halves.read()[31]), (32, 63.0));
        assert_eq!(*halves.read_range(1..3), [33.0, 34.0]);
    }

    #[test]
    fn the_first_value_that_is_not_finite_is_found_after_the_first_step() {
        let mut values = vec![1.0; STEP + 3];
        assert_eq!(TensorData::from(values.clone()).first_not_finite(), None);
        values[STEP + 1] = f32::NEG_INFINITY;
        assert_eq!(TensorData::from(values).first_not_finite(), Some((STEP + 1, f32::NEG_INFINITY)));
    }
}
