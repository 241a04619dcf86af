//! Fuses the weights of a checkpoint into the matrices of an image: Q, K and V into one, gate and up (SwiGLU, GeGLU) into one.

use std::ops::Range;

use attoformer::image::Role;
use attoformer::image::{Architecture, Config, PositionKind};
use attoformer::internals::format::{BIAS_SPAN, shape_of};

use super::error::PackError;
use super::tensor_id::{TensorId, tensor_name};
use crate::import::{Checkpoint, SourceRole, Tensor, TensorData};
use crate::quantize::Matrix;

/// A matrix of an image in f32.
#[derive(Clone, Debug, Default)]
pub struct FusedTensor {
    /// Outputs.
    pub rows: u32,
    /// Inputs.
    pub columns: u32,
    /// Values `(rows, columns)`.
    pub values: Vec<f32>,
    /// Bias `(rows)`.
    pub bias: Option<Vec<f32>>,
}

impl FusedTensor {
    /// A view of the values.
    pub fn matrix(&self) -> Matrix<'_> {
        Matrix { columns: self.columns as usize, values: &self.values }
    }

    /// Drops the rows after the first `rows`: positions beyond a context below the trained one.
    pub fn truncate_rows(&mut self, rows: u32) {
        self.rows = self.rows.min(rows);
        self.values.truncate(self.rows as usize * self.columns as usize);
    }

    /// Drops the rows after the first `rows`, or appends rows of zeros.
    pub fn set_rows(&mut self, rows: u32) {
        self.rows = rows;
        self.values.resize(rows as usize * self.columns as usize, 0.0);
    }

    /// The tensor with only these rows, in this order.
    pub fn with_rows(&self, rows: &[u32]) -> Self {
        let columns = self.columns as usize;
        let row = |&row: &u32| self.values[row as usize * columns..][..columns].iter().copied();
        FusedTensor { rows: rows.len() as u32, columns: self.columns, values: rows.iter().flat_map(row).collect(), bias: None }
    }

    /// Subtracts values from the bias, from output `first` on.
    pub fn subtract_from_bias(&mut self, first: usize, values: &[f32]) {
        let bias = self.bias.get_or_insert_with(|| vec![0.0; self.rows as usize]);
        bias[first..].iter_mut().zip(values).for_each(|(bias, value)| *bias -= value);
    }

    /// Divides outputs, from `first` on, by factors.
    pub fn divide_rows(&mut self, first: usize, factors: &[f32]) {
        let rows = self.values.chunks_exact_mut(self.columns as usize).skip(first);
        rows.zip(factors).for_each(|(row, factor)| row.iter_mut().for_each(|value| *value /= factor));
        let bias = self.bias.iter_mut().flatten().skip(first);
        bias.zip(factors).for_each(|(bias, factor)| *bias /= factor);
    }

    /// Multiplies each column by its factor.
    pub fn scale_columns(&mut self, factors: &[f32]) {
        for row in self.values.chunks_exact_mut(self.columns as usize) {
            row.iter_mut().zip(factors).for_each(|(value, factor)| *value *= factor);
        }
    }
}

/// The weights of a fused tensor in row order.
fn parts(role: Role, gated: bool) -> &'static [SourceRole] {
    match role {
        Role::Embedding => &[SourceRole::Embedding],
        Role::Positions => &[SourceRole::Positions],
        Role::AttnNorm => &[SourceRole::AttnNorm],
        Role::Qkv => &[SourceRole::Query, SourceRole::Key, SourceRole::Value],
        Role::AttnOut => &[SourceRole::AttnOut],
        Role::MlpNorm => &[SourceRole::MlpNorm],
        Role::MlpUp if gated => &[SourceRole::Gate, SourceRole::Up],
        Role::MlpUp => &[SourceRole::Up],
        Role::MlpDown => &[SourceRole::Down],
        Role::FinalNorm => &[SourceRole::FinalNorm],
        Role::Head => &[SourceRole::Head],
        Role::EmbeddingNorm => &[SourceRole::EmbeddingNorm],
        Role::QueryNorm => &[SourceRole::QueryNorm],
        Role::KeyNorm => &[SourceRole::KeyNorm],
        Role::AttnPostNorm => &[SourceRole::AttnPostNorm],
        Role::MlpPostNorm => &[SourceRole::MlpPostNorm],
        Role::CrossNorm => &[SourceRole::CrossNorm],
        Role::CrossQuery => &[SourceRole::CrossQuery],
        Role::CrossKv => &[SourceRole::CrossKey, SourceRole::CrossValue],
        Role::CrossOut => &[SourceRole::CrossOut],
        Role::LayerTable => &[SourceRole::LayerTable],
        Role::LayerGate => &[SourceRole::LayerGate],
        Role::LayerProject => &[SourceRole::LayerProject],
        Role::LayerNorm => &[SourceRole::LayerNorm],
        Role::Conv1 => &[SourceRole::Conv1],
        Role::Conv2 => &[SourceRole::Conv2],
        Role::ClassToken => &[SourceRole::ClassToken],
        Role::EncoderPositions => &[SourceRole::EncoderPositions],
        Role::EncoderNorm => &[SourceRole::EncoderNorm],
        Role::ScoreBias => &[SourceRole::ScoreBias],
        Role::EncoderScoreBias => &[SourceRole::EncoderScoreBias],
        Role::Pooler => &[SourceRole::Pooler],
        Role::Classifier => &[SourceRole::Classifier],
        Role::KeyOffset => &[SourceRole::KeyOffset],
        // A role of a newer engine, which this tool does not import.
        _ => &[],
    }
}

/// A matrix of an image, whose values are decoded when they are read.
#[derive(Clone, Debug)]
pub struct FusedSource {
    rows: u32,
    columns: u32,
    /// Whole rows, one part after another; the last one may have more rows than the matrix.
    parts: Vec<TensorData>,
    bias: Option<Vec<f32>>,
}

