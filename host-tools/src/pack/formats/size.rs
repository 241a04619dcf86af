//! The size of an image before it is packed: it follows from shapes and formats. Only factors that turn out not to help make it smaller.

use std::collections::BTreeMap;

use attoformer::image::{Config, Role};
use attoformer::internals::format::sections::SECTION_ALIGN;
use attoformer::internals::format::shape_of;

use super::super::assemble::rest_bytes;
use super::super::calibrate::{has_key_offset, is_calibrated, uses_key_offset};
use super::super::error::PackError;
use super::super::fuse::has_bias;
use super::super::layout::Target;
use super::super::options::Options;
use super::super::smooth::{is_product, maker, norm_before};
use super::super::tensor_id::{TensorId, tensor_ids};
use super::super::weights::{TensorShape, end_of_tensor};
use crate::import::Checkpoint;
use crate::quantize::Format;

/// Sizes of the images of one model.
pub struct ImageSize {
    tensors: Vec<(TensorId, TensorShape)>,
    target: Target,
    /// Offset of the weights.
    start: usize,
    /// Bytes of the sections after the weights, which start at a multiple of 64.
    rest: usize,
}

impl ImageSize {
    /// Prepares the sizes of a model's images.
    ///
    /// # Errors
    /// [`PackError::Unsupported`].
    pub fn new(checkpoint: &Checkpoint, config: &Config, options: &Options) -> Result<Self, PackError> {
        let is_calibrated = is_calibrated(checkpoint, &options.calibration);
        let config = &if is_calibrated { calibrated(config) } else { *config };
        let tensors: Vec<(TensorId, TensorShape)> = tensor_ids(config)
            .into_iter()
            .map(|id| {
                let (rows, columns) = shape_of(config, id.0);
                let bias = has_bias(checkpoint, config, id) || is_calibrated && offset_is_in_bias(config, id.0);
                (id, TensorShape { rows, columns, bias, in_scale: is_calibrated && has_in_scale(config, id.0) })
            })
            .collect();
        let (start, rest) = rest_bytes(checkpoint, config, tensors.len())?;
        Ok(ImageSize { tensors, target: options.target, start, rest })
    }

    /// Bytes of an image with these formats; tensors without one are f32.
    pub fn of_image(&self, formats: &BTreeMap<TensorId, Format>) -> u64 {
        let end = self.tensors.iter().fold(self.start, |at, (id, shape)| {
            let format = formats.get(id).copied().unwrap_or(Format::F32);
            end_of_tensor(shape, format, self.target, at)
        });
        (end.next_multiple_of(SECTION_ALIGN) + self.rest) as u64
    }

    /// Bytes of a tensor in a format, with scales and bias; 0 for one that the model does not have.
    pub fn of_tensor(&self, id: TensorId, format: Format) -> u64 {
        let found = self.tensors.iter().find(|(other, _)| *other == id);
        found.map_or(0, |(_, shape)| end_of_tensor(shape, format, self.target, 0) as u64)
    }
}

/// The configuration that an image gets when it is calibrated.
fn calibrated(config: &Config) -> Config {
    attoformer::config! { key_offset: has_key_offset(config), ..*config }
}

/// Whether the calibration adds the key offset to the bias of this matrix.
fn offset_is_in_bias(config: &Config, role: Role) -> bool {
    uses_key_offset(config) && (role == Role::CrossKv || role == Role::Qkv && !config.key_offset)
}

/// Whether a quantized matrix may multiply its inputs by factors: where it has inputs, and neither a norm nor another matrix takes the factors.
fn has_in_scale(config: &Config, role: Role) -> bool {
    // Without a gate, `mlp_down` is not smoothed.
    let is_smoothed = is_product(config, role) && (role != Role::MlpDown || config.gated);
    is_smoothed && maker(config, role).is_none() && norm_before(config, role).is_none()
}
