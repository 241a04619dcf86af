//! The weights section and the tensor directory.

use std::borrow::Cow;

use attoformer::image::{Config, InputStem};
use attoformer::image::{Dtype, Entry, Layout, Role};
use attoformer::internals::format::ENTRY_BYTES;

use super::error::PackError;
use super::fuse::FusedTensor;
use super::layout::{self, Target};
use super::options::Options;
use super::smooth::ColumnScaling;
use super::tensor_id::{TensorId, tensor_name};
use super::writer::align;
use crate::quantize::{Format, Rounding, quantize};

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
            activations: 8,
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

/// How a tensor is to be stored.
pub(super) struct Storage {
    pub(super) id: TensorId,
    pub(super) format: Format,
    pub(super) scaling: ColumnScaling,
}

impl Storage {
    /// Storage without column scaling.
    pub(super) fn plain(id: TensorId, format: Format) -> Self {
        Storage { id, format, scaling: ColumnScaling::default() }
    }
}

/// Appends all tensors in directory order. `out` is the image so far, so its length is an offset; `fused` provides each tensor by its index.
pub(super) fn write<'f>(
    storages: &[Storage],
    target: Target,
    fused: &mut dyn FnMut(usize) -> Result<Cow<'f, FusedTensor>, PackError>,
    out: &mut Vec<u8>,
) -> Result<Vec<StoredTensor>, PackError> {
    storages.iter().enumerate().map(|(index, storage)| put_tensor(fused(index)?, storage, target, out)).collect()
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
    let convolves = config.input_stem == InputStem::Convolution && matches!(role, Role::Conv1 | Role::Conv2);
    match requested {
        _ if role.is_always_f32() => Format::F32,
        Format::Int8 | Format::Int4 { .. } if convolves => Format::F16,
        _ => requested,
    }
}

/// Whether a name matches a pattern, component by component; `*` matches any component.
fn matches(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.split('.'), name.split('.'));
    loop {
        match (pattern.next(), name.next()) {
            (None, None) => return true,
            (Some(expected), Some(actual)) if expected == "*" || expected == actual => {}
            _ => return false,
        }
    }
}

fn put_tensor(mut fused: Cow<'_, FusedTensor>, storage: &Storage, target: Target, out: &mut Vec<u8>) -> Result<StoredTensor, PackError> {
    let Storage { id: (role, layer), format, scaling } = storage;
    let dtype = format.dtype();
    let is_integer = matches!(dtype, Dtype::Int8 | Dtype::Int4);
    if let Some(factors) = &scaling.factors {
        fused.to_mut().scale_columns(factors);
    }
    let inverses: Vec<f32> = scaling.factors.iter().flatten().filter(|_| scaling.in_scale).map(|factor| 1.0 / factor).collect();
    let quantized = quantize(fused.matrix(), *format, Rounding::NEAREST);
    let layout = target.layout(dtype);
    let bytes = layout::arrange(&quantized, dtype, layout);
    let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let values = put(out, VALUES_ALIGN, &bytes)?;
    let is_int4 = dtype == Dtype::Int4;
    Ok(StoredTensor {
        role: *role,
        layer: *layer,
        format: *format,
        rows: fused.rows,
        columns: fused.columns,
        rel_error: quantized.relative_error(fused.matrix()),
        layout,
        values,
        scales: put_if(is_integer, out, &floats(&quantized.row_scales))?,
        group_scales: put_if(is_int4, out, &quantized.group_scales.iter().map(|&scale| scale as u8).collect::<Vec<u8>>())?,
        bias: put_if(fused.bias.is_some(), out, &floats(fused.bias.as_deref().unwrap_or_default()))?,
        in_scale: put_if(scaling.in_scale, out, &floats(&inverses))?,
    })
}

/// Appends an optional part of a tensor and returns its offset, or 0 if it is absent.
fn put_if(is_present: bool, out: &mut Vec<u8>, bytes: &[u8]) -> Result<u32, PackError> {
    if is_present { put(out, SCALES_ALIGN, bytes) } else { Ok(0) }
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
