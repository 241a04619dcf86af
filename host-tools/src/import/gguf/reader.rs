//! The container: a GGUF file's metadata and tensors, versions 2 and 3, little-endian.
//!
//! Nothing is copied and nothing allocated by a count that the file states: strings and arrays are pieces of the file, found by walking it.

use std::collections::BTreeMap;

use crate::import::elements::ElementType;
use crate::import::weights::{StoredTensor, Weights};

const MAGIC: &[u8] = b"GGUF";
const VERSIONS: [u32; 2] = [2, 3];
const DIMENSIONS_MAX: u32 = 4;
const ALIGNMENT: u64 = 32;
const ALIGNMENT_MAX: u64 = 1 << 20;
/// Longest key or tensor name; longer ones are damage.
const NAME_MAX: usize = 1 << 16;

/// A file, checked as a whole.
pub struct Gguf<'b> {
    metadata: BTreeMap<&'b str, Value<'b>>,
    tensors: Vec<(&'b str, StoredTensor<'b>)>,
}

/// One value of the metadata.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'b> {
    /// Any unsigned integer.
    Unsigned(u64),
    /// Any signed integer.
    Signed(i64),
    /// Either float.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A text.
    Text(&'b str),
    /// Values of one kind.
    Array(Array<'b>),
}

/// An array of the metadata, its values still in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Array<'b> {
    kind: u32,
    count: u64,
    bytes: &'b [u8],
}

impl<'b> Array<'b> {
    /// The values, in order.
    pub fn values(self) -> impl Iterator<Item = Value<'b>> {
        let mut rest = Rest(self.bytes);
        (0..self.count).map_while(move |_| rest.value(self.kind, "").ok())
    }

    /// The texts, in order; `None` when it holds anything else.
    pub fn texts(self) -> Option<Vec<&'b str>> {
        let text = |value| if let Value::Text(text) = value { Some(text) } else { None };
        self.values().map(text).collect()
    }
}

impl<'b> Gguf<'b> {
    /// Reads and checks the file's structure: every string, array and tensor lies in the file, no tensor on another.
    ///
    /// # Errors
    /// A sentence's end: what is wrong with the file.
    pub fn read(bytes: &'b [u8]) -> Result<Self, String> {
        let mut rest = Rest(bytes);
        if rest.take(4) != Ok(MAGIC) {
            return Err("it is no GGUF file".to_owned());
        }
        let version = rest.u32()?;
        if VERSIONS.contains(&version.swap_bytes()) {
            return Err("it is a big-endian GGUF file; convert it for a little-endian machine".to_owned());
        }
        if !VERSIONS.contains(&version) {
            return Err(format!("it is a GGUF file of version {version}; what can be read is 2 and 3, so convert the model again"));
        }
        let (tensors, pairs) = (rest.u64()?, rest.u64()?);
        let mut metadata = BTreeMap::new();
        for _ in 0..pairs {
            let key = rest.name("a metadata key")?;
            let kind = rest.u32()?;
            if metadata.insert(key, rest.value(kind, key)?).is_some() {
                return Err(format!("its metadata states {key} twice"));
            }
        }
        let mut found = Vec::new();
        for _ in 0..tensors {
            found.push(Place::read(&mut rest)?);
        }
        let alignment = match metadata.get("general.alignment") {
            None => ALIGNMENT,
            Some(Value::Unsigned(size)) if size.is_power_of_two() && *size <= ALIGNMENT_MAX => *size,
            Some(_) => return Err("its general.alignment is no power of two up to 1 MiB".to_owned()),
        };
        let start = ((bytes.len() - rest.0.len()) as u64).next_multiple_of(alignment);
        let data = usize::try_from(start).ok().and_then(|start| bytes.get(start..)).unwrap_or_default();
        Ok(Gguf { metadata, tensors: placed(&found, data, alignment)? })
    }

