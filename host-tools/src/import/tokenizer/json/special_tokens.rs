//! The special tokens around a text, as `tokenizer.json` and the files beside it state them.

use std::path::Path;

use serde_json::Value;

use super::file::File;
use super::parts::{kind, names_around};
use crate::error::Error;
use crate::import::json_file::settings;

/// Tokens that models of these kinds end a text with, where no file beside says which.
const ENDS: [&str; 6] = ["<|endoftext|>", "<|im_end|>", "<|end_of_text|>", "</s>", "<eos>", "<|eot_id|>"];

/// What the files beside state of the tokens around a text.
#[derive(Default)]
pub(super) struct SpecialTokenSettings {
    begin: Option<Value>,
    end: Option<Value>,
    add_bos: bool,
    add_eos: bool,
}

impl SpecialTokenSettings {
    /// Reads `tokenizer_config.json`, which names tokens by their text, and `config.json`, which states the id of the end token (the first of several).
    ///
    /// # Errors
    /// One sentence that names the file: it is no JSON.
    pub fn beside(path: &Path) -> Result<Self, Error> {
        let beside = |name: &str| {
            let path = path.with_file_name(name);
            if path.exists() { settings::<Value>(&path) } else { Ok(Value::Null) }
        };
        let (tokenizer, model) = (beside("tokenizer_config.json")?, beside("config.json")?);
        let token = |value: &Value| match value {
            Value::Object(token) => token.get("content").cloned(),
            Value::Array(ids) => ids.first().cloned(),
            token => Some(token.clone()).filter(|token| !token.is_null()),
        };
        Ok(SpecialTokenSettings {
            begin: token(&tokenizer["bos_token"]),
            end: token(&tokenizer["eos_token"]).or_else(|| token(&model["eos_token_id"])),
            add_bos: tokenizer["add_bos_token"] == true,
            add_eos: tokenizer["add_eos_token"] == true,
        })
    }
}

/// The tokens around a text.
pub(super) struct PostProcessor {
    /// The token that begins texts.
    pub begin: Option<u32>,
    /// The token that ends texts.
    pub end: u32,
    /// Whether the first is written before every text.
    pub add_bos: bool,
    /// Whether the last is written behind every text.
    pub add_eos: bool,
}

impl PostProcessor {
    /// What the post-processor writes, one token before a text, perhaps one behind it; where there is none, what is stated beside the file.
    pub fn of_file(file: &File, tokens: &[String], stated: &SpecialTokenSettings) -> Result<Self, String> {
        let find = |name: &str| tokens.iter().position(|token| token == name).map(|id| id as u32);
        // A piece that texts are merged to may spell the same.
        let special = |name: &str| file.added_tokens.iter().find(|added| added.special && added.content == name).map(|added| added.id);
        let id = |name: &str| find(name).ok_or_else(|| format!("its token {name:?} is not in its vocabulary"));
        let end = match &stated.end {
            Some(Value::String(name)) => id(name)?,
            Some(number) => {
                let token = number.as_u64().filter(|&token| token < tokens.len() as u64);
                token.ok_or_else(|| format!("its end token {number} is not one of its {} tokens", tokens.len()))? as u32
            }
            None => ENDS
                .iter()
                .find_map(|name| special(name))
                .or_else(|| ENDS.iter().find_map(|name| find(name)))
                .ok_or("none of its tokens is one that ends a text, such as <|endoftext|>")?,
        };
        let begin = stated.begin.as_ref().and_then(Value::as_str).and_then(find);
        let nothing = PostProcessor { begin, end, add_bos: false, add_eos: false };
        let processors = match kind(&file.post_processor) {
            "Sequence" => file.post_processor["processors"].as_array().cloned().unwrap_or_default(),
            _ => vec![file.post_processor.clone()],
        };
        let Some(names) = processors.iter().find_map(names_around) else {
            return Ok(PostProcessor { add_bos: stated.add_bos && begin.is_some(), add_eos: stated.add_eos, ..nothing });
        };
        match &names[..] {
            [Some(begin), None] => Ok(PostProcessor { begin: Some(id(begin)?), add_bos: true, ..nothing }),
            [Some(begin), None, Some(end)] => Ok(PostProcessor { begin: Some(id(begin)?), end: id(end)?, add_bos: true, add_eos: true }),
            // Else a transcript's prompt, which the model's own decoding writes.
            [None] | [Some(_), Some(_), .., None, Some(_)] => Ok(nothing),
            _ => Err("its post_processor puts something around a text that cannot be packed".to_owned()),
        }
    }

    /// Begin, end and unknown token; where one is not there the end token stands for it.
    pub fn marks(&self, unknown: Option<u32>) -> [u32; 3] {
        [self.begin.unwrap_or(self.end), self.end, unknown.unwrap_or(self.end)]
    }
}
