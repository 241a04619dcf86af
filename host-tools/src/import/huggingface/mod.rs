//! Hugging Face model directories: `config.json` for the shape, `model.safetensors` for the weights, a tokenizer beside them. One file per
//! family.

mod bert;
mod kwt;
mod pooling;
mod take;
mod weights;
mod whisper;

use std::path::Path;

use attoformer::image::header::{Activation, Config, Front};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::frontend::Frontend;
use super::{Checkpoint, Decoding, Tensor, Tokenizer, tokenizer_json};
use crate::error::Error;
use crate::files;
use weights::Weights;

/// The file that makes a folder a model directory.
pub const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";

/// A family of models: what it makes of its configuration and its tensors.
trait Family {
    /// The engine's name for its shape. Begin and end tokens may be left to the tokenizer.
    ///
    /// # Errors
    /// A sentence's end about config.json: what contradicts itself, or is not known.
    fn config(&self, folder: &Path) -> Result<Config, Error>;

    /// All tensors, taken from the file.
    ///
    /// # Errors
    /// A sentence's end that names the tensor.
    fn tensors(&self, weights: &mut Weights<'_>) -> Result<Vec<Tensor>, String>;

    /// Radians per token of each rotary pair.
    fn rotary(&self) -> Vec<f64> {
        Vec::new()
    }

    /// Names of a classifier's labels.
    fn labels(&self) -> Vec<String> {
        Vec::new()
    }

    /// How sound becomes rows of features.
    ///
    /// # Errors
    /// One sentence that names the file.
    fn frontend(&self, _folder: &Path) -> Result<Option<Frontend>, Error> {
        Ok(None)
    }

    /// How a transcript begins.
    ///
    /// # Errors
    /// One sentence that names the file.
    fn decoding(&self, _folder: &Path) -> Result<Option<Decoding>, Error> {
        Ok(None)
    }
}

/// A row of the table of families.
struct Row {
    /// The `model_type` of config.json.
    model_type: &'static str,
    /// Reads the fields of config.json.
    read: fn(Value) -> Result<Box<dyn Family>, String>,
}

/// Families that can be read.
const FAMILIES: &[Row] = &[
    Row { model_type: "bert", read: |config| Ok(Box::new(fields::<bert::Shape>(config)?)) },
    Row { model_type: "kwt", read: |config| Ok(Box::new(fields::<kwt::Shape>(config)?)) },
    Row { model_type: "whisper", read: |config| Ok(Box::new(fields::<whisper::Shape>(config)?)) },
];

/// Reads a model directory.
///
/// # Errors
/// One sentence that names the file and what is wrong with it: an unknown family, a tensor too many, one too few, or of another shape.
pub fn open(folder: &Path) -> Result<Checkpoint, Error> {
    let config_path = folder.join(CONFIG);
    let config: Value = json(&config_path)?;
    let model_type = config.get("model_type").and_then(Value::as_str).unwrap_or("nothing");
    let Some(row) = FAMILIES.iter().find(|row| row.model_type == model_type) else {
        let known: Vec<&str> = FAMILIES.iter().map(|row| row.model_type).collect();
        let what = format!("it states {model_type} as its model_type, which cannot be read yet; what can is {}", known.join(", "));
        return Err(Error::file(&config_path)(what));
    };
    let name = name(&config, folder);
    let family = (row.read)(config).map_err(Error::file(&config_path))?;
    let path = folder.join(WEIGHTS);
    let bytes = files::map(&path)?;
    let mut weights = Weights::new(&bytes).map_err(Error::file(&path))?;
    let mut shape = family.config(folder)?;
    let tokenizer = if shape.has_embedding() { Some(tokenizer(folder, &shape)?) } else { None };
    if let Some(tokenizer) = tokenizer.as_ref().filter(|_| shape.front == Front::Tokens) {
        (shape.begin, shape.end) = (tokenizer.begin, tokenizer.end);
    }
    let tensors = family.tensors(&mut weights).and_then(|tensors| weights.finish().map(|()| tensors)).map_err(Error::file(&path))?;
    Ok(Checkpoint {
        name,
        sha256: Sha256::digest(&bytes[..]).into(),
        path,
        config: shape,
        rotary: family.rotary(),
        tensors,
        tokenizer,
        labels: family.labels(),
        chat_template: None,
        frontend: family.frontend(folder)?,
        decoding: family.decoding(folder)?,
    })
}

/// An activation by the name that config.json files give it.
fn activation(name: &str) -> Result<Activation, String> {
    match name {
        "gelu" => Ok(Activation::GeluErf),
        "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        "relu2" => Ok(Activation::SquaredRelu),
        "silu" | "swish" => Ok(Activation::Silu),
        other => Err(format!("its activation {other} is not one of gelu, gelu_new, relu, relu2, silu")),
    }
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
