//! BPE from `tokenizer.json`: what byte-level BPE and SentencePiece-style BPE have in common.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::parts::{Added, kind, names_around};
use super::wordpiece::settings;
use super::{byte_bpe, sentencepiece};
use crate::error::Error;
use crate::import::tokenizer::{self, Tokenizer};

/// What is read of the file.
#[derive(Deserialize)]
pub(super) struct File {
    pub model: Model,
    #[serde(default)]
    pub normalizer: Value,
    #[serde(default)]
    pub pre_tokenizer: Value,
    #[serde(default)]
    pub post_processor: Value,
    #[serde(default)]
    pub added_tokens: Vec<Added>,
}

#[derive(Default, Deserialize)]
pub(super) struct Model {
    pub vocab: BTreeMap<String, u32>,
    pub merges: Vec<Pair>,
    #[serde(default)]
    pub unk_token: Option<String>,
    #[serde(default)]
    pub byte_fallback: bool,
    #[serde(default)]
    pub ignore_merges: bool,
    #[serde(default)]
    pub dropout: Option<f64>,
    #[serde(default)]
    pub continuing_subword_prefix: Option<String>,
    #[serde(default)]
    pub end_of_word_suffix: Option<String>,
}

/// A merge, as older and newer files write it.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Pair {
    Text(String),
    Parts([String; 2]),
}

/// Tokens that models of these kinds end a text with, where no file beside says which.
const ENDS: [&str; 6] = ["<|endoftext|>", "<|im_end|>", "<|end_of_text|>", "</s>", "<eos>", "<|eot_id|>"];

/// Reads the file.
///
/// # Errors
/// One sentence that names it and what is wrong with it.
pub fn read(path: &Path) -> Result<Tokenizer, Error> {
    let file: File = settings(path)?;
    let stated = Stated::beside(path)?;
    file.tokenizer(&stated).map_err(Error::file(path))
}

/// What the files beside state of the tokens around a text.
#[derive(Default)]
pub(super) struct Stated {
    begin: Option<Value>,
    end: Option<Value>,
    adds_begin: bool,
    adds_end: bool,
}

impl Stated {
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
        Ok(Stated {
            begin: token(&tokenizer["bos_token"]),
            end: token(&tokenizer["eos_token"]).or_else(|| token(&model["eos_token_id"])),
            adds_begin: tokenizer["add_bos_token"] == true,
            adds_end: tokenizer["add_eos_token"] == true,
        })
    }
}

impl File {
    /// The tokenizer that the file and what lies beside it state.
    ///
    /// # Errors
    /// A sentence's end: what is wrong with it.
    pub fn tokenizer(&self, stated: &Stated) -> Result<Tokenizer, String> {
        let marked = |mark: &Option<String>| mark.as_ref().is_some_and(|mark| !mark.is_empty());
        let Model { continuing_subword_prefix, end_of_word_suffix, dropout, .. } = &self.model;
        if marked(continuing_subword_prefix) || marked(end_of_word_suffix) || dropout.is_some_and(|p| p > 0.0) {
            return Err("its BPE marks the parts of words, or drops merges by chance, which cannot be packed".to_owned());
        }
        if self.model.byte_fallback { sentencepiece::of_file(self, stated) } else { byte_bpe::of_file(self, stated) }
    }

    /// Pieces by id, the added tokens among them.
    pub fn tokens(&self) -> Result<Vec<String>, String> {
        let other = |added: &&Added| self.model.vocab.get(&added.content).is_some_and(|&id| id != added.id);
        if let Some(added) = self.added_tokens.iter().find(other) {
            return Err(format!("its added token {:?} is not token {} of its vocabulary", added.content, added.id));
        }
        let listed = self.model.vocab.iter().map(|(piece, &id)| (id, piece));
        let by_id: BTreeMap<u32, &String> = listed.chain(self.added_tokens.iter().map(|added| (added.id, &added.content))).collect();
        let mut tokens = Vec::new();
        for (id, piece) in by_id {
            if id as usize != tokens.len() {
                return Err(format!("none of its pieces has the id {}, the next is {id}", tokens.len()));
            }
            tokens.push(piece.clone());
        }
        Ok(tokens)
    }

    /// The pairs that merge, the first ones first.
    pub fn merges(&self) -> Result<Vec<(&str, &str)>, String> {
        let merges = self.model.merges.iter().map(|merge| match merge {
            Pair::Text(text) => tokenizer::pair(text),
            Pair::Parts([left, right]) => Ok((&left[..], &right[..])),
        });
        merges.collect()
    }
}

/// The tokens around a text.
pub(super) struct Around {
    /// The token that begins texts.
    pub begin: Option<u32>,
    /// The token that ends texts.
    pub end: u32,
    /// Whether the first is written before every text.
    pub adds_begin: bool,
    /// Whether the last is written behind every text.
    pub adds_end: bool,
}

impl Around {
    /// What the post-processor writes, one token before a text, perhaps one behind it; where there is none, what is stated beside the file.
    pub fn of_file(file: &File, tokens: &[String], stated: &Stated) -> Result<Self, String> {
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
        let nothing = Around { begin, end, adds_begin: false, adds_end: false };
        let processors = match kind(&file.post_processor) {
            "Sequence" => file.post_processor["processors"].as_array().cloned().unwrap_or_default(),
            _ => vec![file.post_processor.clone()],
        };
        let Some(names) = processors.iter().find_map(names_around) else {
            return Ok(Around { adds_begin: stated.adds_begin && begin.is_some(), adds_end: stated.adds_end, ..nothing });
        };
        match &names[..] {
            [Some(begin), None] => Ok(Around { begin: Some(id(begin)?), adds_begin: true, ..nothing }),
            [Some(begin), None, Some(end)] => Ok(Around { begin: Some(id(begin)?), end: id(end)?, adds_begin: true, adds_end: true }),
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
