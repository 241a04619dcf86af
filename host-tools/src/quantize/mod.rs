//! Weights in fewer bits: int8 and int4 with scales, f16, and what that costs.
//!
//! A format has two steps: scales are searched per row, then values are rounded under them. Both see one row at a time.

pub mod int4;
pub mod int8;
pub mod smoothing;

use std::fmt;
use std::str::FromStr;

use attoformer::image::directory::Dtype;
use half::f16;

use smoothing::Grid;

/// How a tensor is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As it is.
    F32,
    /// IEEE 754 binary16, saturating.
    F16,
    /// Eight bits, a scale per row.
    Int8,
    /// Four bits, a scale per group of columns.
    Int4 {
        /// Columns that share a scale: 32, 64, 128, or 0 for the whole row.
        group: u32,
    },
}

impl Format {
    /// The element type as the image names it.
    pub fn dtype(self) -> Dtype {
        match self {
            Format::F32 => Dtype::F32,
            Format::F16 => Dtype::F16,
            Format::Int8 => Dtype::Int8,
            Format::Int4 { .. } => Dtype::Int4,
        }
    }

    /// Columns that share an int4 scale; 0 for the row, and for the other formats.
    pub fn group(self) -> u32 {
        if let Format::Int4 { group } = self { group } else { 0 }
    }

    /// What the error of its rounding follows from; `None` for floats.
    pub fn grid(self, columns: usize) -> Option<Grid> {
        let (group, limit) = match self {
            Format::F32 | Format::F16 => return None,
            Format::Int8 => (0, int8::LIMIT),
            Format::Int4 { group } => (group as usize, int4::LIMIT),
        };
        Some(Grid { group: if group == 0 { columns } else { group }, limit })
    }

    /// The same format with another int4 group.
    pub fn with_group(self, group: u32) -> Self {
        if let Format::Int4 { .. } = self { Format::Int4 { group } } else { self }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(dtype_name(self.dtype()))?;
        match self {
            Format::Int4 { group: 0 } => f.write_str(":row"),
            Format::Int4 { group } => write!(f, ":{group}"),
            _ => Ok(()),
        }
    }
}

/// `f32`, `f16`, `int8`, `int4` (groups of 32) or `int4:32|64|128|row`.
impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "f32" => Ok(Format::F32),
            "f16" => Ok(Format::F16),
            "int8" => Ok(Format::Int8),
            "int4" | "int4:32" => Ok(Format::Int4 { group: 32 }),
            "int4:64" => Ok(Format::Int4 { group: 64 }),
            "int4:128" => Ok(Format::Int4 { group: 128 }),
            "int4:row" => Ok(Format::Int4 { group: 0 }),
            _ => Err(format!("{text} is not one of f32, f16, int8, int4, int4:32, int4:64, int4:128, int4:row")),
        }
    }
}

/// A type's name as users write it.
pub fn dtype_name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F32 => "f32",
        Dtype::F16 => "f16",
        Dtype::Int8 => "int8",
        Dtype::Int4 => "int4",
    }
}

/// A matrix of f32, row after row.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// Columns of a row, at least one.
    pub columns: usize,
    /// All values, whole rows of them.
    pub values: &'a [f32],
}

impl<'a> Matrix<'a> {
    /// The rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &'a [f32]> + use<'a> {
        self.values.chunks_exact(self.columns)
    }
}

/// A quantized matrix: values in row order, scales beside them.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    /// Columns of a row.
    pub columns: usize,
    /// Values, whole rows of them.
    pub values: Values,
    /// One scale per row (int8 and int4; else empty).
    pub row_scales: Vec<f32>,
    /// One scale per group, rows after rows (int4; else empty).
    pub group_scales: Vec<u8>,
    /// Columns that share a group scale; the whole row where there are none.
    group: usize,
}

/// Values of a quantized matrix, one element each.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Floats.
    F32(Vec<f32>),
    /// Halves.
    F16(Vec<f16>),
    /// Integers in -127..=127.
    Int8(Vec<i8>),
    /// Integers in -7..=7.
    Int4(Vec<i8>),
}

