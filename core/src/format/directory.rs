//! The tensor directory: one fixed-size entry per tensor, in the order that the header implies.

use super::config::Config;
use super::field::{put, u8_at, u16_at, u32_at};
use super::header::nonzero;
use super::limits::{INT4_COLUMNS_MAX, WIDTH_MAX};
use super::roles::{Role, shape_of};
use crate::error::Error;

/// Bytes of one directory entry.
pub const ENTRY_BYTES: usize = 48;

/// Element type of a stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dtype {
    /// 32-bit float.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// 8-bit integers with one scale per row (per-channel quantization).
    Int8,
    /// 4-bit integers (nibbles, -8..=7) with a signed 8-bit scale per group times an f32 scale per row.
    Int4,
}

/// Order of a tensor's values in memory. It never changes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layout {
    /// Row-major, each row padded to a multiple of four bytes.
    Portable,
    /// Interleaved rows for the SMLAD instruction of Cortex-M4 and later, see `kernels/cortex_m`.
    CortexMDsp,
}

impl Dtype {
    /// The name that users see.
    pub const fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "f32",
            Dtype::F16 => "f16",
            Dtype::Int8 => "int8",
            Dtype::Int4 => "int4",
        }
    }
}

impl Layout {
    /// The name that users see.
    pub const fn name(self) -> &'static str {
        match self {
            Layout::Portable => "portable",
            Layout::CortexMDsp => "cortex-m-dsp",
        }
    }
}

/// One tensor as the directory describes it. Offsets count from the image's start; 0 means absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The purpose of the tensor.
    pub role: Role,
    /// The layer, for tensors of a layer.
    pub layer: Option<u32>,
    /// Element type.
    pub dtype: Dtype,
    /// Order of the values.
    pub layout: Layout,
    /// Group size: columns that share an int4 scale; 0 for a whole row.
    pub group: u32,
    /// Bits to which the inputs of an integer matrix are quantized: 8, or 12 for an int8 matrix that needs finer ones. 8 for floats, whose
    /// inputs are not quantized.
    pub activations: u8,
    /// Rows: outputs of a matrix.
    pub rows: u32,
    /// Columns: inputs of a matrix.
    pub columns: u32,
    /// Offset of the values.
    pub values: u32,
    /// Offset of the row scales.
    pub scales: u32,
    /// Offset of the int4 group scales.
    pub group_scales: u32,
    /// Offset of the bias.
    pub bias: u32,
    /// Offset of the scale of each input column (SmoothQuant).
    pub in_scale: u32,
}

/// Bytes from one row of the portable layout to the next: whole 32-bit words.
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

/// Number of groups in an int4 row.
pub const fn groups(columns: u32, group: u32) -> u32 {
    if group == 0 { 1 } else { columns.div_ceil(group) }
}

impl Entry {
    /// Parses entry `index` of a directory, a tensor of this role and layer, and checks it against the header and the weights section
    /// `start..end`.
    ///
    /// # Errors
    /// [`Error::Tensor`], which says what is wrong.
    pub fn checked(
        bytes: &[u8],
        config: &Config,
        index: u32,
        (role, layer): (Role, Option<u32>),
        weights: (u32, u32),
    ) -> Result<Entry, Error> {
        let wrong = |what| Err(Error::Tensor { index, what });
        let at = index as usize * ENTRY_BYTES;
        if u16_at(bytes, at) != role as u16 || u16_at(bytes, at + 2) != layer.map_or(u16::MAX, |layer| layer as u16) {
            return wrong("not the tensor that the header implies here");
        }
        let Some(entry) = Entry::parse(bytes, at, role, layer) else {
            return wrong("unknown element type, layout, group size or bits of its inputs");
        };
        if entry.activations != 8 && entry.dtype != Dtype::Int8 {
            return wrong("12-bit inputs belong to int8 matrices only");
        }
        if nonzero(bytes, at + 41, at + ENTRY_BYTES).is_some() {
            return wrong("reserved bytes of its entry are not zero: the engine may be too old");
        }
        if (entry.rows, entry.columns) != shape_of(config, role) {
            return wrong("its shape contradicts the header");
        }
        if role.is_always_f32() && entry.dtype != Dtype::F32 {
            return wrong("a tensor of this role must be f32");
        }
        if entry.dtype == Dtype::Int4 && entry.columns > INT4_COLUMNS_MAX {
            return wrong("an int4 row is too long for exact sums");
        }
        if entry.columns > WIDTH_MAX {
            return wrong("a row is too long for exact sums");
        }
        if u32_at(bytes, at + 20) as u64 != entry.value_bytes() {
            return wrong("its values have the wrong size");
        }
        if !entry.parts_inside(weights) {
            return wrong("its data lies outside the weights section or is misaligned");
        }
        Ok(entry)
    }

