//! Special tokens as the files beside `tokenizer.json` state them.

use std::path::Path;

use serde_json::Value;

use crate::error::Error;
use crate::import::json_file::read_json;

/// Special tokens and flags of `tokenizer_config.json` and `config.json`.
#[derive(Default)]
pub(super) struct StatedTokens {
    /// Text of BOS.
    pub bos: Option<Value>,
    /// Text or id of EOS.
    pub eos: Option<Value>,
    /// Whether BOS is written before a text.
    pub add_bos: bool,
    /// Whether EOS is written after a text.
    pub add_eos: bool,
}

impl StatedTokens {
    /// Reads the files beside `path`: `tokenizer_config.json` names tokens by their text, `config.json` states the id of EOS (the first of several).
    ///
    /// # Errors
    /// [`Error::File`]: a file is not JSON.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let sidecar = |name: &str| {
            let path = path.with_file_name(name);
            if path.exists() { read_json::<Value>(&path) } else { Ok(Value::Null) }
        };
        let (tokenizer, model) = (sidecar("tokenizer_config.json")?, sidecar("config.json")?);
        let token = |value: &Value| match value {
            Value::Object(token) => token.get("content").cloned(),
            Value::Array(ids) => ids.first().cloned(),
            token => Some(token.clone()).filter(|token| !token.is_null()),
        };
        Ok(StatedTokens {
            bos: token(&tokenizer["bos_token"]),
            eos: token(&tokenizer["eos_token"]).or_else(|| token(&model["eos_token_id"])),
            add_bos: tokenizer["add_bos_token"] == true,
            add_eos: tokenizer["add_eos_token"] == true,
        })
    }
}
