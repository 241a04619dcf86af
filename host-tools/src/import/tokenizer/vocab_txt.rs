//! `vocab.txt`, one piece a line, with the settings that `tokenizer_config.json` beside it states.

use std::path::Path;

use serde::Deserialize;

use super::model::{Scheme, Tokenizer};
use super::wordpiece::WordPieceVocabulary;
use crate::error::Error;
use crate::files;
use crate::import::json_file::settings;

/// The settings' file.
const CONFIG: &str = "tokenizer_config.json";
/// Longest word of BERT's own tokenizer, in characters.
const MAX_WORD_CHARACTERS: u32 = 100;

/// What `tokenizer_config.json` may say; without it BERT's defaults hold.
#[derive(Deserialize)]
#[serde(default)]
struct Config {
    do_lower_case: bool,
    tokenize_chinese_chars: bool,
    strip_accents: Option<bool>,
    unk_token: Special,
    cls_token: Special,
    sep_token: Special,
}

/// A special token by its text, alone or with what else is said of it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Special {
    Text(String),
    Described { content: String },
}

impl Special {
    fn new(text: &str) -> Self {
        Special::Text(text.to_owned())
    }

    fn text(&self) -> &str {
        match self {
            Special::Text(text) | Special::Described { content: text } => text,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            do_lower_case: true,
            tokenize_chinese_chars: true,
            strip_accents: None,
            unk_token: Special::new("[UNK]"),
            cls_token: Special::new("[CLS]"),
            sep_token: Special::new("[SEP]"),
        }
    }
}

/// Reads `file` and the settings beside it.
pub(super) fn wordpiece(file: &Path) -> Result<Tokenizer, Error> {
    let bytes = files::map(file)?;
    let beside = file.with_file_name(CONFIG);
    let config: Config = match beside.exists() {
        true => settings(&beside)?,
        false => Config::default(),
    };
    let scheme = Scheme::WordPiece {
        clean_text: true,
        handle_chinese_chars: config.tokenize_chinese_chars,
        strip_accents: config.strip_accents.unwrap_or(config.do_lower_case),
        lowercase: config.do_lower_case,
        max_word_characters: MAX_WORD_CHARACTERS,
    };
    let source = WordPieceVocabulary {
        pieces: lines(&bytes).map_err(Error::file(file))?,
        bos: config.cls_token.text(),
        eos: config.sep_token.text(),
        unk: config.unk_token.text(),
        scheme,
    };
    source.tokenizer().map_err(Error::file(file))
}

/// The pieces, whose ids are the numbers of their lines.
fn lines(bytes: &[u8]) -> Result<Vec<(&str, u64)>, String> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Err(format!("it is not UTF-8 at byte {}", error.valid_up_to())),
    };
    Ok(text.lines().zip(0..).collect())
}
