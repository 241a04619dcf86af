//! The weights section and the tensor directory.

use attoformer::image::{Config, InputStem};
use attoformer::image::{Dtype, Entry, Layout, Role};
use attoformer::internals::format::{ENTRY_BYTES, groups, row_bytes};
use attoformer::kernels::layout::rows_per_bundle;

use super::activations::ActivationBits;
use super::error::PackError;
use super::layout::{self, Target};
use super::options::Options;
use super::prepare::Prepared;
use super::tensor_id::{TensorId, tensor_name};
use super::writer::align;
use crate::quantize::Format;

const VALUES_ALIGN: usize = 16;
const SCALES_ALIGN: usize = 4;

/// A stored tensor.
#[derive(Clone, Debug)]
pub struct StoredTensor {
    /// Its role.
    pub role: Role,
    /// Its layer, if it belongs to one.
    pub layer: Option<u32>,
    /// Its format.
    pub format: Format,
    /// Bits of its quantized inputs.
    pub activations: ActivationBits,
    /// Outputs.
    pub rows: u32,
    /// Inputs.
    pub columns: u32,
    /// Frobenius norm of the quantization error divided by that of the tensor.
    pub rel_error: f64,
    layout: Layout,
    values: u32,
    scales: u32,
    group_scales: u32,
    bias: u32,
    in_scale: u32,
}

impl StoredTensor {
    /// Appends the directory entry.
    pub(super) fn put_entry(&self, out: &mut Vec<u8>) {
        let entry = Entry {
            role: self.role,
            layer: self.layer,
            dtype: self.format.dtype(),
            layout: self.layout,
            group: self.format.group(),
            activations: self.activations.bits(),
            rows: self.rows,
            columns: self.columns,
            values: self.values,
            scales: self.scales,
            group_scales: self.group_scales,
            bias: self.bias,
            in_scale: self.in_scale,
        };
        let mut bytes = [0; ENTRY_BYTES];
        entry.emit(&mut bytes);
        out.extend(bytes);
    }
}

/// Appends all tensors in directory order. `out` is the image so far, so its length is an offset.
pub(super) fn write(
    tensors: impl Iterator<Item = Result<Prepared, PackError>>,
    target: Target,
    out: &mut Vec<u8>,
) -> Result<Vec<StoredTensor>, PackError> {
    tensors.map(|tensor| put_tensor(tensor?, target, out)).collect()
}

/// The format of each tensor. Every override must match at least one.
pub(super) fn formats(config: &Config, ids: &[TensorId], options: &Options) -> Result<Vec<Format>, PackError> {
    let mut formats: Vec<Format> = ids.iter().map(|&(role, _)| default_format(config, role, options.weights)).collect();
    for (pattern, format) in &options.overrides {
        let mut found = false;
        for (&(role, layer), chosen) in ids.iter().zip(&mut formats) {
            if !matches(pattern, &tensor_name(role, layer)) {
                continue;
            }
            if role.is_always_f32() && *format != Format::F32 {
                return Err(PackError::AlwaysF32 { tensor: tensor_name(role, layer) });
            }
            (found, *chosen) = (true, *format);
        }
        if !found {
            return Err(PackError::UnknownTensor { pattern: pattern.clone() });
        }
    }
    Ok(formats)
}

/// The format of a tensor without an override. Rows of a convolution mix quiet and loud frames, which one int8 scale represents badly: they
/// stay f16.
fn default_format(config: &Config, role: Role, requested: Format) -> Format {
    match requested {
        _ if role.is_always_f32() => Format::F32,
        Format::Int8 | Format::Int4 { .. } if convolves(config, role) => Format::F16,
        // Tables and the head lose more by four bits than the matrices of the layers.
        Format::Int4 { .. }
            if matches!(role, Role::Embedding | Role::Head | Role::Positions | Role::EncoderPositions | Role::LayerTable) =>
        {
            Format::Int8
        }
        _ => requested,
    }
}

/// Whether a matrix belongs to the convolutions of an input stem.
pub(super) fn convolves(config: &Config, role: Role) -> bool {
    config.input_stem == InputStem::Convolution && matches!(role, Role::Conv1 | Role::Conv2)
}

