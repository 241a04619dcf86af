//! Column scaling of the matrices before quantization, from smoothing factors. The inverse factors are folded into the preceding norm if only
//! this matrix reads its output; otherwise the engine applies them as `in_scale`.

use attoformer::image::Role;
use attoformer::image::{Config, NormPlacement};

use super::calibrate::Calibration;
use super::fuse::FusedTensor;
use super::tensor_id::TensorId;
use crate::quantize::Format;
use crate::quantize::smoothing::{self, SmoothingOptions};
use crate::report::progress::Progress;

/// Scaling of a tensor's columns.
#[derive(Clone, Debug, Default)]
pub struct ColumnScaling {
    /// One factor per column; `None` for 1.
    pub factors: Option<Vec<f32>>,
    /// Whether the engine multiplies the input by the inverse factors.
    pub in_scale: bool,
}

/// The scaling of each tensor that follows from the calibration. `ids`, `formats` and `fused` are in directory order.
pub fn scalings(
    config: &Config,
    calibration: &Calibration,
    ids: &[TensorId],
    formats: &[Format],
    fused: &[FusedTensor],
    progress: &Progress,
) -> Vec<ColumnScaling> {
    let mut scalings = vec![ColumnScaling::default(); ids.len()];
    for (at, ((&(role, layer), format), fused)) in ids.iter().zip(formats).zip(fused).enumerate() {
        let columns = fused.columns as usize;
        if let Some((grid, inputs)) = format.grid(columns).zip(calibration.inputs((role, layer), columns)) {
            let factors = smoothing::factors(inputs, fused.matrix(), &SmoothingOptions::new(grid));
            let norm = ids.iter().position(|&(norm, of)| of == layer && only_reader(config, norm) == Some(role));
            if let Some(norm) = norm {
                scalings[norm].factors = Some(factors.iter().map(|factor| 1.0 / factor).collect());
            }
            scalings[at] = ColumnScaling { factors: Some(factors), in_scale: norm.is_none() };
        }
        progress.advance(1);
    }
    scalings
}

/// The only matrix that reads the output of this norm. With post-norm the residual stream reads it too; rows of a tied head are also looked up
/// as embeddings.
fn only_reader(config: &Config, norm: Role) -> Option<Role> {
    match norm {
        _ if config.placement == NormPlacement::Post => None,
        Role::AttnNorm => Some(Role::Qkv),
        Role::CrossNorm => Some(Role::CrossQuery),
        Role::MlpNorm => Some(Role::MlpUp),
        Role::FinalNorm => Some(Role::Head),
        _ => None,
    }
}