/// Values of a block of rows.
const BLOCK_VALUES: u32 = 1 << 20;

impl FusedSource {
    /// The whole matrix.
    pub fn read(&self) -> FusedTensor {
        self.read_rows(0..self.rows)
    }

    /// Some of the rows.
    pub fn read_rows(&self, rows: Range<u32>) -> FusedTensor {
        let columns = self.columns as usize;
        let wanted = rows.start as usize * columns..rows.end as usize * columns;
        let mut values = Vec::new();
        let mut start = 0;
        for part in &self.parts {
            let end = start + part.len();
            let own = wanted.start.clamp(start, end) - start..wanted.end.clamp(start, end) - start;
            let read = part.read_range(own);
            // A large table is a single part, of which there should not be two copies.
            if values.is_empty() {
                values = read.into_owned();
            } else {
                values.extend_from_slice(&read);
            }
            start = end;
        }
        let bias = self.bias.as_ref().map(|bias| bias[rows.start as usize..rows.end as usize].to_vec());
        FusedTensor { rows: rows.end - rows.start, columns: self.columns, values, bias }
    }

    /// The matrix in blocks of rows, of which only one needs to be in memory. A matrix that is computed from its file's values is one block.
    pub fn blocks(&self) -> impl Iterator<Item = FusedTensor> {
        let fitting = (BLOCK_VALUES / self.columns.max(1)).max(1);
        let rows = if self.parts.iter().any(TensorData::is_computed) { self.rows.max(1) } else { fitting };
        (0..self.rows).step_by(rows as usize).map(move |first| self.read_rows(first..self.rows.min(first.saturating_add(rows))))
    }
}

/// Whether a fused tensor has a bias.
pub fn has_bias(checkpoint: &Checkpoint, config: &Config, (role, layer): TensorId) -> bool {
    let of = |&part: &SourceRole| checkpoint.tensor(part, layer).is_some_and(|tensor| tensor.bias.is_some());
    parts(role, config.gated).iter().any(of)
}

/// Fuses one tensor.
///
/// # Errors
/// Those of [`source`].
pub fn fuse(checkpoint: &Checkpoint, config: &Config, id: TensorId) -> Result<FusedTensor, PackError> {
    source(checkpoint, config, id).map(|source| source.read())
}

/// The weights that a tensor is fused from.
///
/// # Errors
/// [`PackError::MissingPart`], [`PackError::Shape`], [`PackError::Bias`].
pub fn source(checkpoint: &Checkpoint, config: &Config, (role, layer): TensorId) -> Result<FusedSource, PackError> {
    let tensor = || tensor_name(role, layer);
    let find = |&part| checkpoint.tensor(part, layer).ok_or_else(|| PackError::MissingPart { tensor: tensor(), part });
    let found = parts(role, config.gated).iter().map(find).collect::<Result<Vec<&Tensor>, PackError>>()?;

    let (rows, columns) = shape_of(config, role);
    if config.positions == PositionKind::T5Relative && matches!(role, Role::ScoreBias | Role::EncoderScoreBias) {
        let both_sides = config.architecture == Architecture::Encoder || role == Role::EncoderScoreBias;
        let buckets: Vec<f32> = found.iter().flat_map(|part| part.values().into_owned()).collect();
        let values: Vec<f32> = buckets.chunks(config.buckets as usize).flat_map(|head| bias_by_distance(head, both_sides)).collect();
        return Ok(FusedSource { rows, columns, parts: vec![values.into()], bias: None });
    }
    let (values, expected) = (found.iter().map(|part| part.data.len()).sum::<usize>(), rows as usize * columns as usize);
    // A context below the trained one needs fewer positions.
    let fits = if matches!(role, Role::Positions | Role::EncoderPositions) { values >= expected } else { values == expected };
    let agree = found.iter().all(|part| part.columns == columns as usize && part.data.len() == part.rows * part.columns);
    if !agree || !fits {
        return Err(PackError::Shape { tensor: tensor(), rows, columns });
    }
    let bias = found.iter().any(|part| part.bias.is_some()).then(|| found.iter().flat_map(|part| bias_of(part)).collect::<Vec<f32>>());
    if bias.as_ref().is_some_and(|bias| bias.len() != rows as usize) {
        return Err(PackError::Bias { tensor: tensor(), rows });
    }
    Ok(FusedSource { rows, columns, parts: found.iter().map(|part| part.data.clone()).collect(), bias })
}

/// Expands the T5 relative position bias of one head from buckets to distances (key position minus query position) from -128 to 128
/// (Raffel et al. 2020, section 2.1): half of the buckets hold one distance each, the others hold ranges that grow by a constant factor up
/// to 128.
fn bias_by_distance(buckets: &[f32], both_sides: bool) -> impl Iterator<Item = f32> {
    let side = if both_sides { buckets.len() / 2 } else { buckets.len() };
    let exact = side / 2;
    let span = BIAS_SPAN as i32;
    (-span..=span).map(move |relative| {
        let distance = if both_sides { relative.unsigned_abs() } else { relative.min(0).unsigned_abs() } as usize;
        let growth = libm::log(distance as f64 / exact as f64) / libm::log(BIAS_SPAN as f64 / exact as f64);
        let bucket = if distance < exact { distance } else { (exact + (growth * (side - exact) as f64) as usize).min(side - 1) };
        buckets[bucket + if both_sides && relative > 0 { side } else { 0 }]
    })
}

/// The bias of a weight; zeros if only the weights fused with it have one.
fn bias_of(part: &Tensor) -> Vec<f32> {
    part.bias.clone().unwrap_or_else(|| vec![0.0; part.rows])
}
