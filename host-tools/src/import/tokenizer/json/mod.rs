//! The tokenizer of a model directory: `tokenizer.json` of the `tokenizers` library, `vocab.json` with `merges.txt`, or `vocab.txt`. One file per kind.

mod bpe;
mod byte_bpe;
mod file;
mod parts;
mod sentencepiece;
mod special_tokens;
mod unigram;
mod vocab_json;
mod wordpiece;

pub use wordpiece::wordpiece;

use std::path::Path;

use serde::Deserialize;

use super::model::Tokenizer;
use crate::error::Error;
use crate::import::json_file::settings;

/// The library's file.
const TOKENIZER: &str = "tokenizer.json";

/// What tells the kinds apart.
#[derive(Deserialize)]
struct File {
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    /// The library's first files state no type; of theirs, only BPE has merges.
    merges: Option<serde::de::IgnoredAny>,
}

impl Model {
    fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or(if self.merges.is_some() { "BPE" } else { "" })
    }
}

/// Whether the folder has a tokenizer of a kind that can be packed, but for `vocab.txt`, which only some families read.
///
/// # Errors
/// One sentence that names the file: it is no JSON.
pub fn can_be_packed(folder: &Path) -> Result<bool, Error> {
    let path = folder.join(TOKENIZER);
    if !path.exists() {
        return Ok(vocab_json::is_there(folder));
    }
    let file: File = settings(&path)?;
    match file.model.kind() {
        "BPE" | "WordPiece" => Ok(true),
        "Unigram" => unigram::is_beyond_packing(&path).map(|is| !is),
        _ => Ok(false),
    }
}

/// Reads the tokenizer of a model directory.
///
/// # Errors
/// One sentence that names the file and what is wrong with it, or that its kind cannot be packed.
pub fn open(folder: &Path) -> Result<Tokenizer, Error> {
    let path = folder.join(TOKENIZER);
    if !path.exists() {
        return if vocab_json::is_there(folder) { vocab_json::read(folder) } else { wordpiece(folder) };
    }
    let file: File = settings(&path)?;
    match file.model.kind() {
        "BPE" => bpe::read(&path),
        "Unigram" => unigram::read(&path),
        _ => wordpiece(folder),
    }
}
