//! WordPiece from `tokenizer.json`, as the `tokenizers` library writes it, or from `vocab.txt`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Error;
use crate::import::json_file::settings;
use crate::import::tokenizer::model::{Scheme, Tokenizer};
use crate::import::tokenizer::vocab_txt;
use crate::import::tokenizer::wordpiece::WordPieceVocabulary;

/// The library's file.
const TOKENIZER: &str = "tokenizer.json";
/// The older one, of pieces only.
const VOCABULARY: &str = "vocab.txt";
/// What the pieces inside a word begin with. The engine knows no other mark.
const PREFIX: &str = "##";
const WORD_CHARACTERS_MAX: u64 = 100;

/// Reads the WordPiece vocabulary of a model directory: `tokenizer.json`, or else `vocab.txt`.
///
/// # Errors
/// One sentence that names the file and what is wrong with it.
pub fn wordpiece(dir: &Path) -> Result<Tokenizer, Error> {
    let (json, text) = (dir.join(TOKENIZER), dir.join(VOCABULARY));
    if json.exists() {
        return of_json(&json);
    }
    if text.exists() {
        return vocab_txt::wordpiece(&text);
    }
    Err(Error::file(dir)(format!("it has neither a {TOKENIZER} nor a {VOCABULARY}")))
}

/// What is read of `tokenizer.json`.
#[derive(Deserialize)]
struct File {
    model: Value,
    normalizer: Value,
    pre_tokenizer: Value,
    post_processor: Value,
    #[serde(default)]
    added_tokens: Vec<AddedEntry>,
}

/// A token that the library matches before all others. Here it must be a piece like any other.
#[derive(Deserialize)]
struct AddedEntry {
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

/// What stands around one text.
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

fn of_json(path: &Path) -> Result<Tokenizer, Error> {
    let file: File = settings(path)?;
    of_file(file).map_err(Error::file(path))
}

fn of_file(file: File) -> Result<Tokenizer, String> {
    let model: Model = part(file.model, "model", "WordPiece")?;
    let normalizer: Normalizer = part(file.normalizer, "normalizer", "BertNormalizer")?;
    part::<Value>(file.pre_tokenizer, "pre_tokenizer", "BertPreTokenizer")?;
    if model.continuing_subword_prefix != PREFIX {
        return Err(format!("its pieces inside a word begin with {:?}, not with {PREFIX:?}", model.continuing_subword_prefix));
    }
    let most = Some(model.max_input_chars_per_word).filter(|most| (1..=WORD_CHARACTERS_MAX).contains(most));
    let most = most.ok_or_else(|| {
        format!("its words have up to {} characters, 1 to {WORD_CHARACTERS_MAX} can be packed", model.max_input_chars_per_word)
    })?;
    if let Some(added) = file.added_tokens.iter().find(|added| model.vocab.get(&added.content) != Some(&added.id)) {
        return Err(format!("its added token {:?} is not token {} of its vocabulary", added.content, added.id));
    }
    let (bos, eos) = around_one_text(file.post_processor)?;
    let source = WordPieceVocabulary {
        pieces: model.vocab.iter().map(|(piece, &id)| (piece.as_str(), id)).collect(),
        bos: &bos,
        eos: &eos,
        unk: &model.unk_token,
        scheme: Scheme::WordPiece {
            clean_text: normalizer.clean_text,
            handle_chinese_chars: normalizer.handle_chinese_chars,
            strip_accents: normalizer.strip_accents.unwrap_or(normalizer.lowercase),
            lowercase: normalizer.lowercase,
            max_word_characters: most as u32,
        },
    };
    source.tokenizer()
}

/// One part of the file, whose type must be the one that can be packed.
fn part<T: DeserializeOwned>(value: Value, name: &str, kind: &str) -> Result<T, String> {
    match value.get("type").and_then(Value::as_str) {
        Some(found) if found == kind => {}
        Some(found) => return Err(format!("its {name} is of type {found}, only {kind} can be read")),
        None => return Err(format!("its {name} states no type, {kind} is wanted")),
    }
    serde_json::from_value(value).map_err(|error| format!("its {name} cannot be read: {error}"))
}

/// The tokens before and behind one text.
fn around_one_text(value: Value) -> Result<(String, String), String> {
    let processor = serde_json::from_value(value).map_err(|error| format!("its post_processor cannot be read: {error}"))?;
    match processor {
        PostProcessor::BertProcessing { cls, sep } => Ok((cls.0, sep.0)),
        PostProcessor::TemplateProcessing { single } => match <[TemplatePart; 3]>::try_from(single) {
            Ok([TemplatePart::SpecialToken { id: bos }, TemplatePart::Sequence {}, TemplatePart::SpecialToken { id: eos }]) => {
                Ok((bos, eos))
            }
            _ => Err("its post_processor does not put one token before a text and one behind it".to_owned()),
        },
    }
}