/// Stores `matrix` in `format`. All its values are finite.
pub fn quantize(matrix: Matrix, format: Format) -> Quantized {
    let columns = matrix.columns;
    let group = if format.group() == 0 { columns } else { format.group() as usize };
    let mut row_scales = Vec::new();
    let mut group_scales = Vec::new();
    let values = match format {
        Format::F32 => Values::F32(matrix.values.to_vec()),
        Format::F16 => Values::F16(matrix.values.iter().copied().map(saturating_f16).collect()),
        Format::Int8 => {
            row_scales = matrix.rows().map(int8::scale).collect();
            Values::Int8(matrix.rows().zip(&row_scales).flat_map(|(row, &scale)| int8::round(row, scale)).collect())
        }
        Format::Int4 { .. } => {
            let scales: Vec<int4::Scales> = matrix.rows().map(|row| int4::search(row, group)).collect();
            let values = matrix.rows().zip(&scales).flat_map(|(row, scales)| int4::round(row, group, scales)).collect();
            row_scales = scales.iter().map(|scales| scales.row).collect();
            group_scales = scales.into_iter().flat_map(|scales| scales.groups).collect();
            Values::Int4(values)
        }
    };
    Quantized { columns, values, row_scales, group_scales, group }
}

/// The nearest half; what is too large becomes the largest finite one.
fn saturating_f16(value: f32) -> f16 {
    f16::from_f32(value.clamp(f16::MIN.to_f32(), f16::MAX.to_f32()))
}

impl Quantized {
    /// The value an engine sees at `row`, `column`.
    fn value(&self, row: usize, column: usize) -> f32 {
        let at = row * self.columns + column;
        match &self.values {
            Values::F32(values) => values[at],
            Values::F16(values) => values[at].to_f32(),
            Values::Int8(values) => values[at] as f32 * self.row_scales[row],
            Values::Int4(values) => {
                let groups = self.columns.div_ceil(self.group);
                let scale = self.group_scales[row * groups + column / self.group];
                (values[at] as i32 * scale as i32) as f32 * self.row_scales[row]
            }
        }
    }

    /// All values as an engine sees them, row after row.
    pub fn dequantize(&self) -> Vec<f32> {
        let count = match &self.values {
            Values::F32(values) => values.len(),
            Values::F16(values) => values.len(),
            Values::Int8(values) | Values::Int4(values) => values.len(),
        };
        (0..count).map(|at| self.value(at / self.columns, at % self.columns)).collect()
    }

    /// Frobenius norm of the error over that of `original`; 0 where the original is all zeros.
    pub fn relative_error(&self, original: Matrix) -> f64 {
        let square = |x: f64| x * x;
        let (mut error, mut norm) = (0.0, 0.0);
        for (row, values) in original.rows().enumerate() {
            for (column, &value) in values.iter().enumerate() {
                error += square(self.value(row, column) as f64 - value as f64);
                norm += square(value as f64);
            }
        }
        if norm == 0.0 { 0.0 } else { (error / norm).sqrt() }
    }
}

/// 2^-100: a row below it is stored as zeros, as the engine does with activations.
const NEGLIGIBLE: f32 = f32::from_bits(27 << 23);

/// The largest magnitude of a row.
fn absmax(row: &[f32]) -> f32 {
    row.iter().fold(0.0, |largest, value| value.abs().max(largest))
}

/// A row brought to 1 at most, so that squares neither overflow nor vanish, and what it was divided by. `None` for a row of
/// (next to) nothing.
fn normalized(row: &[f32]) -> Option<(Vec<f32>, f32)> {
    let unit = absmax(row);
    (unit >= NEGLIGIBLE).then(|| (row.iter().map(|value| value / unit).collect(), unit))
}

/// The scale of least squared error, the first of several; 0 for a group of zeros.
fn best_scale(candidates: impl Iterator<Item = f32>, values: &[f32], limit: f32) -> f32 {
    let errors = candidates.filter(|&scale| scale > 0.0).map(|scale| (squared_error(values, scale, limit), scale));
    errors.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0.0, |(_, scale)| scale)
}

/// The integer nearest to `value`, ties to even, within `-limit..=limit`. Branch-free, so that loops over it vectorize.
fn round_to_nearest(value: f32, limit: f32) -> f32 {
    // Adding 1.5 * 2^23 leaves no bits for a fraction.
    const WHOLE: f32 = 12_582_912.0;
    value.clamp(-limit, limit) + WHOLE - WHOLE
}

/// Squared error of `row` rounded to multiples of `scale` up to `limit`.
fn squared_error(row: &[f32], scale: f32, limit: f32) -> f32 {
    let inverse = 1.0 / scale;
    let square = |value: f32| {
        let error = value - round_to_nearest(value * inverse, limit) * scale;
        error * error
    };
    // Eight sums, because one sum's order would forbid vector instructions.
    let mut sums = [0.0; 8];
    let (eights, tail) = row.as_chunks::<8>();
    for eight in eights {
        for (sum, &value) in sums.iter_mut().zip(eight) {
            *sum += square(value);
        }
    }
    sums.iter().sum::<f32>() + tail.iter().copied().map(square).sum::<f32>()
}
