//! GGUF container: metadata and tensors of a file, versions 2 and 3, little-endian.
//!
//! Nothing is copied, and nothing is allocated by a count that the file states: strings and arrays are slices of the file, found by walking it.

use std::collections::BTreeMap;

use super::cursor::Cursor;
use super::error::ContainerError;
use crate::files::FileBytes;
use crate::import::elements::ElementType;
use crate::import::weights::{StoredTensor, Weights, WeightsError};

/// First bytes of a file.
pub const MAGIC: &[u8] = b"GGUF";
const VERSIONS: [u32; 2] = [2, 3];
const DIMENSIONS_MAX: u32 = 4;
/// Alignment of the tensors unless `general.alignment` states another one, bytes.
const ALIGNMENT: u64 = 32;
const ALIGNMENT_MAX: u64 = 1 << 20;

/// A file whose whole structure is checked.
pub struct Gguf<'b> {
    metadata: BTreeMap<&'b str, Value<'b>>,
    tensors: Vec<(&'b str, StoredTensor)>,
}

/// A value of the metadata.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'b> {
    /// An unsigned integer of any width.
    Unsigned(u64),
    /// A signed integer of any width.
    Signed(i64),
    /// A float of either width.
    Float(f64),
    /// A bool.
    Bool(bool),
    /// A string.
    Text(&'b str),
    /// Values of one type.
    Array(Array<'b>),
}

/// An array of the metadata, whose values are read from the file on demand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Array<'b> {
    kind: u32,
    count: u64,
    bytes: &'b [u8],
}

impl<'b> Array<'b> {
    /// The values, in order.
    pub fn values(self) -> impl Iterator<Item = Value<'b>> {
        let mut cursor = Cursor(self.bytes);
        (0..self.count).map_while(move |_| read_value(&mut cursor, self.kind, "").ok())
    }

    /// The strings, in order; `None` if a value is not a string.
    pub fn texts(self) -> Option<Vec<&'b str>> {
        let text = |value| if let Value::Text(text) = value { Some(text) } else { None };
        self.values().map(text).collect()
    }
}

impl<'b> Gguf<'b> {
    /// Reads and checks the structure of a file: every string, array and tensor is inside the file, and no two tensors overlap.
    ///
    /// # Errors
    /// [`ContainerError`] with the first part that fails.
    pub fn read(file: &'b FileBytes) -> Result<Self, ContainerError> {
        let mut cursor = Cursor(file);
        if cursor.take(4) != Ok(MAGIC) {
            return Err(ContainerError::NotGguf);
        }
        let version = cursor.u32()?;
        if VERSIONS.contains(&version.swap_bytes()) {
            return Err(ContainerError::BigEndian);
        }
        if !VERSIONS.contains(&version) {
            return Err(ContainerError::Version(version));
        }
        let (tensors, pairs) = (cursor.u64()?, cursor.u64()?);
        let mut metadata = BTreeMap::new();
        for _ in 0..pairs {
            let key = cursor.name("a metadata key")?;
            let kind = cursor.u32()?;
            if metadata.insert(key, read_value(&mut cursor, kind, key)?).is_some() {
                return Err(ContainerError::KeyTwice(key.to_owned()));
            }
        }
        let mut infos = Vec::new();
        for _ in 0..tensors {
            infos.push(TensorInfo::read(&mut cursor)?);
        }
        let alignment = match metadata.get("general.alignment") {
            None => ALIGNMENT,
            Some(Value::Unsigned(size)) if size.is_power_of_two() && *size <= ALIGNMENT_MAX => *size,
            Some(_) => return Err(ContainerError::Alignment),
        };
        let start = ((file.len() - cursor.0.len()) as u64).next_multiple_of(alignment);
        let data = usize::try_from(start).ok().and_then(|start| file.get(start..)).unwrap_or_default();
        Ok(Gguf { metadata, tensors: locate(&infos, &file.part(data), alignment)? })
    }

