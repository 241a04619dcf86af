//! Hugging Face model directories: `config.json` for the shape, `model.safetensors` for the weights, a tokenizer beside them. One file per
//! family.

mod bert;
mod pooling;
mod weights;

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use attoformer::image::header::Config;

use super::{Checkpoint, Tokenizer, tokenizer_json};
use crate::error::Error;
use crate::files;
use weights::Weights;

/// The file that makes a folder a model directory.
pub const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";

/// Families that can be read, by the `model_type` of their config.json.
const FAMILIES: &[&str] = &["bert"];

/// Reads a model directory.
///
/// # Errors
/// One sentence that names the file and what is wrong with it: an unknown family, a tensor too many, one too few, or of another shape.
pub fn open(folder: &Path) -> Result<Checkpoint, Error> {
    let config_path = folder.join(CONFIG);
    let config: Value = json(&config_path)?;
    let family = config.get("model_type").and_then(Value::as_str).unwrap_or("nothing");
    if !FAMILIES.contains(&family) {
        let what = format!("it states {family} as its model_type, which cannot be read yet; what can is {}", FAMILIES.join(", "));
        return Err(Error::file(&config_path)(what));
    }
    let bert: bert::Shape = fields(config.clone()).map_err(Error::file(&config_path))?;
    let path = folder.join(WEIGHTS);
    let bytes = files::map(&path)?;
    let mut weights = Weights::new(&bytes).map_err(Error::file(&path))?;
    let shape = bert.config(&pooling::read(folder)?).map_err(Error::file(&config_path))?;
    let tokenizer = tokenizer(folder, &shape)?;
    let tensors = bert.tensors(&mut weights).and_then(|tensors| weights.finish().map(|()| tensors)).map_err(Error::file(&path))?;
    Ok(Checkpoint {
        name: name(&config, folder),
        sha256: Sha256::digest(&bytes[..]).into(),
        path,
        config: Config { begin: tokenizer.begin, end: tokenizer.end, ..shape },
        rotary: Vec::new(),
        tensors,
        tokenizer: Some(tokenizer),
        labels: Vec::new(),
        chat_template: None,
        decoding: None,
    })
}

/// The directory's tokenizer, whose pieces are the model's rows.
fn tokenizer(folder: &Path, shape: &Config) -> Result<Tokenizer, Error> {
    let tokenizer = tokenizer_json::wordpiece(folder)?;
    match tokenizer.pieces.len() {
        count if count == shape.vocab as usize => Ok(tokenizer),
        count => {
            Err(Error::file(folder)(format!("its tokenizer has {count} pieces, its config.json states a vocabulary of {}", shape.vocab)))
        }
    }
}

/// The name that the model was published under, or the folder's.
fn name(config: &Value, folder: &Path) -> String {
    let published = config.get("_name_or_path").and_then(Value::as_str).and_then(|name| name.rsplit('/').next());
    let folder = folder.file_name().unwrap_or_default().to_string_lossy();
    published.filter(|name| !name.is_empty()).map_or_else(|| folder.into_owned(), str::to_owned)
}

/// A JSON file.
fn json(path: &Path) -> Result<Value, Error> {
    serde_json::from_slice(&files::map(path)?).map_err(|error| Error::file(path)(format!("it is no JSON: {error}")))
}

/// The fields that a reader wants of a JSON object.
fn fields<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| format!("it is not the model's configuration: {error}"))
}
