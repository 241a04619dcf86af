//! Tensors on their way from a file's names to a checkpoint's parts.

use super::weights::Weights;
use crate::import::{Part, Tensor};

/// Takes tensors by name, all of which may share a prefix.
pub struct Taker<'w, 'b> {
    /// The file.
    pub weights: &'w mut Weights<'b>,
    /// What every name begins with.
    pub prefix: String,
    /// What was taken so far.
    pub tensors: Vec<Tensor>,
}

impl<'w, 'b> Taker<'w, 'b> {
    /// Nothing taken yet.
    pub fn new(weights: &'w mut Weights<'b>, prefix: &str) -> Self {
        Taker { weights, prefix: prefix.to_owned(), tensors: Vec::new() }
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.weights.has(&format!("{}{name}", self.prefix))
    }

    /// A tensor's values.
    ///
    /// # Errors
    /// A sentence's end that names the tensor.
    pub fn values(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        self.weights.take(&format!("{}{name}", self.prefix), shape)
    }

    /// Leaves a tensor out that the model does not need here.
    pub fn skip(&mut self, name: &str) {
        self.weights.skip(&format!("{}{name}", self.prefix));
    }

    /// Adds a part made of values.
    pub fn put(&mut self, part: Part, layer: Option<u32>, (rows, columns): (usize, usize), values: Vec<f32>, bias: Option<Vec<f32>>) {
        self.tensors.push(Tensor { part, layer, rows, columns, values, bias });
    }

    /// A matrix, with a bias where the file has one.
    ///
    /// # Errors
    /// A sentence's end that names the tensor.
    pub fn linear(&mut self, part: Part, layer: Option<u32>, name: &str, (rows, columns): (usize, usize)) -> Result<(), String> {
        let values = self.values(&format!("{name}.weight"), &[rows, columns])?;
        let bias = format!("{name}.bias");
        let bias = if self.has(&bias) { Some(self.values(&bias, &[rows])?) } else { None };
        self.put(part, layer, (rows, columns), values, bias);
        Ok(())
    }

    /// A layer norm: scale and bias, under their new names or those of older files.
    ///
    /// # Errors
    /// A sentence's end that names the tensor.
    pub fn layer_norm(&mut self, part: Part, layer: Option<u32>, name: &str, width: usize) -> Result<(), String> {
        let old = self.has(&format!("{name}.gamma"));
        let [scale, bias] = if old { ["gamma", "beta"] } else { ["weight", "bias"] };
        let mut values = self.values(&format!("{name}.{scale}"), &[width])?;
        values.extend(self.values(&format!("{name}.{bias}"), &[width])?);
        self.put(part, layer, (2, width), values, None);
        Ok(())
    }
}
