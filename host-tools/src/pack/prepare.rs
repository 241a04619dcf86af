//! A tensor in the format that it is stored in, before it has a place in an image.

use attoformer::image::Dtype;

use super::activations::ActivationBits;
use super::fuse::{FusedSource, FusedTensor};
use super::layout;
use super::smooth::ColumnScaling;
use super::tensor_id::TensorId;
use crate::quantize::{Format, Hessian, Rounding, quantize};

/// How a tensor is to be stored.
#[derive(Debug)]
pub struct Storage {
    /// Its identity.
    pub id: TensorId,
    /// Its format.
    pub format: Format,
    /// Bits of its quantized inputs.
    pub activations: ActivationBits,
    /// Scaling of its columns.
    pub scaling: ColumnScaling,
    /// Second moments of its inputs, for GPTQ; without them values are rounded to nearest.
    pub hessian: Option<Hessian>,
}

impl Storage {
    /// Storage without column scaling, rounded to nearest.
    pub fn plain(id: TensorId, format: Format) -> Self {
        Storage { id, format, activations: ActivationBits::Eight, scaling: ColumnScaling::default(), hessian: None }
    }
}

/// A tensor in its format: the bytes of the portable layout, and its scales.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Its identity.
    pub id: TensorId,
    /// Its format.
    pub format: Format,
    /// Bits of its quantized inputs.
    pub activations: ActivationBits,
    /// Outputs.
    pub rows: u32,
    /// Inputs.
    pub columns: u32,
    /// Values in the portable layout.
    pub values: Vec<u8>,
    /// One scale per row of an integer matrix.
    pub row_scales: Vec<f32>,
    /// One scale per group of an int4 matrix.
    pub group_scales: Vec<i8>,
    /// One value per row.
    pub bias: Option<Vec<f32>>,
    /// One factor per column of the input; `None` for 1.
    pub in_scale: Option<Vec<f32>>,
    /// Sums of squares of the quantization error and of the tensor.
    pub squared_error: [f64; 2],
}

/// GPTQ: part of the way from the quantized stream's outputs to the f32 stream's that a matrix aims at.
const ASYMMETRY: f32 = 0.5;
/// GPTQ: damping in units of the Hessian's mean diagonal element.
const DAMPING: f32 = 0.01;

/// Scales the columns of a tensor, quantizes it and arranges it.
pub fn prepare(mut tensor: FusedTensor, storage: &Storage) -> Prepared {
    let Storage { id, format, activations, scaling, hessian } = storage;
    let hessian = hessian.as_ref().map(|hessian| {
        let mut hessian = hessian.clone();
        if let Some(factors) = &scaling.factors {
            hessian.scale_columns(&factors.iter().map(|factor| 1.0 / factor).collect::<Vec<f32>>());
        }
        hessian
    });
    if let Some(factors) = &scaling.factors {
        tensor.scale_columns(factors);
    }
    let rounding = match &hessian {
        Some(hessian) => Rounding::Gptq { hessian, asym: ASYMMETRY, damping: DAMPING },
        None => Rounding::NEAREST,
    };
    let quantized = quantize(tensor.matrix(), *format, rounding);
    let inverses = |factors: &Vec<f32>| factors.iter().map(|factor| 1.0 / factor).collect();
    Prepared {
        id: *id,
        format: *format,
        activations: if format.dtype() == Dtype::Int8 { *activations } else { ActivationBits::Eight },
        rows: tensor.rows,
        columns: tensor.columns,
        values: layout::portable(&quantized, format.dtype()),
        squared_error: quantized.squared_error(tensor.matrix()),
        row_scales: quantized.row_scales,
        group_scales: quantized.group_scales,
        bias: tensor.bias,
        in_scale: scaling.factors.as_ref().filter(|_| scaling.in_scale).map(inverses),
    }
}

/// Prepares a tensor a block of rows at a time, so that the f32 values of a large table are never all in memory. With GPTQ all rows are one block.
pub fn prepare_blocks(source: &FusedSource, storage: &Storage) -> Prepared {
    if storage.hessian.is_some() {
        return prepare(source.read(), storage);
    }
    let mut blocks = source.blocks().map(|block| prepare(block, storage));
    let Some(mut all) = blocks.next() else { return prepare(source.read(), storage) };
    for block in blocks {
        all.append(block);
    }
    all
}

impl Prepared {
    /// Appends the rows of `next`, which is stored in the same way.
    fn append(&mut self, next: Prepared) {
        self.rows += next.rows;
        self.values.extend(next.values);
        self.row_scales.extend(next.row_scales);
        self.group_scales.extend(next.group_scales);
        if let (Some(bias), Some(next)) = (&mut self.bias, next.bias) {
            bias.extend(next);
        }
        self.squared_error.iter_mut().zip(next.squared_error).for_each(|(sum, next)| *sum += next);
    }

    /// Frobenius norm of the quantization error divided by that of the tensor; 0 for a tensor of zeros.
    pub fn rel_error(&self) -> f64 {
        let [error, norm] = self.squared_error;
        if norm == 0.0 { 0.0 } else { (error / norm).sqrt() }
    }

    /// Multiplies the columns of an f32 tensor, such as a norm, by factors.
    pub fn scale_f32_columns(&mut self, factors: &[f32]) {
        let columns = self.columns as usize;
        for row in self.values.chunks_exact_mut(4 * columns) {
            for (value, factor) in row.chunks_exact_mut(4).zip(factors) {
                let [a, b, c, d] = *value else { continue };
                value.copy_from_slice(&(f32::from_le_bytes([a, b, c, d]) * factor).to_le_bytes());
            }
        }
    }
}
