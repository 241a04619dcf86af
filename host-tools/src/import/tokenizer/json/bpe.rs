//! BPE from `tokenizer.json`: what byte-level BPE and SentencePiece-style BPE have in common.

use std::path::Path;

use super::file::{File, Model};
use super::special_tokens::SpecialTokenSettings;
use super::{byte_bpe, sentencepiece};
use crate::error::Error;
use crate::import::json_file::settings;
use crate::import::tokenizer::model::Tokenizer;

/// Reads the file.
///
/// # Errors
/// One sentence that names it and what is wrong with it.
pub fn read(path: &Path) -> Result<Tokenizer, Error> {
    let file: File = settings(path)?;
    let stated = SpecialTokenSettings::beside(path)?;
    tokenizer(&file, &stated).map_err(Error::file(path))
}

/// The tokenizer that the file and what lies beside it state.
///
/// # Errors
/// A sentence's end: what is wrong with it.
pub(super) fn tokenizer(file: &File, stated: &SpecialTokenSettings) -> Result<Tokenizer, String> {
    let marked = |mark: &Option<String>| mark.as_ref().is_some_and(|mark| !mark.is_empty());
    let Model { continuing_subword_prefix, end_of_word_suffix, dropout, .. } = &file.model;
    if marked(continuing_subword_prefix) || marked(end_of_word_suffix) || dropout.is_some_and(|p| p > 0.0) {
        return Err("its BPE marks the parts of words, or drops merges by chance, which cannot be packed".to_owned());
    }
    if file.model.byte_fallback { sentencepiece::of_file(file, stated) } else { byte_bpe::of_file(file, stated) }
}
