//! What a sentence-transformers folder says about its embedding: `modules.json`, and the files that it names.

use std::path::Path;

use attoformer::image::Pooling as Kind;
use serde::Deserialize;

use super::file_names::CONFIG;
use crate::error::Error;
use crate::import::json_file::{fields, json};

/// How rows become an embedding.
pub struct Pooling {
    /// Mean, or the first row.
    pub kind: Kind,
    /// Whether it is brought to length 1.
    pub normalized: bool,
    /// Longest sequence that the model was made for, where that is stated.
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

/// Reads how `folder` pools; a folder that does not say takes the mean and leaves its length.
///
/// # Errors
/// One sentence that names the file and what is wrong with it.
pub fn read(folder: &Path) -> Result<Pooling, Error> {
    let mut pooling = Pooling { kind: Kind::Mean, normalized: false, context: None };
    let sequence = folder.join("sentence_bert_config.json");
    if sequence.exists() {
        pooling.context = fields::<Sequence>(json(&sequence)?).map_err(Error::file(&sequence))?.max_seq_length;
    }
    let path = folder.join("modules.json");
    if !path.exists() {
        return Ok(pooling);
    }
    for module in fields::<Vec<Module>>(json(&path)?).map_err(Error::file(&path))? {
        match module.kind.rsplit('.').next().unwrap_or_default() {
            "Transformer" => {}
            "Pooling" => pooling.kind = kind(&folder.join(module.path).join(CONFIG))?,
            "Normalize" => pooling.normalized = true,
            other => return Err(Error::file(&path)(format!("it asks for a module {other}, which cannot be run yet"))),
        }
    }
    Ok(pooling)
}

/// The one pooling mode that a file switches on.
fn kind(path: &Path) -> Result<Kind, Error> {
    let config = json(path)?;
    let modes = config.as_object().into_iter().flatten();
    let on: Vec<&str> = modes
        .filter(|(name, value)| name.starts_with("pooling_mode_") && value.as_bool() == Some(true))
        .map(|(name, _)| &name[..])
        .collect();
    match on[..] {
        ["pooling_mode_mean_tokens"] => Ok(Kind::Mean),
        ["pooling_mode_cls_token"] => Ok(Kind::First),
        _ => Err(Error::file(path)(format!("it asks for [{}]; what can be run is one of mean and CLS pooling", on.join(", ")))),
    }
}
