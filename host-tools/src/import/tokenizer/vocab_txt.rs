//! WordPiece from `vocab.txt`, one piece per line, with the settings of `tokenizer_config.json` beside it.

use std::path::Path;

use serde::Deserialize;

use super::model::{Scheme, Tokenizer};
use super::wordpiece::WordPieceVocabulary;
use crate::error::Error;
use crate::files;
use crate::import::json_file::read_json;

/// File with the settings.
const CONFIG: &str = "tokenizer_config.json";
/// Longest word of BERT's own tokenizer, characters.
const MAX_WORD_CHARACTERS: u32 = 100;

/// Fields of `tokenizer_config.json`; BERT's defaults without the file.
#[derive(Deserialize)]
#[serde(default)]
struct Config {
    do_lower_case: bool,
    tokenize_chinese_chars: bool,
    strip_accents: Option<bool>,
    unk_token: SpecialToken,
    cls_token: SpecialToken,
    sep_token: SpecialToken,
}

/// A special token: its text, or an object with its text.
#[derive(Deserialize)]
#[serde(untagged)]
enum SpecialToken {
    Text(String),
    Object { content: String },
}

impl SpecialToken {
    fn new(text: &str) -> Self {
        SpecialToken::Text(text.to_owned())
    }

    fn text(&self) -> &str {
        match self {
            SpecialToken::Text(text) | SpecialToken::Object { content: text } => text,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            do_lower_case: true,
            tokenize_chinese_chars: true,
            strip_accents: None,
            unk_token: SpecialToken::new("[UNK]"),
            cls_token: SpecialToken::new("[CLS]"),
            sep_token: SpecialToken::new("[SEP]"),
        }
    }
}

/// Reads `file` and the settings beside it.
///
/// # Errors
/// [`Error::File`]: the text is not UTF-8, the settings are not JSON, or the vocabulary cannot be packed.
pub(super) fn read(file: &Path) -> Result<Tokenizer, Error> {
    let text = files::text(file)?;
    let settings = file.with_file_name(CONFIG);
    let config: Config = if settings.exists() { read_json(&settings)? } else { Config::default() };
    let vocabulary = WordPieceVocabulary {
        // The id of a piece is the number of its line.
        pieces: text.lines().zip(0..).collect(),
        bos: config.cls_token.text(),
        eos: config.sep_token.text(),
        unk: config.unk_token.text(),
        scheme: Scheme::WordPiece {
            clean_text: true,
            handle_chinese_chars: config.tokenize_chinese_chars,
            strip_accents: config.strip_accents.unwrap_or(config.do_lower_case),
            lowercase: config.do_lower_case,
            max_word_characters: MAX_WORD_CHARACTERS,
        },
    };
    vocabulary.tokenizer().map_err(Error::file(file))
}
