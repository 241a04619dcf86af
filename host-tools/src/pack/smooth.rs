//! Which columns are scaled before they are rounded, and who divides them again: a norm, where one stands right before the matrix and
//! nothing else reads what it makes, otherwise the engine by `in_scale`.

use attoformer::image::directory::Role;
use attoformer::image::header::{Config, NormPlacement};

use super::fuse::fuse;
use super::{Checkpoint, Options};
use crate::quantize::{Format, smoothing};
use crate::report::progress::Progress;

/// What a tensor's columns are multiplied with.
#[derive(Clone, Debug, Default)]
pub struct Scaling {
    /// Factors, one per column; none for 1.
    pub columns: Option<Vec<f32>>,
    /// Whether the engine multiplies the input with their inverses.
    pub in_scale: bool,
}

/// A tensor's place.
pub type TensorId = (Role, Option<u32>);

/// The scaling of each tensor: from the calibration where there is one.
///
/// # Errors
/// A sentence's end: a part is missing, or the shapes disagree.
pub fn scalings(
    checkpoint: &Checkpoint,
    config: &Config,
    options: &Options,
    tensors: &[TensorId],
    formats: &[Format],
    progress: &Progress,
) -> Result<Vec<Scaling>, String> {
    let mut scalings = vec![Scaling::default(); tensors.len()];
    let Some(calibration) = &options.calibration else { return Ok(scalings) };
    for (at, (&(role, layer), format)) in tensors.iter().zip(formats).enumerate() {
        let fused = fuse(checkpoint, config, role, layer)?;
        let columns = fused.columns as usize;
        if let Some((grid, inputs)) = format.grid(columns).zip(calibration.inputs(role, layer, columns)) {
            let factors = smoothing::factors(inputs, fused.matrix(), grid);
            let norm = tensors.iter().position(|&(norm, of)| of == layer && only_reader(config, norm) == Some(role));
            if let Some(norm) = norm {
                scalings[norm].columns = Some(factors.iter().map(|factor| 1.0 / factor).collect());
            }
            scalings[at] = Scaling { columns: Some(factors), in_scale: norm.is_none() };
        }
        progress.advance(1);
    }
    Ok(scalings)
}

/// The matrix that alone reads what this norm makes. With post-norm it is the residual, too; a tied head's table is also looked up.
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
