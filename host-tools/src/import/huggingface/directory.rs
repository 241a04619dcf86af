//! Description files of a model directory.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::ConfigError;
use super::pooling::{self, Pooling};
use crate::error::Error;
use crate::files;
use crate::import::json_file::{JsonError, fields, read_json};

/// Description files of a model directory.
pub struct Directory {
    /// config.json.
    pub config: Value,
    /// The folder.
    folder: PathBuf,
    /// How the rows of an encoder become an embedding.
    pub pooling: Pooling,
}

impl Directory {
    /// A directory with this config.json.
    ///
    /// # Errors
    /// Those of [`pooling::read`].
    pub fn open(folder: &Path, config: Value) -> Result<Self, Error> {
        Ok(Directory { config, folder: folder.to_owned(), pooling: pooling::read(folder)? })
    }

    /// Reads a sidecar file, a JSON file beside config.json, with `read`; `None` if the directory has no such file.
    ///
    /// # Errors
    /// [`ConfigError::OtherFile`]: the file cannot be read, or `read` fails.
    pub fn sidecar<T: DeserializeOwned, R, E>(&self, name: &str, read: impl FnOnce(T) -> Result<R, E>) -> Result<Option<R>, ConfigError>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let path = self.folder.join(name);
        if !path.exists() {
            return Ok(None);
        }
        let value = fields(read_json(&path)?).map_err(Error::file::<JsonError>(&path))?;
        Ok(Some(read(value).map_err(Error::file(&path))?))
    }

    /// The chat template: a file of its own, or a field of the tokenizer's files, where it may be the default one of several.
    ///
    /// # Errors
    /// [`Error::File`]: a file is not UTF-8 or not JSON.
    pub fn chat_template(&self) -> Result<Option<String>, Error> {
        let alone = self.folder.join("chat_template.jinja");
        if alone.exists() {
            return files::text(&alone).map(Some);
        }
        for name in ["tokenizer_config.json", "chat_template.json"] {
            let path = self.folder.join(name);
            if !path.exists() {
                continue;
            }
            let template = match &read_json::<Value>(&path)?["chat_template"] {
                Value::Array(several) => {
                    several.iter().find(|one| one["name"] == "default").map_or(Value::Null, |one| one["template"].clone())
                }
                template => template.clone(),
            };
            if let Value::String(template) = template {
                return Ok(Some(template));
            }
        }
        Ok(None)
    }

    /// The fields of config.json that `T` has.
    ///
    /// # Errors
    /// [`JsonError`] with the field.
    pub fn fields<T: DeserializeOwned>(&self) -> Result<T, JsonError> {
        fields(self.config.clone())
    }

    /// Whether the name of the model's class ends with `suffix`.
    pub fn class_ends_with(&self, suffix: &str) -> bool {
        let classes = self.config.get("architectures").and_then(Value::as_array);
        classes.and_then(|classes| classes.first()).and_then(Value::as_str).is_some_and(|class| class.ends_with(suffix))
    }

    /// Labels of a classifier, by their number.
    ///
    /// # Errors
    /// [`ConfigError`]: a number has no label, or a label has a line break.
    pub fn labels(&self) -> Result<Vec<String>, ConfigError> {
        let Some(named) = self.config.get("id2label").and_then(Value::as_object) else {
            let count = self.config.get("num_labels").and_then(Value::as_u64).unwrap_or(2);
            return Ok((0..count.min(1 << 16)).map(|number| format!("LABEL_{number}")).collect());
        };
        let label = |number: usize| {
            let label = named.get(&number.to_string()).and_then(Value::as_str);
            let label = label.ok_or(ConfigError::LabelMissing { count: named.len(), number })?;
            if label.contains('\n') { Err(ConfigError::LabelLines(number)) } else { Ok(label.to_owned()) }
        };
        if named.is_empty() { Err(ConfigError::NoLabels) } else { (0..named.len()).map(label).collect() }
    }
}
