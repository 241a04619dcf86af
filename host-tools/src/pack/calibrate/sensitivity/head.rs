//! The head of a decoder and its tables, quantized or not, as the f32 values that the engine computes with.

use std::collections::BTreeMap;
use std::sync::Arc;

use attoformer::image::{Config, Role};

use super::super::super::fuse::FusedTensor;
use super::super::super::prepare::Prepared;
use super::super::super::tensor_id::TensorId;
use super::super::normed;
use crate::quantize::error::round_activations;
use crate::quantize::product::PackedRows;
use crate::quantize::{Format, Matrix};

/// Final norm and head of a decoder, quantized or not.
#[derive(Clone)]
pub struct Head(Arc<Parts>);

struct Parts {
    config: Config,
    norm: Option<FusedTensor>,
    weights: PackedRows,
    bias: Option<Vec<f32>>,
    in_scale: Option<Vec<f32>>,
    /// Largest integer of the quantized input; `None` for f32.
    limit: Option<f32>,
}

impl Head {
    /// The head of a model among these tensors.
    pub fn new(config: &Config, mut tensors: BTreeMap<TensorId, Prepared>) -> Self {
        let norm = tensors.remove(&(Role::FinalNorm, None)).map(|norm| dequantized(&norm));
        let role = if config.tied_head { Role::Embedding } else { Role::Head };
        let head = tensors.remove(&(role, None));
        let values = head.as_ref().map(dequantized).unwrap_or_default();
        let is_integer = |head: &Prepared| head.format.grid(1).is_some();
        Head(Arc::new(Parts {
            config: *config,
            norm,
            weights: PackedRows::new(Matrix { columns: config.d_model as usize, values: &values.values }),
            bias: values.bias,
            limit: head.as_ref().filter(|head| is_integer(head)).map(|head| head.activations.limit()),
            in_scale: head.and_then(|head| head.in_scale),
        }))
    }

    /// Logits `(rows, vocab)` of rows of the residual stream.
    pub fn logits(&self, rows: &[f32]) -> Vec<f32> {
        let Parts { config, norm, weights, bias, in_scale, limit } = &*self.0;
        let columns = config.d_model as usize;
        let mut inputs = Vec::with_capacity(rows.len());
        for row in rows.chunks_exact(columns) {
            let mut row = normed(config, norm.as_ref(), row);
            if let Some(factors) = in_scale {
                row.iter_mut().zip(factors).for_each(|(x, factor)| *x *= factor);
            }
            match limit {
                Some(limit) => inputs.extend(round_activations(&row, *limit)),
                None => inputs.extend(row),
            }
        }
        let mut logits = PackedRows::new(Matrix { columns, values: &inputs }).products(weights);
        if let Some(bias) = bias {
            logits.chunks_exact_mut(bias.len()).flatten().zip(bias.iter().cycle()).for_each(|(logit, bias)| *logit += bias);
        }
        logits
    }

    /// Logits of a row.
    pub fn vocab(&self) -> usize {
        self.0.weights.rows()
    }

    /// Elements of a row of the residual stream.
    pub fn columns(&self) -> usize {
        self.0.config.d_model as usize
    }
}

/// A stored tensor as the f32 values that the engine computes with.
fn dequantized(tensor: &Prepared) -> FusedTensor {
    let columns = tensor.columns as usize;
    let stride = tensor.values.len() / (tensor.rows as usize).max(1);
    let group = if tensor.format.group() == 0 { columns } else { tensor.format.group() as usize };
    let groups = columns.div_ceil(group.max(1));
    let value = |row: usize, bytes: &[u8], column: usize| match tensor.format {
        Format::F32 => bytes.as_chunks().0.get(column).map_or(0.0, |&word| f32::from_le_bytes(word)),
        Format::F16 => bytes.as_chunks().0.get(column).map_or(0.0, |&half| half::f16::from_le_bytes(half).to_f32()),
        Format::Int8 => f32::from(bytes[column] as i8) * tensor.row_scales[row],
        Format::Int4 { .. } => {
            let nibble = (bytes[column / 2] >> (4 * (column % 2)) << 4) as i8 >> 4;
            f32::from(i16::from(nibble) * i16::from(tensor.group_scales[row * groups + column / group])) * tensor.row_scales[row]
        }
    };
    let rows = tensor.values.chunks_exact(stride.max(1)).enumerate();
    let values = rows.flat_map(|(row, bytes)| (0..columns).map(move |column| value(row, bytes, column))).collect();
    FusedTensor { rows: tensor.rows, columns: tensor.columns, values, bias: tensor.bias.clone() }
}

/// A stored table as the f32 rows that are looked up in it.
pub fn table(tensor: &Prepared) -> FusedTensor {
    let mut table = dequantized(tensor);
    if let Some(factors) = &tensor.in_scale {
        table.scale_columns(factors);
    }
    table.bias = None;
    table
}
