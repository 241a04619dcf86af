//! Tokenizer of a GGUF file.

use super::error::{ContainerError, GgufError};
use super::reader::{Gguf, Value};
use crate::import::tokenizer::byte_bpe::byte_bpe;
use crate::import::tokenizer::charsmap::{Charmap, parse_charsmap};
use crate::import::tokenizer::model::{Tokenizer, UnigramSpaces};
use crate::import::tokenizer::sentencepiece::sentencepiece;
use crate::import::tokenizer::token_list::{TokenList, TokenType};
use crate::import::tokenizer::unigram::unigram;

/// Reads the tokenizer; `None` for kinds that cannot be packed from GGUF files (WordPiece).
///
/// # Errors
/// [`GgufError`] with the first entry that fails.
pub fn read(gguf: &Gguf<'_>) -> Result<Option<Tokenizer>, GgufError> {
    let Some(model) = gguf.text(&key("model"))? else { return Ok(None) };
    let tokenizer = match model {
        "gpt2" => {
            let merges = strings(gguf, &key("merges"))?;
            byte_bpe(token_list(gguf)?, &merges, gguf.text(&key("pre"))?.unwrap_or("default"))?
        }
        "llama" => {
            let scores = scores(gguf)?;
            sentencepiece(token_list(gguf)?, &scores, gguf.flag(&key("add_space_prefix"))?.unwrap_or(true))?
        }
        "t5" => unigram(token_list(gguf)?, &scores(gguf)?, charmap(gguf)?, spaces(gguf)?)?,
        _ => return Ok(None),
    };
    Ok(Some(tokenizer))
}

/// A metadata key of the tokenizer.
fn key(name: &str) -> String {
    format!("tokenizer.ggml.{name}")
}

fn scores(gguf: &Gguf<'_>) -> Result<Vec<f32>, ContainerError> {
    let key = key("scores");
    let score = |value| if let Value::Float(score) = value { Some(score as f32) } else { None };
    gguf.required_array(&key)?
        .values()
        .map(score)
        .collect::<Option<_>>()
        .ok_or(ContainerError::ValueType { key, expected: "a list of floats" })
}

/// The charsmap, in SentencePiece's format.
fn charmap(gguf: &Gguf<'_>) -> Result<Charmap, GgufError> {
    let key = key("precompiled_charsmap");
    let Some(bytes) = gguf.array(&key)? else { return Ok(Charmap::new()) };
    let byte = |value| match value {
        Value::Unsigned(byte) => u8::try_from(byte).ok(),
        Value::Signed(byte) => i8::try_from(byte).ok().map(i8::cast_unsigned),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = bytes.values().map(byte).collect();
    Ok(parse_charsmap(&bytes.ok_or(ContainerError::ValueType { key, expected: "a list of bytes" })?)?)
}

/// Treatment of spaces by a Unigram: as the `tokenizers` library writes it for files with the same settings.
fn spaces(gguf: &Gguf<'_>) -> Result<UnigramSpaces, GgufError> {
    let flag = |name: &str, default: bool| gguf.flag(&key(name)).map(|flag| flag.unwrap_or(default));
    if !flag("escape_whitespaces", true)? || flag("treat_whitespace_as_suffix", false)? {
        return Err(GgufError::Whitespace);
    }
    let (extra, add_dummy_prefix) = (flag("remove_extra_whitespaces", false)?, flag("add_space_prefix", false)?);
    Ok(UnigramSpaces { trim_end: extra, collapse_spaces: extra, add_dummy_prefix, split_at_spaces: true, ..UnigramSpaces::default() })
}

fn token_list(gguf: &Gguf<'_>) -> Result<TokenList, ContainerError> {
    let kind = |value| match value {
        Value::Signed(kind) => i32::try_from(kind).ok().and_then(TokenType::from_gguf),
        Value::Unsigned(kind) => i32::try_from(kind).ok().and_then(TokenType::from_gguf),
        _ => None,
    };
    let types_key = key("token_type");
    let types = gguf.array(&types_key)?.map(|types| types.values().map(kind).collect::<Option<Vec<TokenType>>>());
    let unknown_type = ContainerError::ValueType { key: types_key, expected: "a list of known token types" };
    Ok(TokenList {
        tokens: strings(gguf, &key("tokens"))?,
        types: types.unwrap_or(Some(Vec::new())).ok_or(unknown_type)?,
        bos: gguf.size(&key("bos_token_id"))?,
        eos: gguf.size(&key("eos_token_id"))?,
        unk: gguf.size(&key("unknown_token_id"))?,
        add_bos: gguf.flag(&key("add_bos_token"))?,
        add_eos: gguf.flag(&key("add_eos_token"))?,
    })
}

fn strings(gguf: &Gguf<'_>, key: &str) -> Result<Vec<String>, ContainerError> {
    let mistyped = || ContainerError::ValueType { key: key.to_owned(), expected: "a list of strings" };
    let texts = gguf.required_array(key)?.texts().ok_or_else(mistyped)?;
    Ok(texts.into_iter().map(str::to_owned).collect())
}
