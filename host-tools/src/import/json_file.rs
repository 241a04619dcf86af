//! JSON files of a model directory.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Error;
use crate::files;

/// A JSON file.
///
/// # Errors
/// [`Error::Io`], or [`Error::File`] when it is no JSON.
pub fn json(path: &Path) -> Result<Value, Error> {
    serde_json::from_slice(&files::map(path)?).map_err(|error| Error::file(path)(format!("it is no JSON: {error}")))
}

/// The fields that a reader wants of a JSON object.
///
/// # Errors
/// A sentence's end that names the field.
pub fn fields<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|error| match error.path().to_string() {
        whole if whole == "." => format!("it is not the model's configuration: {}", error.inner()),
        field => format!("it is not the model's configuration: its {field} has an {}", error.inner()),
    })
}

/// Reads a JSON file's settings.
///
/// # Errors
/// One sentence that names the file: it is no JSON, or not of this form.
pub fn settings<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    serde_json::from_slice(&files::map(path)?).map_err(|error| Error::file(path)(format!("its JSON cannot be read: {error}")))
}
