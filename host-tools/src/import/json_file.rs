//! JSON files of a model directory.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Error;
use crate::files;

/// Reason why a JSON file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The file is not JSON, or not of the expected form.
    #[error("invalid JSON: {0}")]
    Invalid(serde_json::Error),
    /// A field is missing or of another type.
    #[error("invalid configuration: {0}")]
    Configuration(serde_json::Error),
    /// A field has a value of another type.
    #[error("invalid configuration: {field} has an {source}")]
    Field {
        /// Path of the field.
        field: String,
        /// The JSON error, such as "invalid type: ...".
        source: serde_json::Error,
    },
}

/// Reads a JSON file.
///
/// # Errors
/// [`Error::Io`], or [`Error::File`] with [`JsonError::Invalid`].
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    serde_json::from_slice(&files::map(path)?).map_err(JsonError::Invalid).map_err(Error::file(path))
}

/// Reads the fields of `T` from a JSON value.
///
/// # Errors
/// [`JsonError`] with the field.
pub fn fields<T: DeserializeOwned>(value: Value) -> Result<T, JsonError> {
    serde_path_to_error::deserialize(value).map_err(|error| match error.path().to_string() {
        whole if whole == "." => JsonError::Configuration(error.into_inner()),
        field => JsonError::Field { field, source: error.into_inner() },
    })
}
