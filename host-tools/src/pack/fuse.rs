//! From a checkpoint's parts to the matrices that an image stores: q, k, v in one, gate and up in one.

use attoformer::image::directory::{BIAS_SPAN, Role, shape_of};
use attoformer::image::header::{Architecture, Config, PositionKind};

use crate::import::{Checkpoint, SourceRole, Tensor};
use crate::quantize::Matrix;

/// One matrix of an image, in f32.
pub struct FusedTensor {
    /// Outputs.
    pub rows: u32,
    /// Inputs.
    pub columns: u32,
    /// Values, row after row.
    pub values: Vec<f32>,
    /// One addend per row.
    pub bias: Option<Vec<f32>>,
}

impl FusedTensor {
    /// The values as a matrix.
    pub fn matrix(&self) -> Matrix<'_> {
        Matrix { columns: self.columns as usize, values: &self.values }
    }

    /// Multiplies each column with its factor.
    pub fn scale_columns(&mut self, factors: &[f32]) {
        for row in self.values.chunks_exact_mut(self.columns as usize) {
            row.iter_mut().zip(factors).for_each(|(value, factor)| *value *= factor);
        }
    }
}

/// Parts of a role, in the order of their rows.
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
        Role::FrontFirst => &[SourceRole::FrontFirst],
        Role::FrontSecond => &[SourceRole::FrontSecond],
        Role::ClassToken => &[SourceRole::ClassToken],
        Role::EncoderPositions => &[SourceRole::EncoderPositions],
        Role::EncoderNorm => &[SourceRole::EncoderNorm],
        Role::ScoreBias => &[SourceRole::ScoreBias],
        Role::EncoderScoreBias => &[SourceRole::EncoderScoreBias],
        Role::Pooler => &[SourceRole::Pooler],
        Role::Classifier => &[SourceRole::Classifier],
    }
}

/// The matrix of `role` in `layer`.
///
/// # Errors
/// A sentence's end: a part is missing, or the shapes disagree.
pub fn fuse(checkpoint: &Checkpoint, config: &Config, role: Role, layer: Option<u32>) -> Result<FusedTensor, String> {
    let place = || name(role, layer);
    let find = |&part| checkpoint.tensor(part, layer).ok_or_else(|| format!("{part:?} is missing for {}", place()));
    let found = parts(role, config.gated).iter().map(find).collect::<Result<Vec<&Tensor>, String>>()?;

    let (rows, columns) = shape_of(config, role);
    let mut values: Vec<f32> = found.iter().flat_map(|part| &part.values).copied().collect();
    if matches!(role, Role::Positions | Role::EncoderPositions) {
        // A context below the trained one leaves the later rows out.
        values.truncate(rows as usize * columns as usize);
    }
    if config.positions == PositionKind::Buckets && matches!(role, Role::ScoreBias | Role::EncoderScoreBias) {
        let both_sides = config.architecture == Architecture::Encoder || role == Role::EncoderScoreBias;
        values = values.chunks(config.buckets as usize).flat_map(|head| by_distance(head, both_sides)).collect();
        return Ok(FusedTensor { rows, columns, values, bias: None });
    }
    let agree = found.iter().all(|part| part.columns == columns as usize && part.values.len() == part.rows * part.columns);
    if !agree || values.len() != rows as usize * columns as usize {
        return Err(format!("the shape of {} is not the ({rows}, {columns}) that the model's sizes imply", place()));
    }
    let bias = found.iter().any(|part| part.bias.is_some()).then(|| found.iter().flat_map(|part| bias_of(part)).collect::<Vec<f32>>());
    if bias.as_ref().is_some_and(|bias| bias.len() != rows as usize) {
        return Err(format!("the bias of {} has not {rows} values", place()));
    }
    Ok(FusedTensor { rows, columns, values, bias })
}

/// A head's addends by bucket as addends by distance, the key's position minus the query's from -128 to 128 (Raffel et al. 2020, section 2.1):
/// half of the buckets for one distance each, the others for ranges that grow by a constant factor up to 128.
fn by_distance(buckets: &[f32], both_sides: bool) -> impl Iterator<Item = f32> {
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

/// A part's bias; zeros where only its neighbours have one.
fn bias_of(part: &Tensor) -> Vec<f32> {
    part.bias.clone().unwrap_or_else(|| vec![0.0; part.rows])
}

/// A tensor's name as users write it: `embedding`, `layers.3.qkv`.
pub fn name(role: Role, layer: Option<u32>) -> String {
    match layer {
        Some(layer) => format!("layers.{layer}.{}", role.name()),
        None => role.name().to_owned(),
    }
}