/// Whether an option states the format of a tensor by its name.
pub(super) fn is_overridden((role, layer): TensorId, options: &Options) -> bool {
    options.overrides.iter().any(|(pattern, _)| matches(pattern, &tensor_name(role, layer)))
}

/// Whether a name matches a pattern, component by component; `*` matches any component.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.split('.'), name.split('.'));
    loop {
        match (pattern.next(), name.next()) {
            (None, None) => return true,
            (Some(expected), Some(actual)) if expected == "*" || expected == actual => {}
            _ => return false,
        }
    }
}

fn put_tensor(tensor: Prepared, target: Target, out: &mut Vec<u8>) -> Result<StoredTensor, PackError> {
    let (role, layer) = tensor.id;
    let dtype = tensor.format.dtype();
    let layout = target.layout(dtype);
    let rel_error = tensor.rel_error();
    let values = layout::arrange(tensor.values, tensor.columns as usize, dtype, layout);
    let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let optional = |values: &Option<Vec<f32>>| values.as_deref().map(floats);
    let is_integer = matches!(dtype, Dtype::Int8 | Dtype::Int4);
    let group_scales = tensor.group_scales.iter().map(|&scale| scale as u8).collect();
    Ok(StoredTensor {
        role,
        layer,
        format: tensor.format,
        activations: tensor.activations,
        rows: tensor.rows,
        columns: tensor.columns,
        rel_error,
        layout,
        values: put(out, VALUES_ALIGN, &values)?,
        scales: put_optional(out, is_integer.then(|| floats(&tensor.row_scales)))?,
        group_scales: put_optional(out, (dtype == Dtype::Int4).then_some(group_scales))?,
        bias: put_optional(out, optional(&tensor.bias))?,
        in_scale: put_optional(out, optional(&tensor.in_scale))?,
    })
}

/// Shape of a tensor, and its optional parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct TensorShape {
    /// Outputs.
    pub rows: u32,
    /// Inputs.
    pub columns: u32,
    /// Whether it has a bias.
    pub bias: bool,
    /// Whether it has factors for its inputs when it is quantized.
    pub in_scale: bool,
}

/// The end of a tensor that is appended at `at`, where `put_tensor` would end.
pub(super) fn end_of_tensor(shape: &TensorShape, format: Format, target: Target, at: usize) -> usize {
    let dtype = format.dtype();
    let (rows, columns) = (shape.rows as usize, shape.columns as usize);
    let is_integer = matches!(dtype, Dtype::Int8 | Dtype::Int4);
    let stored_rows = rows.next_multiple_of(rows_per_bundle(target.layout(dtype), dtype));
    let append = |at: usize, is_present: bool, bytes: usize| if is_present { at.next_multiple_of(SCALES_ALIGN) + bytes } else { at };
    let end = at.next_multiple_of(VALUES_ALIGN) + stored_rows * row_bytes(dtype, shape.columns) as usize;
    let end = append(end, is_integer, 4 * rows);
    let end = append(end, dtype == Dtype::Int4, rows * groups(shape.columns, format.group()) as usize);
    let end = append(end, shape.bias, 4 * rows);
    append(end, shape.in_scale && is_integer, 4 * columns)
}

/// Appends an optional part of a tensor and returns its offset, or 0 if it is absent.
fn put_optional(out: &mut Vec<u8>, bytes: Option<Vec<u8>>) -> Result<u32, PackError> {
    bytes.map_or(Ok(0), |bytes| put(out, SCALES_ALIGN, &bytes))
}

/// Appends bytes at a multiple of `alignment` and returns their offset.
fn put(out: &mut Vec<u8>, alignment: usize, bytes: &[u8]) -> Result<u32, PackError> {
    align(out, alignment);
    let offset = out.len();
    out.extend_from_slice(bytes);
    if out.len() > u32::MAX as usize {
        return Err(PackError::TooLarge { what: "the image", bytes: out.len() });
    }
    Ok(offset as u32)
}