    /// A value of the metadata.
    pub fn value(&self, key: &str) -> Option<Value<'b>> {
        self.metadata.get(key).copied()
    }

    /// A string of the metadata.
    ///
    /// # Errors
    /// [`ContainerError::ValueType`].
    pub fn text(&self, key: &str) -> Result<Option<&'b str>, ContainerError> {
        self.typed(key, "a string", |value| if let Value::Text(text) = value { Some(text) } else { None })
    }

    /// A bool of the metadata.
    ///
    /// # Errors
    /// [`ContainerError::ValueType`].
    pub fn flag(&self, key: &str) -> Result<Option<bool>, ContainerError> {
        self.typed(key, "true or false", |value| if let Value::Bool(flag) = value { Some(flag) } else { None })
    }

    /// A size of the metadata, of any integer type.
    ///
    /// # Errors
    /// [`ContainerError::ValueType`]: the value is not an integer from 0 to 2^32 - 1.
    pub fn size(&self, key: &str) -> Result<Option<u32>, ContainerError> {
        self.typed(key, "an integer from 0 to 4294967295", |value| match value {
            Value::Unsigned(size) => size.try_into().ok(),
            Value::Signed(size) => size.try_into().ok(),
            _ => None,
        })
    }

    /// A number of the metadata, of any type.
    ///
    /// # Errors
    /// [`ContainerError::ValueType`].
    pub fn number(&self, key: &str) -> Result<Option<f64>, ContainerError> {
        self.typed(key, "a number", |value| match value {
            Value::Float(number) => Some(number),
            Value::Unsigned(number) => Some(number as f64),
            Value::Signed(number) => Some(number as f64),
            _ => None,
        })
    }

    /// An array of the metadata.
    ///
    /// # Errors
    /// [`ContainerError::ValueType`].
    pub fn array(&self, key: &str) -> Result<Option<Array<'b>>, ContainerError> {
        self.typed(key, "an array", |value| if let Value::Array(array) = value { Some(array) } else { None })
    }

    /// A size that must exist.
    ///
    /// # Errors
    /// [`ContainerError::KeyMissing`] or [`ContainerError::ValueType`].
    pub fn required_size(&self, key: &str) -> Result<u32, ContainerError> {
        self.size(key)?.ok_or_else(|| ContainerError::KeyMissing(key.to_owned()))
    }

    /// A number that must exist.
    ///
    /// # Errors
    /// [`ContainerError::KeyMissing`] or [`ContainerError::ValueType`].
    pub fn required_number(&self, key: &str) -> Result<f64, ContainerError> {
        self.number(key)?.ok_or_else(|| ContainerError::KeyMissing(key.to_owned()))
    }

    /// An array that must exist.
    ///
    /// # Errors
    /// [`ContainerError::KeyMissing`] or [`ContainerError::ValueType`].
    pub fn required_array(&self, key: &str) -> Result<Array<'b>, ContainerError> {
        self.array(key)?.ok_or_else(|| ContainerError::KeyMissing(key.to_owned()))
    }

    /// All tensors.
    ///
    /// # Errors
    /// `WeightsError::Duplicate`.
    pub fn into_weights(self) -> Result<Weights, WeightsError> {
        let mut weights = Weights::new("the metadata");
        self.tensors.into_iter().try_for_each(|(name, tensor)| weights.add(name.to_owned(), tensor))?;
        Ok(weights)
    }

    /// Sizes of a tensor, outermost first.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.iter().find(|tensor| tensor.0 == name).map(|(_, tensor)| &tensor.shape[..])
    }

    /// Rows of a table, which must exist.
    ///
    /// # Errors
    /// `WeightsError::Missing`.
    pub fn rows(&self, name: &str) -> Result<u32, WeightsError> {
        let rows = self.shape(name).and_then(|shape| u32::try_from(shape[0]).ok());
        rows.ok_or_else(|| WeightsError::Missing(name.to_owned()))
    }

    /// The values of a tensor with one dimension; `None` if it does not exist.
    ///
    /// # Errors
    /// [`ContainerError::NotAVector`].
    pub fn vector(&self, name: &str) -> Result<Option<Vec<f32>>, ContainerError> {
        match self.tensors.iter().find(|tensor| tensor.0 == name) {
            None => Ok(None),
            Some((_, StoredTensor { shape, element: Ok(element), bytes })) if shape.len() == 1 => Ok(Some(element.decode(bytes))),
            Some((_, tensor)) => Err(ContainerError::NotAVector { name: name.to_owned(), shape: tensor.shape.clone() }),
        }
    }

    fn typed<T>(&self, key: &str, expected: &'static str, read: impl Fn(Value<'b>) -> Option<T>) -> Result<Option<T>, ContainerError> {
        let mistyped = || ContainerError::ValueType { key: key.to_owned(), expected };
        self.value(key).map(|value| read(value).ok_or_else(mistyped)).transpose()
    }
}

/// Tensor info: the file's entry for one tensor.
struct TensorInfo<'b> {
    name: &'b str,
    /// Outermost first.
    shape: Vec<usize>,
    element: ElementType,
    /// From the start of the tensor data.
    offset: u64,
    bytes: u64,
}

