//! The tensors of a model's files, each taken once by its name.

use std::collections::{BTreeMap, BTreeSet};

use safetensors::{Dtype, SafeTensors};

use super::elements::ElementType;

/// The tensors of one or several files, and which of them are still to be taken.
pub struct Weights<'b> {
    tensors: BTreeMap<String, StoredTensor<'b>>,
    left: BTreeSet<String>,
    /// What states the shapes that are asked for.
    stated_by: &'static str,
}

/// A tensor as a file holds it.
pub struct StoredTensor<'b> {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Its element type, or the name of one that cannot be read.
    pub element: Result<ElementType, String>,
    /// As many whole blocks as the shape implies.
    pub bytes: &'b [u8],
}

impl<'b> Weights<'b> {
    /// No tensors. `stated_by` is what a tensor of the wrong shape contradicts.
    pub fn new(stated_by: &'static str) -> Self {
        Weights { tensors: BTreeMap::new(), left: BTreeSet::new(), stated_by }
    }

    /// Adds the tensors of a safetensors file.
    ///
    /// # Errors
    /// A sentence's end: what is wrong with the file.
    pub fn add_safetensors(&mut self, bytes: &'b [u8]) -> Result<(), String> {
        let file = SafeTensors::deserialize(bytes).map_err(|error| format!("it is no safetensors file: {error}"))?;
        for (name, tensor) in file.iter() {
            let element = match tensor.dtype() {
                Dtype::F32 => Ok(ElementType::F32),
                Dtype::F16 => Ok(ElementType::F16),
                Dtype::BF16 => Ok(ElementType::BF16),
                other => Err(format!("{other:?}")),
            };
            self.add(today(name), StoredTensor { shape: tensor.shape().to_vec(), element, bytes: tensor.data() })?;
        }
        Ok(())
    }

    /// Adds a tensor.
    ///
    /// # Errors
    /// A sentence's end: its name is taken.
    pub fn add(&mut self, name: String, tensor: StoredTensor<'b>) -> Result<(), String> {
        if !self.left.insert(name.clone()) {
            return Err(format!("it holds a second tensor {name}"));
        }
        self.tensors.insert(name, tensor);
        Ok(())
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Whether there is a tensor whose name begins like this.
    pub fn any(&self, prefix: &str) -> bool {
        self.tensors.range(prefix.to_owned()..).next().is_some_and(|(name, _)| name.starts_with(prefix))
    }

    /// Takes a tensor of this shape, its values widened.
    ///
    /// # Errors
    /// A sentence's end: it is missing, of another shape, of another type, or not finite.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        let tensor = self.tensors.get(name).ok_or_else(|| format!("the tensor {name} is missing"))?;
        if tensor.shape != shape {
            return Err(format!("the tensor {name} has the shape {:?}, {} implies {shape:?}", tensor.shape, self.stated_by));
        }
        let element = tensor.element.as_ref();
        let element = element.map_err(|other| format!("the tensor {name} is of type {other}; what can be read is F32, F16 and BF16"))?;
        let values = element.decode(tensor.bytes);
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

/// Today's name of a tensor: the first checkpoints called a layer norm's scale gamma and its bias beta, as TensorFlow does.
fn today(name: &str) -> String {
    match (name.strip_suffix("LayerNorm.gamma"), name.strip_suffix("LayerNorm.beta")) {
        (Some(front), _) => format!("{front}LayerNorm.weight"),
        (_, Some(front)) => format!("{front}LayerNorm.bias"),
        _ => name.to_owned(),
    }
}
