//! What a model directory holds: its description, its weights in one file or several, what a family reads of both.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::pooling::{self, Pooling};
use crate::error::Error;
use crate::files;
use crate::import::json_file::{fields, json};

/// The description of a model.
pub struct Directory {
    /// config.json.
    pub config: Value,
    /// Where it lies.
    folder: PathBuf,
    /// How an encoder's rows become an embedding.
    pub pooling: Pooling,
}

impl Directory {
    /// A description with how the folder pools.
    ///
    /// # Errors
    /// One sentence that names the file and what is wrong with it.
    pub fn open(folder: &Path, config: Value) -> Result<Self, Error> {
        Ok(Directory { config, folder: folder.to_owned(), pooling: pooling::read(folder)? })
    }

    /// A JSON file beside config.json, where there is one of this name.
    ///
    /// # Errors
    /// A sentence's end that names the file.
    pub fn beside(&self, name: &str) -> Result<Option<Value>, String> {
        let path = self.folder.join(name);
        if path.exists() { json(&path).map(Some).map_err(|error| format!("of what lies beside it, {error}")) } else { Ok(None) }
    }

    /// The chat template: a file of its own, or a field beside the tokenizer's, where it may be the default one of several.
    ///
    /// # Errors
    /// One sentence that names the file: it is no text, or no JSON.
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
            let template = match &json(&path)?["chat_template"] {
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

    /// The fields that a reader wants of config.json.
    ///
    /// # Errors
    /// A sentence's end that names the field.
    pub fn fields<T: DeserializeOwned>(&self) -> Result<T, String> {
        fields(self.config.clone())
    }

    /// Whether the model's class, which config.json names, ends with `what`.
    pub fn is_for(&self, what: &str) -> bool {
        let classes = self.config.get("architectures").and_then(Value::as_array);
        classes.and_then(|classes| classes.first()).and_then(Value::as_str).is_some_and(|class| class.ends_with(what))
    }

    /// Names of a classifier's labels, by their number.
    ///
    /// # Errors
    /// A sentence's end: a number is missing, or a name cannot stand on a line.
    pub fn labels(&self) -> Result<Vec<String>, String> {
        let Some(named) = self.config.get("id2label").and_then(Value::as_object) else {
            let count = self.config.get("num_labels").and_then(Value::as_u64).unwrap_or(2);
            return Ok((0..count.min(1 << 16)).map(|number| format!("LABEL_{number}")).collect());
        };
        let label = |number: usize| {
            let label = named.get(&number.to_string()).and_then(Value::as_str);
            let label = label.ok_or_else(|| format!("its id2label has {} labels, but none of number {number}", named.len()))?;
            if label.contains('\n') { Err(format!("label {number} of its id2label is more than a line")) } else { Ok(label.to_owned()) }
        };
        if named.is_empty() { Err("its id2label is empty".to_owned()) } else { (0..named.len()).map(label).collect() }
    }
}

/// A token's number in config.json: one, or several that mean the same.
#[derive(Deserialize)]
#[serde(untagged, expecting = "unknown form: a token's number can be read, or a list of them")]
pub enum Token {
    /// One.
    One(u32),
    /// Several.
    Several(Vec<u32>),
}

impl Token {
    /// The first; 0 where there is none.
    pub fn first(token: &Option<Token>) -> u32 {
        match token {
            Some(Token::One(token)) => *token,
            Some(Token::Several(tokens)) => tokens.first().copied().unwrap_or(0),
            None => 0,
        }
    }
}
