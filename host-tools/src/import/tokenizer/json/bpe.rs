//! BPE from `tokenizer.json`: byte-level BPE, or SentencePiece BPE with byte fallback.

use std::path::Path;

use super::error::TokenizerError;
use super::file::{File, Model};
use super::special_tokens::StatedTokens;
use super::{byte_bpe, sentencepiece};
use crate::error::Error;
use crate::import::json_file::read_json;
use crate::import::tokenizer::model::Tokenizer;

/// Reads the file.
///
/// # Errors
/// [`Error::Io`], or [`Error::File`] with a [`TokenizerError`].
pub fn read(path: &Path) -> Result<Tokenizer, Error> {
    let file: File = read_json(path)?;
    let stated = StatedTokens::read(path)?;
    tokenizer(&file, &stated).map_err(Error::file(path))
}

/// The tokenizer of the file and of the files beside it.
///
/// # Errors
/// [`TokenizerError`] with the first part that is not supported.
pub(super) fn tokenizer(file: &File, stated: &StatedTokens) -> Result<Tokenizer, TokenizerError> {
    let is_set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let Model { continuing_subword_prefix, end_of_word_suffix, dropout, .. } = &file.model;
    if is_set(continuing_subword_prefix) || is_set(end_of_word_suffix) || dropout.is_some_and(|p| p > 0.0) {
        return Err(TokenizerError::BpeOptions);
    }
    if file.model.byte_fallback { sentencepiece::tokenizer(file, stated) } else { byte_bpe::tokenizer(file, stated) }
}
