//! Memory layouts of weights. A layout reorders values and never changes one.

use std::str::FromStr;

use attoformer::image::{Dtype, Layout};
use attoformer::internals::format::row_bytes;
use attoformer::kernels::layout::{pack_rows, rows_per_bundle};

use crate::quantize::{Quantized, Values};

/// A layout name that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown layout \"{0}\"; use portable or cortex-m-dsp (a portable image runs on every target)")]
pub struct LayoutError(pub String);

/// Target whose layout an image has. Every engine runs every layout; the target itself runs its own fastest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// Row-major order.
    #[default]
    Portable,
    /// Cortex-M4, M7 and M33: pairs of values for SMLAD.
    CortexMDsp,
}

impl FromStr for Target {
    type Err = LayoutError;

    fn from_str(text: &str) -> Result<Self, LayoutError> {
        match text {
            "portable" => Ok(Target::Portable),
            "cortex-m-dsp" => Ok(Target::CortexMDsp),
            _ => Err(LayoutError(text.to_owned())),
        }
    }
}

impl Target {
    /// The layout of a tensor of this type. Floats are portable on every target.
    pub fn layout(self, dtype: Dtype) -> Layout {
        match (self, dtype) {
            (Target::CortexMDsp, Dtype::Int8 | Dtype::Int4) => Layout::CortexMDsp,
            _ => Layout::Portable,
        }
    }
}

/// The bytes of the portable layout in another one; the order is defined by the engine.
pub fn arrange(portable: Vec<u8>, columns: usize, dtype: Dtype, layout: Layout) -> Vec<u8> {
    if layout == Layout::Portable {
        return portable;
    }
    let bundle_bytes = rows_per_bundle(layout, dtype) * row_bytes(dtype, columns as u32) as usize;
    let mut arranged = vec![0; portable.len().next_multiple_of(bundle_bytes)];
    pack_rows(layout, dtype, columns, &portable, &mut arranged);
    arranged
}

/// The bytes of row-major rows, each padded with zeros to whole words.
pub fn portable(tensor: &Quantized, dtype: Dtype) -> Vec<u8> {
    let columns = tensor.columns;
    match &tensor.values {
        Values::F32(values) => rows(values, columns, dtype, |row, out| out.extend(row.iter().flat_map(|value| value.to_le_bytes()))),
        Values::F16(values) => rows(values, columns, dtype, |row, out| out.extend(row.iter().flat_map(|value| value.to_le_bytes()))),
        Values::Int8(values) => rows(values, columns, dtype, |row, out| out.extend(row.iter().map(|&value| value as u8))),
        Values::Int4(values) => rows(values, columns, dtype, |row, out| out.extend(row.chunks(2).map(nibbles))),
    }
}

/// Packs one or two neighboring values into a byte, the first in the low nibble.
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
