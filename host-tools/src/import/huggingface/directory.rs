//! What a model directory holds: its description, its weights in one file or several, what a family reads of both.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::pooling::{self, Pooling};
use crate::error::Error;
use crate::files;
use crate::import::weights::Weights;

/// The weights, where they are in one file.
const WEIGHTS: &str = "model.safetensors";
/// Which file holds which tensor, where they are in several.
const INDEX: &str = "model.safetensors.index.json";

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

/// The mapped files of a model's weights.
pub struct Files {
    /// The one file, or the index of several.
    pub path: PathBuf,
    maps: Vec<(PathBuf, Mmap)>,
    /// The file of each tensor, where there are several files.
    index: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Files {
    /// Maps them.
    ///
    /// # Errors
    /// One sentence that names the file and what is wrong with it.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let (whole, index) = (folder.join(WEIGHTS), folder.join(INDEX));
        if whole.exists() || !index.exists() {
            return Ok(Files { maps: vec![(whole.clone(), files::map(&whole)?)], path: whole, index: BTreeMap::new() });
        }
        let Index { weight_map } = fields(json(&index)?).map_err(Error::file(&index))?;
        let names: BTreeSet<&String> = weight_map.values().collect();
        let mut maps = Vec::new();
        for name in names {
            // A part lies in the folder itself, whatever the index says.
            if Path::new(name).file_name() != Some(name.as_ref()) {
                return Err(Error::file(&index)(format!("it names {name}, which is no file of its folder")));
            }
            maps.push((folder.join(name), files::map(&folder.join(name))?));
        }
        if maps.is_empty() {
            return Err(Error::file(&index)("it names no file".to_owned()));
        }
        Ok(Files { path: index, maps, index: weight_map })
    }

    /// All tensors, each from the file where the index says it is.
    ///
    /// # Errors
    /// One sentence that names the file and what is wrong with it.
    pub fn weights(&self) -> Result<Weights<'_>, Error> {
        let mut weights = Weights::new("config.json");
        for (path, map) in &self.maps {
            weights.add_safetensors(map).map_err(Error::file(path))?;
        }
        match self.index.iter().find(|(name, _)| !weights.has(name)) {
            None => Ok(weights),
            Some((name, file)) => Err(Error::file(&self.path)(format!("it says that {file} holds a tensor {name}, which is not there"))),
        }
    }

    /// SHA-256 of all of them, one after another.
    pub fn sha256(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        self.maps.iter().for_each(|(_, map)| hash.update(&map[..]));
        hash.finalize().into()
    }
}
