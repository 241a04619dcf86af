//! The tensor directory: one fixed entry per tensor, in the order that the header implies.

use super::bytes::{u8_at, u16_at, u32_at};
use super::header::Config;

pub use super::roles::{BIAS_SPAN, Role, TensorOrder, shape_of};
use crate::error::Error;

/// Bytes of one directory entry.
pub const ENTRY_BYTES: usize = 48;
/// Longest row whose int4 group sums are exact in 32 bits (8 * 127 * 255 * 8,192 < 2^31).
pub const INT4_COLUMNS_MAX: u32 = 8192;

/// Element type of a stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 32-bit float.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// Eight bits, one scale per row.
    Int8,
    /// Four bits, a u8 scale per group times an f32 scale per row.
    Int4,
}

/// Order of a tensor's values in memory. It never changes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Row after row, each padded to a multiple of four bytes.
    Portable,
    /// Paired rows for SMLAD, see `kernels/cortex_m`.
    CortexMDsp,
}

/// One tensor as the directory describes it. Offsets count from the image's start; 0 means absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What the tensor is for.
    pub role: Role,
    /// Its layer, where it has one.
    pub layer: Option<u32>,
    /// Element type.
    pub dtype: Dtype,
    /// Order of the values.
    pub layout: Layout,
    /// Columns that share an int4 scale.
    pub group: u32,
    /// Outputs.
    pub rows: u32,
    /// Inputs.
    pub columns: u32,
    /// Offset of the values.
    pub values: u32,
    /// Offset of the row scales.
    pub scales: u32,
    /// Offset of the int4 group scales.
    pub group_scales: u32,
    /// Offset of the bias.
    pub bias: u32,
    /// Offset of the input scale.
    pub in_scale: u32,
}

/// Bytes from one portable row to the next: whole 32-bit words.
pub const fn row_bytes(dtype: Dtype, columns: u32) -> u64 {
    let columns = columns as u64;
    let bytes = match dtype {
        Dtype::F32 => columns * 4,
        Dtype::F16 => columns * 2,
        Dtype::Int8 => columns,
        Dtype::Int4 => columns.div_ceil(2),
    };
    bytes.next_multiple_of(4)
}

/// Groups in an int4 row.
pub const fn groups(columns: u32, group: u32) -> u32 {
    if group == 0 { 1 } else { columns.div_ceil(group) }
}

impl Entry {
    /// Reads entry `index`, a tensor of this role and layer, and checks all of it against the header and the weights section `start..end`.
    pub(super) fn read(
        bytes: &[u8],
        config: &Config,
        index: u32,
        (role, layer): (Role, Option<u32>),
        weights: (u32, u32),
    ) -> Result<Entry, Error> {
        let wrong = |what| Err(Error::Tensor { index, what });
        let at = index as usize * ENTRY_BYTES;
        if u16_at(bytes, at) != role as u16 || u16_at(bytes, at + 2) != layer.map_or(u16::MAX, |layer| layer as u16) {
            return wrong("it is not the tensor that the header implies at this place");
        }
        let Some(entry) = Entry::parse(bytes, at, role, layer) else {
            return wrong("its element type, layout or group is unknown");
        };
        if (entry.rows, entry.columns) != shape_of(config, role) {
            return wrong("its shape does not agree with the header");
        }
        if role.is_plain() && entry.dtype != Dtype::F32 {
            return wrong("it must be f32");
        }
        if entry.dtype == Dtype::Int4 && entry.columns > INT4_COLUMNS_MAX {
            return wrong("an int4 row is too long for exact sums");
        }
        if entry.columns > super::header::WIDTH_MAX {
            return wrong("a row is too long for exact sums");
        }
        if u32_at(bytes, at + 20) as u64 != entry.value_bytes() {
            return wrong("its values have the wrong size");
        }
        if !entry.parts_inside(weights) {
            return wrong("it points outside the weights, or is misaligned");
        }
        Ok(entry)
    }

    /// Reads an entry that [`Entry::read`] has accepted before, or as much of it as makes sense.
    pub(super) fn parse(bytes: &[u8], at: usize, role: Role, layer: Option<u32>) -> Option<Entry> {
        let bytes = bytes.get(at..)?.first_chunk::<ENTRY_BYTES>()?;
        let dtype = match u8_at(bytes, 4) {
            0 => Dtype::F32,
            1 => Dtype::F16,
            2 => Dtype::Int8,
            3 => Dtype::Int4,
            _ => return None,
        };
        let layout = match (u8_at(bytes, 5), dtype) {
            (0, _) => Layout::Portable,
            (1, Dtype::Int8 | Dtype::Int4) => Layout::CortexMDsp,
            _ => return None,
        };
        let group = match (u16_at(bytes, 6), dtype) {
            (group @ (0 | 32 | 64 | 128), Dtype::Int4) => group as u32,
            (0, _) => 0,
            _ => return None,
        };
        Some(Entry {
            role,
            layer,
            dtype,
            layout,
            group,
            rows: u32_at(bytes, 8),
            columns: u32_at(bytes, 12),
            values: u32_at(bytes, 16),
            scales: u32_at(bytes, 24),
            group_scales: u32_at(bytes, 28),
            bias: u32_at(bytes, 32),
            in_scale: u32_at(bytes, 36),
        })
    }

    /// Bytes that the values take in their layout.
    pub const fn value_bytes(&self) -> u64 {
        self.row_bytes() * self.stored_rows()
    }

    /// Bytes from one row to the next.
    pub const fn row_bytes(&self) -> u64 {
        row_bytes(self.dtype, self.columns)
    }

    /// Rows in memory: a layout may pad the last bundle of rows.
    const fn stored_rows(&self) -> u64 {
        match self.layout {
            Layout::Portable => self.rows as u64,
            Layout::CortexMDsp if matches!(self.dtype, Dtype::Int4) => (self.rows as u64).next_multiple_of(4),
            Layout::CortexMDsp => (self.rows as u64).next_multiple_of(2),
        }
    }

    /// Whether every part lies in the weights section at a fit alignment, and is there exactly when the type asks for it.
    fn parts_inside(&self, (start, end): (u32, u32)) -> bool {
        let inside =
            |offset: u32, bytes: u64, align: u32| offset.is_multiple_of(align) && offset >= start && offset as u64 + bytes <= end as u64;
        let optional = |offset: u32, bytes: u64| offset == 0 || inside(offset, bytes, 4);
        let quantized = matches!(self.dtype, Dtype::Int8 | Dtype::Int4);
        let group_bytes = self.rows as u64 * groups(self.columns, self.group) as u64;
        inside(self.values, self.value_bytes(), 16)
            && (if quantized { inside(self.scales, self.rows as u64 * 4, 4) } else { self.scales == 0 })
            && (if self.dtype == Dtype::Int4 { inside(self.group_scales, group_bytes, 4) } else { self.group_scales == 0 })
            && optional(self.bias, self.rows as u64 * 4)
            && optional(self.in_scale, self.columns as u64 * 4)
            && (quantized || self.in_scale == 0)
            && !(self.role.is_plain() && (self.bias != 0 || self.in_scale != 0))
    }
}
