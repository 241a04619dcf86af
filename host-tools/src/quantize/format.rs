//! Storage formats of weights by name: `f32`, `f16`, `int8`, `int4:32|64|128|row`.

use std::fmt;
use std::str::FromStr;

use attoformer::image::Dtype;

use super::{int4, int8};

/// Storage format of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16, saturating.
    F16,
    /// Eight bits with a scale per row (per-channel).
    Int8,
    /// Four bits with a scale per group of columns.
    Int4 {
        /// Group size in columns: 32, 64, 128, or 0 for the whole row.
        group: u32,
    },
}

/// A format name that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown format \"{0}\"; use f32, f16, int8, int4, int4:32, int4:64, int4:128 or int4:row")]
pub struct FormatError(pub String);

/// Integer grid that values are rounded to.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    /// Columns that share a scale.
    pub group: usize,
    /// Largest magnitude in steps of rounding: 127 for int8, 7.5 for int4, whose levels are -8..=7.
    pub limit: f32,
}

impl Format {
    /// The element type in the image.
    pub fn dtype(self) -> Dtype {
        match self {
            Format::F32 => Dtype::F32,
            Format::F16 => Dtype::F16,
            Format::Int8 => Dtype::Int8,
            Format::Int4 { .. } => Dtype::Int4,
        }
    }

    /// Int4 group size in columns; 0 for the whole row and for the other formats.
    pub fn group(self) -> u32 {
        if let Format::Int4 { group } = self { group } else { 0 }
    }

    /// Columns that share a scale in rows of `columns` values.
    pub(super) fn group_columns(self, columns: usize) -> usize {
        if self.group() == 0 { columns } else { self.group() as usize }
    }

    /// The grid for rows of `columns` values; `None` for floats.
    pub fn grid(self, columns: usize) -> Option<Grid> {
        let limit = match self {
            Format::F32 | Format::F16 => return None,
            Format::Int8 => int8::LIMIT,
            Format::Int4 { .. } => int4::LIMIT,
        };
        Some(Grid { group: self.group_columns(columns), limit })
    }

    /// Replaces the int4 group size; leaves the other formats unchanged.
    pub fn with_group(self, group: u32) -> Self {
        if let Format::Int4 { .. } = self { Format::Int4 { group } } else { self }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.dtype().name())?;
        match self {
            Format::Int4 { group: 0 } => f.write_str(":row"),
            Format::Int4 { group } => write!(f, ":{group}"),
            _ => Ok(()),
        }
    }
}

/// Parses `f32`, `f16`, `int8`, `int4` (groups of 32) or `int4:32|64|128|row`.
impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        match text {
            "f32" => Ok(Format::F32),
            "f16" => Ok(Format::F16),
            "int8" => Ok(Format::Int8),
            "int4" | "int4:32" => Ok(Format::Int4 { group: 32 }),
            "int4:64" => Ok(Format::Int4 { group: 64 }),
            "int4:128" => Ok(Format::Int4 { group: 128 }),
            "int4:row" => Ok(Format::Int4 { group: 0 }),
            _ => Err(FormatError(text.to_owned())),
        }
    }
}
