//! Pooling of a sentence-transformers folder: `modules.json`, and the files that it names.

use std::path::Path;

use attoformer::image::Pooling as PoolingKind;
use serde::Deserialize;
use serde_json::Value;

use super::file_names::CONFIG;
use crate::error::Error;
use crate::import::json_file::{fields, read_json};

/// How the rows of an encoder become an embedding.
pub struct Pooling {
    /// The mean, or the first row (CLS).
    pub kind: PoolingKind,
    /// Whether the embedding is scaled to an L2 norm of 1.
    pub l2_normalize: bool,
    /// Longest sequence of the training, where it is stated.
    pub context: Option<u32>,
}

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Sequence {
    max_seq_length: Option<u32>,
}

/// Reason why a folder's pooling is not supported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum PoolingError {
    /// A module after the pooling that the engine does not have.
    #[error("the module {0} is not supported; supported: Transformer, Pooling and Normalize")]
    Module(String),
    /// Another pooling mode, or several.
    #[error("pooling by [{0}] is not supported; supported: one of mean and CLS pooling")]
    Modes(String),
}

/// Reads the pooling of `folder`: the mean, without a scaled length, unless a file says otherwise.
///
/// # Errors
/// [`Error::Io`], or [`Error::File`]: a file is not valid, or the pooling is not supported.
pub fn read(folder: &Path) -> Result<Pooling, Error> {
    let mut pooling = Pooling { kind: PoolingKind::Mean, l2_normalize: false, context: None };
    let sequence = folder.join("sentence_bert_config.json");
    if sequence.exists() {
        pooling.context = fields::<Sequence>(read_json(&sequence)?).map_err(Error::file(&sequence))?.max_seq_length;
    }
    let path = folder.join("modules.json");
    if !path.exists() {
        return Ok(pooling);
    }
    for module in fields::<Vec<Module>>(read_json(&path)?).map_err(Error::file(&path))? {
        match module.kind.rsplit('.').next().unwrap_or_default() {
            "Transformer" => {}
            "Pooling" => pooling.kind = kind(&folder.join(module.path).join(CONFIG))?,
            "Normalize" => pooling.l2_normalize = true,
            other => return Err(Error::file(&path)(PoolingError::Module(other.to_owned()))),
        }
    }
    Ok(pooling)
}

/// The one pooling mode that a file enables.
fn kind(path: &Path) -> Result<PoolingKind, Error> {
    let config: Value = read_json(path)?;
    let modes = config.as_object().into_iter().flatten();
    let enabled: Vec<&str> = modes
        .filter(|(name, value)| name.starts_with("pooling_mode_") && value.as_bool() == Some(true))
        .map(|(name, _)| &name[..])
        .collect();
    match enabled[..] {
        ["pooling_mode_mean_tokens"] => Ok(PoolingKind::Mean),
        ["pooling_mode_cls_token"] => Ok(PoolingKind::First),
        _ => Err(Error::file(path)(PoolingError::Modes(enabled.join(", ")))),
    }
}
