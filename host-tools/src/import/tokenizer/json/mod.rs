//! Tokenizer of a model directory: `tokenizer.json` of the `tokenizers` library, `vocab.json` with `merges.txt`, or `vocab.txt`. One file per
//! tokenizer kind.

mod added_token;
mod bpe;
mod byte_bpe;
mod error;
mod file;
mod post_processor;
mod sentencepiece;
mod special_tokens;
mod steps;
mod unigram;
mod vocab_json;
mod wordpiece;

pub use error::TokenizerError;

use std::path::Path;

use serde::Deserialize;

use super::model::Tokenizer;
use super::vocab_txt;
use crate::error::Error;
use crate::import::json_file::read_json;

/// The library's file.
const TOKENIZER: &str = "tokenizer.json";
/// The older file of a WordPiece, with its pieces only.
const VOCABULARY: &str = "vocab.txt";

/// The fields that tell the kind of tokenizer.
#[derive(Deserialize)]
struct File {
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    /// The library's first files state no type; among those only BPE has merges.
    merges: Option<serde::de::IgnoredAny>,
}

impl Model {
    fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or(if self.merges.is_some() { "BPE" } else { "" })
    }
}

/// A directory without a tokenizer.
#[derive(Debug, thiserror::Error)]
#[error("the folder has no tokenizer: add its {TOKENIZER} or {VOCABULARY}")]
struct NoTokenizer;

/// Whether the folder has a tokenizer that can be packed; `vocab.txt`, which only some families read, does not count.
///
/// # Errors
/// [`Error::Io`], or [`Error::File`] if `tokenizer.json` is not JSON.
pub fn can_be_packed(folder: &Path) -> Result<bool, Error> {
    let path = folder.join(TOKENIZER);
    if !path.exists() {
        return Ok(vocab_json::exists(folder));
    }
    let file: File = read_json(&path)?;
    match file.model.kind() {
        "BPE" | "WordPiece" => Ok(true),
        "Unigram" => unigram::has_unsupported_normalizer(&path).map(|unsupported| !unsupported),
        _ => Ok(false),
    }
}

/// Reads the tokenizer of a model directory.
///
/// # Errors
/// [`Error::Io`], or [`Error::File`] with a [`TokenizerError`].
pub fn open(folder: &Path) -> Result<Tokenizer, Error> {
    let path = folder.join(TOKENIZER);
    if !path.exists() {
        return if vocab_json::exists(folder) { vocab_json::read(folder) } else { wordpiece(folder) };
    }
    let file: File = read_json(&path)?;
    match file.model.kind() {
        "BPE" => bpe::read(&path),
        "Unigram" => unigram::read(&path),
        _ => wordpiece(folder),
    }
}

/// Reads the WordPiece tokenizer of a model directory from `tokenizer.json`, or else from `vocab.txt`.
///
/// # Errors
/// [`Error::Io`], or [`Error::File`] with a [`TokenizerError`].
pub fn wordpiece(folder: &Path) -> Result<Tokenizer, Error> {
    let (json, text) = (folder.join(TOKENIZER), folder.join(VOCABULARY));
    if json.exists() {
        return wordpiece::read(&json);
    }
    if text.exists() {
        return vocab_txt::read(&text);
    }
    Err(Error::file(folder)(NoTokenizer))
}
