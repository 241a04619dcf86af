//! Reads rows of features from NumPy and CSV files.

use std::path::Path;

use crate::error::Error;
use crate::files;

/// A file of features that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FeatureError {
    /// The NumPy header is invalid.
    #[error("not a NumPy file, or its header is damaged")]
    NotNpy,
    /// The array does not have the shape `(rows, width)`.
    #[error("its shape is {shape:?}, the model reads rows of {width}")]
    Shape {
        /// Shape of the array.
        shape: Vec<u64>,
        /// Features per row.
        width: usize,
    },
    /// The array is in Fortran order.
    #[error("it is in Fortran order; save numpy.ascontiguousarray(x)")]
    FortranOrder,
    /// The file has fewer values than its header states.
    #[error("truncated: it has fewer values than its shape {shape:?} states")]
    Truncated {
        /// Shape of the array.
        shape: Vec<u64>,
    },
    /// The element type is not f32.
    #[error("its values are not f32; save x.astype(numpy.float32)")]
    NotF32,
    /// A field of a CSV file is not a number.
    #[error("line {line}: {field:?} is not a number")]
    NotANumber {
        /// Line from 1.
        line: usize,
        /// The field.
        field: String,
    },
    /// A line of a CSV file has the wrong number of fields.
    #[error("line {line}: it has {count} numbers, the model reads rows of {width}")]
    RowWidth {
        /// Line from 1.
        line: usize,
        /// Numbers in the line.
        count: usize,
        /// Features per row.
        width: usize,
    },
    /// A value is infinite or NaN.
    #[error("row {row}, column {column} is {value}")]
    NotFinite {
        /// Row from 1.
        row: usize,
        /// Column from 1.
        column: usize,
        /// The value.
        value: f32,
    },
    /// The file has no rows.
    #[error("it has no rows of features")]
    Empty,
}

/// Reads a NumPy file of f32, `(rows, width)`.
///
/// # Errors
/// [`FeatureError`] with the file.
#[cfg(feature = "npy")]
pub fn read_npy(path: &Path, width: usize) -> Result<Vec<f32>, Error> {
    parse_npy(&files::map(path)?, width).map_err(Error::file(path))
}

#[cfg(feature = "npy")]
fn parse_npy(bytes: &[u8], width: usize) -> Result<Vec<f32>, FeatureError> {
    // The parser's own message may quote the whole header.
    let array = npyz::NpyFile::new(bytes).map_err(|_| FeatureError::NotNpy)?;
    let shape = array.shape().to_vec();
    if shape.len() != 2 || shape[1] != width as u64 {
        return Err(FeatureError::Shape { shape, width });
    }
    if array.order() != npyz::Order::C {
        return Err(FeatureError::FortranOrder);
    }
    let values = array.into_vec::<f32>().map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => FeatureError::Truncated { shape },
        _ => FeatureError::NotF32,
    })?;
    finite(width, values)
}

/// Reads lines of `width` comma-separated numbers.
///
/// # Errors
/// [`FeatureError`] with the file.
pub fn read_csv(path: &Path, width: usize) -> Result<Vec<f32>, Error> {
    parse_csv(&files::text(path)?, width).map_err(Error::file(path))
}

fn parse_csv(text: &str, width: usize) -> Result<Vec<f32>, FeatureError> {
    let mut values = Vec::new();
    for (index, row) in text.lines().enumerate().filter(|(_, row)| !row.trim().is_empty()) {
        let (line, start) = (index + 1, values.len());
        for field in row.split(',').map(str::trim) {
            values.push(field.parse::<f32>().map_err(|_| FeatureError::NotANumber { line, field: field.to_owned() })?);
        }
        if values.len() - start != width {
            return Err(FeatureError::RowWidth { line, count: values.len() - start, width });
        }
    }
    finite(width, values)
}

fn finite(width: usize, values: Vec<f32>) -> Result<Vec<f32>, FeatureError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(FeatureError::NotFinite { row: at / width + 1, column: at % width + 1, value: values[at] }),
        None if values.is_empty() => Err(FeatureError::Empty),
        None => Ok(values),
    }
}
