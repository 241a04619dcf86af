//! The weights section and its directory.

use attoformer::image::directory::{Dtype, ENTRY_BYTES, Layout, Role, TensorOrder};
use attoformer::image::header::{Config, Front};

use super::fuse::{FusedTensor, fuse, name};
use super::layout;
use super::smooth::{Scaling, scalings};
use super::writer::align;
use super::{Checkpoint, Options};
use crate::quantize::{Format, quantize};
use crate::report::progress::Progress;

const VALUES_ALIGN: usize = 16;
const SCALES_ALIGN: usize = 4;

/// One tensor as it was stored.
#[derive(Clone, Debug)]
pub struct StoredTensor {
    /// What it is for.
    pub role: Role,
    /// Its layer, where it has one.
    pub layer: Option<u32>,
    /// How it is stored.
    pub format: Format,
    /// Outputs.
    pub rows: u32,
    /// Inputs.
    pub columns: u32,
    /// Frobenius norm of the rounding error over that of the tensor.
    pub rel_error: f64,
    layout: Layout,
    values: u32,
    value_bytes: u32,
    scales: u32,
    group_scales: u32,
    bias: u32,
    in_scale: u32,
}

impl StoredTensor {
    /// Appends the directory's entry.
    pub(super) fn put_entry(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend((self.role as u16).to_le_bytes());
        out.extend(self.layer.map_or(u16::MAX, |layer| layer as u16).to_le_bytes());
        out.extend([self.format.dtype() as u8, self.layout as u8]);
        out.extend((self.format.group() as u16).to_le_bytes());
        let words = [self.rows, self.columns, self.values, self.value_bytes, self.scales, self.group_scales, self.bias, self.in_scale];
        out.extend(words.into_iter().flat_map(u32::to_le_bytes));
        out.resize(start + ENTRY_BYTES, 0);
    }
}

/// Appends all tensors in the order that the config implies. `out` is the image so far, so that its length is an offset.
pub(super) fn write(
    checkpoint: &Checkpoint,
    config: &Config,
    options: &Options,
    progress: &Progress,
    out: &mut Vec<u8>,
) -> Result<Vec<StoredTensor>, String> {
    let order = TensorOrder::new(config);
    let tensors: Vec<(Role, Option<u32>)> = (0..order.count()).map(|index| order.role_at(index)).collect();
    let formats = formats(config, &tensors, options)?;
    let scalings = scalings(checkpoint, config, options, &tensors, &formats, progress)?;
    let mut stored = Vec::new();
    for ((&(role, layer), format), scaling) in tensors.iter().zip(formats).zip(&scalings) {
        let fused = fuse(checkpoint, config, role, layer)?;
        stored.push(put_tensor(fused, role, layer, format, scaling, options, out)?);
        if options.calibration.is_none() {
            progress.advance(1);
        }
    }
    Ok(stored)
}

/// The format of each tensor. Every exception must fit at least one.
fn formats(config: &Config, tensors: &[(Role, Option<u32>)], options: &Options) -> Result<Vec<Format>, String> {
    let mut formats: Vec<Format> = tensors.iter().map(|&(role, _)| usual(config, role, options.weights)).collect();
    for (pattern, format) in &options.overrides {
        let mut fits = false;
        for (&(role, layer), chosen) in tensors.iter().zip(&mut formats) {
            if !matches(pattern, &name(role, layer)) {
                continue;
            }
            if role.is_plain() && *format != Format::F32 {
                return Err(format!("{} is always f32", name(role, layer)));
            }
            (fits, *chosen) = (true, *format);
        }
        if !fits {
            return Err(format!("it has no tensor {pattern}; names are like embedding, layers.0.qkv or layers.*.mlp_down"));
        }
    }
    Ok(formats)
}

/// The format of a tensor without an exception of its own. A convolution's rows mix quiet and loud frames, which one int8 scale serves badly: it
/// stays f16.
fn usual(config: &Config, role: Role, asked: Format) -> Format {
    let convolves = config.front == Front::Convolution && matches!(role, Role::FrontFirst | Role::FrontSecond);
    match asked {
        _ if role.is_plain() => Format::F32,
        Format::Int8 | Format::Int4 { .. } if convolves => Format::F16,
        _ => asked,
    }
}

/// Whether a name fits a pattern, part by part; `*` fits any part.
fn matches(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.split('.'), name.split('.'));
    loop {
        match (pattern.next(), name.next()) {
            (None, None) => return true,
            (Some(want), Some(have)) if want == "*" || want == have => {}
            _ => return false,
        }
    }
}

fn put_tensor(
    mut fused: FusedTensor,
    role: Role,
    layer: Option<u32>,
    format: Format,
    scaling: &Scaling,
    options: &Options,
    out: &mut Vec<u8>,
) -> Result<StoredTensor, String> {
    let dtype = format.dtype();
    let is_integer = matches!(dtype, Dtype::Int8 | Dtype::Int4);
    if let Some(factors) = &scaling.columns {
        fused.scale_columns(factors);
    }
    let inverses: Vec<f32> = scaling.columns.iter().flatten().filter(|_| scaling.in_scale).map(|factor| 1.0 / factor).collect();
    let quantized = quantize(fused.matrix(), format);
    let layout = options.target.layout(dtype);
    let bytes = layout::arrange(&quantized, dtype, layout);
    let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let values = put(out, VALUES_ALIGN, &bytes)?;
    let is_int4 = dtype == Dtype::Int4;
    Ok(StoredTensor {
        role,
        layer,
        format,
        rows: fused.rows,
        columns: fused.columns,
        rel_error: quantized.relative_error(fused.matrix()),
        layout,
        values,
        value_bytes: bytes.len() as u32,
        scales: put_if(is_integer, out, &floats(&quantized.row_scales))?,
        group_scales: put_if(is_int4, out, &quantized.group_scales)?,
        bias: put_if(fused.bias.is_some(), out, &floats(fused.bias.as_deref().unwrap_or_default()))?,
        in_scale: put_if(scaling.in_scale, out, &floats(&inverses))?,
    })
}

/// Appends a part that a tensor may have, and returns its offset, 0 where it has none.
fn put_if(there: bool, out: &mut Vec<u8>, bytes: &[u8]) -> Result<u32, String> {
    if there { put(out, SCALES_ALIGN, bytes) } else { Ok(0) }
}

/// Appends bytes at a multiple of `to` and returns their offset.
fn put(out: &mut Vec<u8>, to: usize, bytes: &[u8]) -> Result<u32, String> {
    align(out, to);
    let offset = out.len();
    out.extend_from_slice(bytes);
    if out.len() > u32::MAX as usize {
        return Err("its image would be beyond the format's 4 GiB".to_owned());
    }
    Ok(offset as u32)
}