impl<'b> TensorInfo<'b> {
    fn read(cursor: &mut Cursor<'b>) -> Result<Self, ContainerError> {
        let name = cursor.name("a tensor's name")?;
        let tensor = || name.to_owned();
        let dimensions = cursor.u32()?;
        if dimensions == 0 || dimensions > DIMENSIONS_MAX {
            return Err(ContainerError::Dimensions { name: tensor(), dimensions, max: DIMENSIONS_MAX });
        }
        let sizes = (0..dimensions).map(|_| cursor.u64()).collect::<Result<Vec<u64>, ContainerError>>()?;
        let element = ElementType::from_gguf(cursor.u32()?).map_err(|source| ContainerError::Element { name: tensor(), source })?;
        let offset = cursor.u64()?;
        let (block, block_bytes) = (element.block().0 as u64, element.block().1 as u64);
        if !sizes[0].is_multiple_of(block) {
            return Err(ContainerError::PartialBlock { name: tensor(), columns: sizes[0], block });
        }
        let bytes = sizes.iter().try_fold(1, |product: u64, &size| product.checked_mul(size).filter(|&product| product > 0));
        let bytes = bytes.and_then(|values| (values / block).checked_mul(block_bytes));
        let shape = sizes.iter().rev().map(|&size| usize::try_from(size).ok()).collect::<Option<Vec<usize>>>();
        match (shape, bytes) {
            (Some(shape), Some(bytes)) => Ok(TensorInfo { name, shape, element, offset, bytes }),
            _ => Err(ContainerError::Sizes { name: tensor(), sizes }),
        }
    }
}

/// The bytes of the tensors, after a check that each is inside the data and no two overlap.
fn locate<'b>(infos: &[TensorInfo<'b>], data: &FileBytes, alignment: u64) -> Result<Vec<(&'b str, StoredTensor)>, ContainerError> {
    let mut order: Vec<&TensorInfo<'_>> = infos.iter().collect();
    order.sort_by_key(|info| info.offset);
    for pair in order.windows(2) {
        if pair[0].offset.saturating_add(pair[0].bytes) > pair[1].offset {
            return Err(ContainerError::Overlap(pair[0].name.to_owned(), pair[1].name.to_owned()));
        }
    }
    let bytes_of = |info: &TensorInfo<'_>| {
        let start = usize::try_from(info.offset).ok()?;
        let end = start.checked_add(usize::try_from(info.bytes).ok()?)?;
        data.get(start..end).map(|bytes| data.part(bytes))
    };
    let mut tensors = Vec::new();
    for info in infos {
        if !info.offset.is_multiple_of(alignment) {
            return Err(ContainerError::Misaligned { name: info.name.to_owned(), offset: info.offset, alignment });
        }
        let bytes = bytes_of(info).ok_or_else(|| ContainerError::TensorTruncated(info.name.to_owned()))?;
        tensors.push((info.name, StoredTensor { shape: info.shape.clone(), element: Ok(info.element), bytes }));
    }
    Ok(tensors)
}

/// Reads the value of `key`, of the type with GGUF's number `kind`.
fn read_value<'b>(cursor: &mut Cursor<'b>, kind: u32, key: &str) -> Result<Value<'b>, ContainerError> {
    Ok(match kind {
        0 => Value::Unsigned(u8::from_le_bytes(cursor.array()?).into()),
        1 => Value::Signed(i8::from_le_bytes(cursor.array()?).into()),
        2 => Value::Unsigned(u16::from_le_bytes(cursor.array()?).into()),
        3 => Value::Signed(i16::from_le_bytes(cursor.array()?).into()),
        4 => Value::Unsigned(cursor.u32()?.into()),
        5 => Value::Signed(i32::from_le_bytes(cursor.array()?).into()),
        6 => Value::Float(f32::from_le_bytes(cursor.array()?).into()),
        7 => match cursor.array()? {
            [0] => Value::Bool(false),
            [1] => Value::Bool(true),
            [value] => return Err(ContainerError::Bool { key: key.to_owned(), value }),
        },
        8 => Value::Text(cursor.text(key)?),
        9 => Value::Array(read_array(cursor, key)?),
        10 => Value::Unsigned(cursor.u64()?),
        11 => Value::Signed(i64::from_le_bytes(cursor.array()?)),
        12 => Value::Float(f64::from_le_bytes(cursor.array()?)),
        kind => return Err(ContainerError::ValueKind { key: key.to_owned(), kind }),
    })
}

/// Reads an array, walking over each of its values once.
fn read_array<'b>(cursor: &mut Cursor<'b>, key: &str) -> Result<Array<'b>, ContainerError> {
    let (kind, count) = (cursor.u32()?, cursor.u64()?);
    if kind == 9 {
        return Err(ContainerError::NestedArray(key.to_owned()));
    }
    let start = cursor.0;
    // Every value takes at least a byte, so a count that is too large reaches the end of the file.
    for _ in 0..count {
        read_value(cursor, kind, key)?;
    }
    Ok(Array { kind, count, bytes: &start[..start.len() - cursor.0.len()] })
}
