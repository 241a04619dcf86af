//! WordPiece from `tokenizer.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::TokenizerError;
use super::steps::kind;
use crate::error::Error;
use crate::import::json_file::read_json;
use crate::import::tokenizer::model::{Scheme, Tokenizer};
use crate::import::tokenizer::wordpiece::WordPieceVocabulary;

/// Prefix of pieces inside a word, the only one that the engine has.
const PREFIX: &str = "##";
/// Longest word that the engine splits into pieces, characters.
const WORD_CHARACTERS_MAX: u64 = 100;

/// Fields of the file.
#[derive(Deserialize)]
struct File {
    model: Value,
    normalizer: Value,
    pre_tokenizer: Value,
    post_processor: Value,
    #[serde(default)]
    added_tokens: Vec<AddedPiece>,
}

/// An added token, which must be a piece like any other: the engine does not match it before the text is split.
#[derive(Deserialize)]
struct AddedPiece {
    id: u64,
    content: String,
}

#[derive(Deserialize)]
struct Model {
    vocab: BTreeMap<String, u64>,
    unk_token: String,
    continuing_subword_prefix: String,
    max_input_chars_per_word: u64,
}

#[derive(Deserialize)]
struct Normalizer {
    clean_text: bool,
    handle_chinese_chars: bool,
    strip_accents: Option<bool>,
    lowercase: bool,
}

/// Special tokens before and after one text.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum PostProcessor {
    TemplateProcessing { single: Vec<TemplatePart> },
    BertProcessing { cls: (String, u64), sep: (String, u64) },
}

#[derive(Deserialize)]
enum TemplatePart {
    SpecialToken { id: String },
    Sequence {},
}

/// Reads the file.
///
/// # Errors
/// [`Error::Io`], or [`Error::File`] with a [`TokenizerError`].
pub fn read(path: &Path) -> Result<Tokenizer, Error> {
    let file: File = read_json(path)?;
    tokenizer(file).map_err(Error::file(path))
}

fn tokenizer(file: File) -> Result<Tokenizer, TokenizerError> {
    let model: Model = part(file.model, "model", "WordPiece")?;
    let normalizer: Normalizer = part(file.normalizer, "normalizer", "BertNormalizer")?;
    part::<Value>(file.pre_tokenizer, "pre_tokenizer", "BertPreTokenizer")?;
    if model.continuing_subword_prefix != PREFIX {
        let found = format!("{:?}", model.continuing_subword_prefix);
        return Err(TokenizerError::Unsupported { part: "continuing_subword_prefix", found, supported: "\"##\"" });
    }
    let max_word_characters = match model.max_input_chars_per_word {
        characters @ 1..=WORD_CHARACTERS_MAX => characters as u32,
        found => return Err(TokenizerError::WordLength { found, max: WORD_CHARACTERS_MAX }),
    };
    if let Some(added) = file.added_tokens.iter().find(|added| model.vocab.get(&added.content) != Some(&added.id)) {
        return Err(TokenizerError::AddedTokenId { content: added.content.clone(), id: added.id });
    }
    let (bos, eos) = post_processor(file.post_processor)?;
    let vocabulary = WordPieceVocabulary {
        pieces: model.vocab.iter().map(|(piece, &id)| (piece.as_str(), id)).collect(),
        bos: &bos,
        eos: &eos,
        unk: &model.unk_token,
        scheme: Scheme::WordPiece {
            clean_text: normalizer.clean_text,
            handle_chinese_chars: normalizer.handle_chinese_chars,
            strip_accents: normalizer.strip_accents.unwrap_or(normalizer.lowercase),
            lowercase: normalizer.lowercase,
            max_word_characters,
        },
    };
    Ok(vocabulary.tokenizer()?)
}

/// One part of the file, which must be of the type `expected`.
fn part<T: DeserializeOwned>(value: Value, part: &'static str, expected: &'static str) -> Result<T, TokenizerError> {
    match kind(&value) {
        found if found == expected => {}
        "" => return Err(TokenizerError::UnsupportedForm { part, supported: expected }),
        found => return Err(TokenizerError::Unsupported { part, found: found.to_owned(), supported: expected }),
    }
    serde_json::from_value(value).map_err(|source| TokenizerError::Fields { part, source })
}

/// The tokens before and after one text.
fn post_processor(value: Value) -> Result<(String, String), TokenizerError> {
    let part = "post_processor";
    match serde_json::from_value(value).map_err(|source| TokenizerError::Fields { part, source })? {
        PostProcessor::BertProcessing { cls, sep } => Ok((cls.0, sep.0)),
        PostProcessor::TemplateProcessing { single } => match <[TemplatePart; 3]>::try_from(single) {
            Ok([TemplatePart::SpecialToken { id: bos }, TemplatePart::Sequence {}, TemplatePart::SpecialToken { id: eos }]) => {
                Ok((bos, eos))
            }
            _ => Err(TokenizerError::UnsupportedForm { part, supported: "one token before a text and one after it" }),
        },
    }
}
