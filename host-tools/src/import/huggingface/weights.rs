//! The tensors of a safetensors file, each taken once by its name.

use std::collections::BTreeSet;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};

/// A file's tensors, and which of them are still to be taken.
pub struct Weights<'b> {
    file: SafeTensors<'b>,
    left: BTreeSet<String>,
}

impl<'b> Weights<'b> {
    /// Over a whole file.
    ///
    /// # Errors
    /// A sentence's end: what is wrong with it.
    pub fn new(bytes: &'b [u8]) -> Result<Self, String> {
        let file = SafeTensors::deserialize(bytes).map_err(|error| format!("it is no safetensors file: {error}"))?;
        let left = file.names().into_iter().map(|name| name.to_string()).collect();
        Ok(Weights { file, left })
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.file.tensor(name).is_ok()
    }

    /// Takes a tensor of this shape, its values widened.
    ///
    /// # Errors
    /// A sentence's end: it is missing, of another shape, of another type, or not finite.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        let tensor = self.file.tensor(name).map_err(|_| format!("the tensor {name} is missing"))?;
        if tensor.shape() != shape {
            return Err(format!("the tensor {name} has the shape {:?}, config.json implies {shape:?}", tensor.shape()));
        }
        let data = tensor.data();
        let values: Vec<f32> = match tensor.dtype() {
            Dtype::F32 => data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
            Dtype::F16 => data.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32()).collect(),
            Dtype::BF16 => data.as_chunks().0.iter().map(|&bytes| bf16::from_le_bytes(bytes).to_f32()).collect(),
            other => return Err(format!("the tensor {name} is of type {other:?}; what can be read is F32, F16 and BF16")),
        };
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(format!("value {at} of the tensor {name} is {}", values[at]));
        }
        self.left.remove(name);
        Ok(values)
    }

    /// Leaves a tensor out that the model does not need here.
    pub fn skip(&mut self, name: &str) {
        self.left.remove(name);
    }

    /// Whether all was taken.
    ///
    /// # Errors
    /// A sentence's end that names what was not.
    pub fn finish(&self) -> Result<(), String> {
        match (self.left.first(), self.left.len()) {
            (None, _) => Ok(()),
            (Some(name), 1) => Err(format!("it holds a tensor {name} that its architecture has no place for")),
            (Some(name), count) => {
                Err(format!("it holds {count} tensors that its architecture has no place for, {name} the first of them"))
            }
        }
    }
}
