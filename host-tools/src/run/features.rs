//! Rows of features from files.

use std::path::Path;

use crate::error::Error;
use crate::files;

/// Reads a NumPy file of f32, `(rows, width)`.
///
/// # Errors
/// One sentence that names the file: it is no NumPy file of that type and width, cut, or holds a value that is not finite.
pub fn read_npy(path: &Path, width: usize) -> Result<Vec<f32>, Error> {
    let refuse = |what: String| Error::file(path)(what);
    let bytes = files::map(path)?;
    // The parser's own words may quote the whole header.
    let array = npyz::NpyFile::new(&bytes[..]).map_err(|_| refuse("it is no NumPy file, or its header is damaged".to_owned()))?;
    let shape = array.shape().to_vec();
    if shape.len() != 2 || shape[1] != width as u64 {
        return Err(refuse(format!("its shape is {shape:?}, the model reads rows of {width}")));
    }
    if array.order() != npyz::Order::C {
        return Err(refuse("its rows do not follow one another: save numpy.ascontiguousarray(x)".to_owned()));
    }
    let values = array.into_vec::<f32>().map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => refuse(format!("it is cut: it has fewer values than its shape {shape:?} says")),
        _ => refuse("it does not hold f32: save x.astype(numpy.float32)".to_owned()),
    })?;
    finite(path, width, values)
}

/// Reads lines of `width` numbers with commas between them.
///
/// # Errors
/// One sentence that names the file and the line.
pub fn read_csv(path: &Path, width: usize) -> Result<Vec<f32>, Error> {
    let text = files::text(path)?;
    let mut values = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |what: String| Error::file(path)(format!("line {}: {what}", number + 1));
        let before = values.len();
        for field in line.split(',') {
            let value = field.trim().parse::<f32>().map_err(|_| wrong(format!("{:?} is not a number", field.trim())))?;
            values.push(value);
        }
        if values.len() - before != width {
            return Err(wrong(format!("it has {} numbers, the model reads rows of {width}", values.len() - before)));
        }
    }
    finite(path, width, values)
}

fn finite(path: &Path, width: usize, values: Vec<f32>) -> Result<Vec<f32>, Error> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(Error::file(path)(format!("row {}, column {} is {}", at / width + 1, at % width + 1, values[at]))),
        None if values.is_empty() => Err(Error::file(path)("it holds no rows".to_owned())),
        None => Ok(values),
    }
}