    /// A value of the metadata.
    pub fn value(&self, key: &str) -> Option<Value<'b>> {
        self.metadata.get(key).copied()
    }

    /// A text of the metadata.
    ///
    /// # Errors
    /// A sentence's end: it is no text.
    pub fn text(&self, key: &str) -> Result<Option<&'b str>, String> {
        self.typed(key, "a text", |value| if let Value::Text(text) = value { Some(text) } else { None })
    }

    /// A flag of the metadata.
    ///
    /// # Errors
    /// A sentence's end: it is no flag.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, String> {
        self.typed(key, "true or false", |value| if let Value::Bool(flag) = value { Some(flag) } else { None })
    }

    /// A size of the metadata, whatever integer type it has.
    ///
    /// # Errors
    /// A sentence's end: it is no integer from 0 to 2^32 - 1.
    pub fn size(&self, key: &str) -> Result<Option<u32>, String> {
        self.typed(key, "one size", |value| match value {
            Value::Unsigned(size) => size.try_into().ok(),
            Value::Signed(size) => size.try_into().ok(),
            _ => None,
        })
    }

    /// A number of the metadata.
    ///
    /// # Errors
    /// A sentence's end: it is no number.
    pub fn number(&self, key: &str) -> Result<Option<f64>, String> {
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
    /// A sentence's end: it is no array.
    pub fn array(&self, key: &str) -> Result<Option<Array<'b>>, String> {
        self.typed(key, "an array", |value| if let Value::Array(array) = value { Some(array) } else { None })
    }

    /// A size that must be there.
    ///
    /// # Errors
    /// A sentence's end: it is missing, or no size.
    pub fn need(&self, key: &str) -> Result<u32, String> {
        self.size(key)?.ok_or_else(|| format!("its metadata lacks {key}"))
    }

    /// All tensors.
    ///
    /// # Errors
    /// A sentence's end: two have one name.
    pub fn into_weights(self) -> Result<Weights<'b>, String> {
        let mut weights = Weights::new("its metadata");
        self.tensors.into_iter().try_for_each(|(name, tensor)| weights.add(name.to_owned(), tensor))?;
        Ok(weights)
    }

    /// Sizes of a tensor, outermost first.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.iter().find(|tensor| tensor.0 == name).map(|(_, tensor)| &tensor.shape[..])
    }

    /// The values of a tensor of one dimension, where there is one of this name.
    ///
    /// # Errors
    /// A sentence's end: it has more dimensions.
    pub fn vector(&self, name: &str) -> Result<Option<Vec<f32>>, String> {
        match self.tensors.iter().find(|tensor| tensor.0 == name) {
            None => Ok(None),
            Some((_, StoredTensor { shape, element: Ok(element), bytes })) if shape.len() == 1 => Ok(Some(element.decode(bytes))),
            Some((_, tensor)) => Err(format!("the tensor {name} has the shape {:?}, where one dimension belongs", tensor.shape)),
        }
    }

    fn typed<T>(&self, key: &str, what: &str, read: impl Fn(Value<'b>) -> Option<T>) -> Result<Option<T>, String> {
        let value = self.value(key).map(|value| read(value).ok_or_else(|| format!("its {key} is not {what}")));
        value.transpose()
    }
}

/// What a file says of one tensor.
struct Place<'b> {
    name: &'b str,
    /// Outermost first.
    shape: Vec<usize>,
    element: ElementType,
    offset: u64,
    bytes: u64,
}

impl<'b> Place<'b> {
    fn read(rest: &mut Rest<'b>) -> Result<Self, String> {
        let name = rest.name("a tensor's name")?;
        let dimensions = rest.u32()?;
        if dimensions == 0 || dimensions > DIMENSIONS_MAX {
            return Err(format!("the tensor {name} has {dimensions} dimensions; what can be read is 1 to {DIMENSIONS_MAX}"));
        }
        let sizes = (0..dimensions).map(|_| rest.u64()).collect::<Result<Vec<u64>, String>>()?;
        let element = ElementType::of_gguf(rest.u32()?).map_err(|other| format!("the tensor {name} is {other}"))?;
        let offset = rest.u64()?;
        let (block, block_bytes) = (element.block().0 as u64, element.block().1 as u64);
        if !sizes[0].is_multiple_of(block) {
            return Err(format!("the tensor {name} has rows of {} values, which are no whole blocks of {block}", sizes[0]));
        }
        let bytes = sizes.iter().try_fold(1, |product: u64, &size| product.checked_mul(size).filter(|&product| product > 0));
        let bytes = bytes.and_then(|values| (values / block).checked_mul(block_bytes));
        let shape = sizes.iter().rev().map(|&size| usize::try_from(size).ok()).collect::<Option<Vec<usize>>>();
        match (shape, bytes) {
            (Some(shape), Some(bytes)) => Ok(Place { name, shape, element, offset, bytes }),
            _ => Err(format!("the tensor {name} has the sizes {sizes:?}: none, or more than a file can hold")),
        }
    }
}

