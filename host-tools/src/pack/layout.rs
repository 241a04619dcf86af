//! Orders of a tensor's values in memory. A layout moves values and never changes one.

use std::str::FromStr;

use attoformer::image::directory::{Dtype, Layout, row_bytes};
use attoformer::kernels::layout::{pack_rows, rows_per_bundle};

use crate::quantize::{Quantized, Values};

/// What an image is laid out for. Any engine runs any image; the one it was laid out for runs it fastest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// Plain rows.
    #[default]
    Portable,
    /// Cortex-M4, M7 and M33: pairs for SMLAD.
    CortexMDsp,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "portable" => Ok(Target::Portable),
            "cortex-m-dsp" => Ok(Target::CortexMDsp),
            _ => Err(format!("{text} is not one of portable, cortex-m-dsp; portable images run on every target")),
        }
    }
}

impl Target {
    /// The layout of a tensor of this type on this target. Floats are portable everywhere.
    pub fn layout(self, dtype: Dtype) -> Layout {
        match (self, dtype) {
            (Target::CortexMDsp, Dtype::Int8 | Dtype::Int4) => Layout::CortexMDsp,
            _ => Layout::Portable,
        }
    }
}

/// A layout's name as users write it.
pub fn layout_name(layout: Layout) -> &'static str {
    match layout {
        Layout::Portable => "portable",
        Layout::CortexMDsp => "cortex-m-dsp",
    }
}

/// The bytes of a tensor in a layout, whose order is the engine's own.
pub fn arrange(tensor: &Quantized, dtype: Dtype, layout: Layout) -> Vec<u8> {
    let portable = portable(tensor, dtype);
    if layout == Layout::Portable {
        return portable;
    }
    let bundle_bytes = rows_per_bundle(layout, dtype) * row_bytes(dtype, tensor.columns as u32) as usize;
    let mut arranged = vec![0; portable.len().next_multiple_of(bundle_bytes)];
    pack_rows(layout, dtype, tensor.columns, &portable, &mut arranged);
    arranged
}

/// The bytes of portable rows: each padded with zeros to whole words.
fn portable(tensor: &Quantized, dtype: Dtype) -> Vec<u8> {
    let columns = tensor.columns;
    match &tensor.values {
        Values::F32(values) => rows(values, columns, dtype, |row, out| out.extend(row.iter().flat_map(|value| value.to_le_bytes()))),
        Values::F16(values) => rows(values, columns, dtype, |row, out| out.extend(row.iter().flat_map(|value| value.to_le_bytes()))),
        Values::Int8(values) => rows(values, columns, dtype, |row, out| out.extend(row.iter().map(|&value| value as u8))),
        Values::Int4(values) => rows(values, columns, dtype, |row, out| out.extend(row.chunks(2).map(nibbles))),
    }
}

/// One or two neighbours in a byte, the first in its low half.
fn nibbles(pair: &[i8]) -> u8 {
    let nibble = |index: usize| pair.get(index).map_or(0, |&value| value as u8 & 0x0f);
    nibble(0) | nibble(1) << 4
}

fn rows<T>(values: &[T], columns: usize, dtype: Dtype, mut write: impl FnMut(&[T], &mut Vec<u8>)) -> Vec<u8> {
    let stride = row_bytes(dtype, columns as u32) as usize;
    let mut out = Vec::with_capacity(values.len() / columns * stride);
    for (index, row) in values.chunks_exact(columns).enumerate() {
        write(row, &mut out);
        out.resize((index + 1) * stride, 0);
    }
    out
}
