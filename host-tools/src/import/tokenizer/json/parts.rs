//! Parts of `tokenizer.json` that files of several kinds have.

use serde::Deserialize;
use serde_json::Value;

use crate::import::tokenizer::model;

/// A token that a text may spell out.
#[derive(Clone, Default, Deserialize)]
pub(super) struct AddedEntry {
    #[serde(default)]
    pub id: u32,
    pub content: String,
    #[serde(default)]
    pub special: bool,
    #[serde(default)]
    pub lstrip: bool,
    #[serde(default)]
    pub rstrip: bool,
    #[serde(default)]
    pub single_word: bool,
    #[serde(default)]
    pub normalized: bool,
}

impl AddedEntry {
    /// As a packer wants it.
    pub fn to_pack(&self) -> Result<model::AddedToken, String> {
        if self.single_word {
            return Err(format!("its added token {:?} is matched as a single word only, which cannot be packed", self.content));
        }
        Ok(model::AddedToken {
            lstrip: self.lstrip,
            rstrip: self.rstrip,
            normalized: self.normalized,
            ..model::AddedToken::new(self.id, self.special)
        })
    }
}

/// The tokens that a post-processor writes, `None` for the text itself; nothing where it writes none.
pub(super) fn names_around(processor: &Value) -> Option<Vec<Option<String>>> {
    match kind(processor) {
        "TemplateProcessing" => {
            let parts = processor["single"].as_array().cloned().unwrap_or_default();
            Some(parts.iter().map(|part| part["SpecialToken"]["id"].as_str().map(str::to_owned)).collect())
        }
        "RobertaProcessing" | "BertProcessing" => {
            let name = |field: &str| processor[field][0].as_str().map(str::to_owned);
            Some(vec![name("cls"), None, name("sep")])
        }
        _ => None,
    }
}

/// The steps of a part of the file: those of a sequence, or the one that it is, or none.
pub(super) fn steps(value: &Value, of_sequence: &str) -> Vec<Value> {
    match kind(value) {
        "" => Vec::new(),
        "Sequence" => value[of_sequence].as_array().cloned().unwrap_or_default(),
        _ => vec![value.clone()],
    }
}

/// The type of a part of the file; nothing for a part that is not there.
pub(super) fn kind(value: &Value) -> &str {
    value.get("type").and_then(Value::as_str).unwrap_or_default()
}