/// The tensors' bytes, after a check that each lies in the data and none on another.
fn placed<'b>(found: &[Place<'b>], data: &'b [u8], alignment: u64) -> Result<Vec<(&'b str, StoredTensor<'b>)>, String> {
    let mut order: Vec<&Place<'_>> = found.iter().collect();
    order.sort_by_key(|place| place.offset);
    for pair in order.windows(2) {
        if pair[0].offset.saturating_add(pair[0].bytes) > pair[1].offset {
            return Err(format!("the tensors {} and {} lie on each other", pair[0].name, pair[1].name));
        }
    }
    let bytes_of = |place: &Place<'_>| {
        let start = usize::try_from(place.offset).ok()?;
        let end = start.checked_add(usize::try_from(place.bytes).ok()?)?;
        data.get(start..end)
    };
    let mut tensors = Vec::new();
    for place in found {
        if !place.offset.is_multiple_of(alignment) {
            return Err(format!("the tensor {} begins at {}, which is no multiple of {alignment}", place.name, place.offset));
        }
        let bytes = bytes_of(place).ok_or_else(|| format!("the tensor {} reaches beyond the file's end: it may be cut", place.name))?;
        tensors.push((place.name, StoredTensor { shape: place.shape.clone(), element: Ok(place.element), bytes }));
    }
    Ok(tensors)
}

/// What of a file is still to be read.
struct Rest<'b>(&'b [u8]);

impl<'b> Rest<'b> {
    fn take(&mut self, count: usize) -> Result<&'b [u8], String> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("it ends before its tensors begin: it may be cut")?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N).map(|bytes| *bytes.first_chunk().expect("as many were taken"))
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self, what: &str) -> Result<&'b str, String> {
        let length = usize::try_from(self.u64()?).unwrap_or(usize::MAX);
        std::str::from_utf8(self.take(length)?).map_err(|_| format!("{what} is not UTF-8"))
    }

    fn name(&mut self, what: &str) -> Result<&'b str, String> {
        let name = self.text(what)?;
        if name.is_empty() || name.len() > NAME_MAX {
            return Err(format!("{what} has {} bytes; what can be read is 1 to {NAME_MAX}", name.len()));
        }
        Ok(name)
    }

    /// The value of `key`, of the kind that the file states by this number.
    fn value(&mut self, kind: u32, key: &str) -> Result<Value<'b>, String> {
        Ok(match kind {
            0 => Value::Unsigned(u8::from_le_bytes(self.array()?).into()),
            1 => Value::Signed(i8::from_le_bytes(self.array()?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.array()?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.array()?).into()),
            4 => Value::Unsigned(self.u32()?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.array()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.array()?).into()),
            7 => match self.array()? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                [other] => return Err(format!("its {key} is {other}, neither true nor false")),
            },
            8 => Value::Text(self.text(key)?),
            9 => Value::Array(self.values(key)?),
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.array()?)),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            other => return Err(format!("its {key} is of an unknown type {other}")),
        })
    }

    /// An array, every value of which is walked over once.
    fn values(&mut self, key: &str) -> Result<Array<'b>, String> {
        let (kind, count) = (self.u32()?, self.u64()?);
        if kind == 9 {
            return Err(format!("its {key} is an array of arrays, which cannot be read"));
        }
        let all = self.0;
        // Every value takes at least a byte, so that a count that lies runs into the file's end.
        for _ in 0..count {
            self.value(kind, key)?;
        }
        Ok(Array { kind, count, bytes: &all[..all.len() - self.0.len()] })
    }
}
