//! Tensors of a model's files, each taken once by its name.

use std::collections::{BTreeMap, BTreeSet};

use safetensors::{Dtype, SafeTensorError, SafeTensors};

use super::elements::ElementType;
use super::tensor_data::TensorData;
use crate::files::FileBytes;

/// Reason why the tensors of a file are not those of the model.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The container is damaged.
    #[error("invalid safetensors file: {0}; download it again")]
    Safetensors(SafeTensorError),
    /// Two tensors have one name.
    #[error("the tensor {0} occurs twice")]
    Duplicate(String),
    /// A tensor that the architecture needs is absent.
    #[error("the tensor {0} is missing; check that the files are complete and of one model")]
    Missing(String),
    /// A tensor has other sizes than the configuration implies.
    #[error("the tensor {name} has the shape {found:?}, but {stated_by} implies {expected:?}")]
    Shape {
        /// Name of the tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that the configuration implies.
        expected: Vec<usize>,
        /// Source of the configuration.
        stated_by: &'static str,
    },
    /// A tensor has an element type that cannot be decoded.
    #[error("the tensor {name} is of type {found}; supported: F32, F16 and BF16")]
    ElementType {
        /// Name of the tensor.
        name: String,
        /// Its element type.
        found: String,
    },
    /// A weight is NaN or infinite.
    #[error("value {index} of the tensor {name} is {value}; weights must be finite")]
    NotFinite {
        /// Name of the tensor.
        name: String,
        /// Index of the value.
        index: usize,
        /// The value.
        value: f32,
    },
    /// Tensors that the architecture does not use.
    #[error("unexpected tensor {first}{}, which the model's architecture does not use", and_others(*count))]
    Unexpected {
        /// Name of the first of them.
        first: String,
        /// Their number.
        count: usize,
    },
    /// A table that is computed, because the file lacks it, would be too large.
    #[error("a position table of {rows} by {columns} values is too large to be computed")]
    ComputedTable {
        /// Positions.
        rows: u32,
        /// Values of each.
        columns: u32,
    },
}

fn and_others(count: usize) -> String {
    if count == 1 { String::new() } else { format!(" (and {} others)", count - 1) }
}

/// The tensors of one or several files, and which of them are not yet taken.
pub struct Weights {
    tensors: BTreeMap<String, StoredTensor>,
    remaining: BTreeSet<String>,
    /// Source of the shapes that are asked for, named in errors.
    stated_by: &'static str,
}

/// A tensor as a file stores it.
pub struct StoredTensor {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Element type, or the type of a safetensors file that cannot be decoded.
    pub element: Result<ElementType, Dtype>,
    /// As many whole blocks as the shape implies.
    pub bytes: FileBytes,
}

impl Weights {
    /// No tensors. `stated_by` names the source of the shapes, such as config.json.
    pub fn new(stated_by: &'static str) -> Self {
        Weights { tensors: BTreeMap::new(), remaining: BTreeSet::new(), stated_by }
    }

    /// Adds the tensors of a safetensors file.
    ///
    /// # Errors
    /// [`WeightsError::Safetensors`] or [`WeightsError::Duplicate`].
    pub fn add_safetensors(&mut self, file: &FileBytes) -> Result<(), WeightsError> {
        let tensors = SafeTensors::deserialize(file).map_err(WeightsError::Safetensors)?;
        for (name, tensor) in tensors.iter() {
            let element = match tensor.dtype() {
                Dtype::F32 => Ok(ElementType::F32),
                Dtype::F16 => Ok(ElementType::F16),
                Dtype::BF16 => Ok(ElementType::BF16),
                other => Err(other),
            };
            self.add(modern_name(name), StoredTensor { shape: tensor.shape().to_vec(), element, bytes: file.part(tensor.data()) })?;
        }
        Ok(())
    }

    /// Adds a tensor.
    ///
    /// # Errors
    /// [`WeightsError::Duplicate`].
    pub fn add(&mut self, name: String, tensor: StoredTensor) -> Result<(), WeightsError> {
        if !self.remaining.insert(name.clone()) {
            return Err(WeightsError::Duplicate(name));
        }
        self.tensors.insert(name, tensor);
        Ok(())
    }

    /// Whether a tensor of this name exists.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Whether the name of any tensor begins with `prefix`.
    pub fn any(&self, prefix: &str) -> bool {
        self.tensors.range(prefix.to_owned()..).next().is_some_and(|(name, _)| name.starts_with(prefix))
    }

    /// Takes a tensor of this shape, which is dequantized to f32 when it is read.
    ///
    /// # Errors
    /// [`WeightsError`]: the tensor is missing, of another shape or element type, or has a value that is not finite.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<TensorData, WeightsError> {
        let tensor = self.tensors.get(name).ok_or_else(|| WeightsError::Missing(name.to_owned()))?;
        let name = name.to_owned();
        if tensor.shape != shape {
            let (found, expected) = (tensor.shape.clone(), shape.to_vec());
            return Err(WeightsError::Shape { name, found, expected, stated_by: self.stated_by });
        }
        let data = match &tensor.element {
            Ok(element) => TensorData::stored(tensor.bytes.clone(), *element),
            Err(found) => return Err(WeightsError::ElementType { name, found: format!("{found:?}") }),
        };
        if let Some((index, value)) = data.first_not_finite() {
            return Err(WeightsError::NotFinite { name, index, value });
        }
        self.remaining.remove(&name);
        Ok(data)
    }

    /// Ignores a tensor that the model does not need here.
    pub fn skip(&mut self, name: &str) {
        self.remaining.remove(name);
    }

    /// Checks that every tensor was taken or skipped.
    ///
    /// # Errors
    /// [`WeightsError::Unexpected`].
    pub fn finish(&self) -> Result<(), WeightsError> {
        match self.remaining.first() {
            None => Ok(()),
            Some(first) => Err(WeightsError::Unexpected { first: first.clone(), count: self.remaining.len() }),
        }
    }
}

/// The present name of a tensor: the first checkpoints named the scale of a layer norm gamma and its bias beta, as TensorFlow does.
fn modern_name(name: &str) -> String {
    match (name.strip_suffix("LayerNorm.gamma"), name.strip_suffix("LayerNorm.beta")) {
        (Some(prefix), _) => format!("{prefix}LayerNorm.weight"),
        (_, Some(prefix)) => format!("{prefix}LayerNorm.bias"),
        _ => name.to_owned(),
    }
}