    /// Parses the entry at offset `at`; `None` for a type, layout, group size or number of input bits that does not exist.
    pub fn parse(bytes: &[u8], at: usize, role: Role, layer: Option<u32>) -> Option<Entry> {
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
        let activations = match u8_at(bytes, 40) {
            0 => 8,
            12 => 12,
            _ => return None,
        };
        Some(Entry {
            role,
            layer,
            dtype,
            layout,
            group,
            activations,
            rows: u32_at(bytes, 8),
            columns: u32_at(bytes, 12),
            values: u32_at(bytes, 16),
            scales: u32_at(bytes, 24),
            group_scales: u32_at(bytes, 28),
            bias: u32_at(bytes, 32),
            in_scale: u32_at(bytes, 36),
        })
    }

    /// Writes the entry, whose place in the directory follows from [`TensorOrder`](super::roles::TensorOrder); the inverse of [`Entry::parse`].
    pub fn emit(&self, out: &mut [u8; ENTRY_BYTES]) {
        let dtype = match self.dtype {
            Dtype::F32 => 0,
            Dtype::F16 => 1,
            Dtype::Int8 => 2,
            Dtype::Int4 => 3,
        };
        let layout = match self.layout {
            Layout::Portable => 0,
            Layout::CortexMDsp => 1,
        };
        put(out, 0, (self.role as u16).to_le_bytes());
        put(out, 2, self.layer.map_or(u16::MAX, |layer| layer as u16).to_le_bytes());
        put(out, 4, [dtype, layout]);
        put(out, 6, (self.group as u16).to_le_bytes());
        let words = [
            (8, self.rows),
            (12, self.columns),
            (16, self.values),
            (20, self.value_bytes() as u32),
            (24, self.scales),
            (28, self.group_scales),
            (32, self.bias),
            (36, self.in_scale),
        ];
        words.into_iter().for_each(|(at, word)| put(out, at, word.to_le_bytes()));
        put(out, 40, [if self.activations == 12 { 12 } else { 0 }]);
    }

    /// Bits of the inputs that the matrix is multiplied with: 8 or 12 for integers, 32 for floats.
    pub const fn input_bits(&self) -> u32 {
        match self.dtype {
            Dtype::F32 | Dtype::F16 => 32,
            Dtype::Int8 | Dtype::Int4 => self.activations as u32,
        }
    }

    /// Bytes of the values in their layout.
    pub const fn value_bytes(&self) -> u64 {
        self.row_bytes() * self.stored_rows()
    }

    /// Bytes from one row to the next.
    pub const fn row_bytes(&self) -> u64 {
        row_bytes(self.dtype, self.columns)
    }

    /// Rows in memory: a layout pads the last bundle of rows.
    const fn stored_rows(&self) -> u64 {
        match self.layout {
            Layout::Portable => self.rows as u64,
            Layout::CortexMDsp if matches!(self.dtype, Dtype::Int4) => (self.rows as u64).next_multiple_of(4),
            Layout::CortexMDsp => (self.rows as u64).next_multiple_of(2),
        }
    }

    /// Whether every part lies in the weights section, is aligned, and exists exactly when the type requires it.
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
            && !(self.role.is_always_f32() && (self.bias != 0 || self.in_scale != 0))
    }
}
