//! The tokenizer that a GGUF file holds.

use super::reader::{Gguf, Value};
use crate::import::tokenizer::byte_bpe::byte_bpe;
use crate::import::tokenizer::charsmap::{Charmap, charmap};
use crate::import::tokenizer::model::{Tokenizer, UnigramSpaces};
use crate::import::tokenizer::sentencepiece::sentencepiece;
use crate::import::tokenizer::token_list::{TokenList, TokenType};
use crate::import::tokenizer::unigram::unigram;

/// Reads it; `None` for kinds that cannot be packed from these files (WordPiece).
///
/// # Errors
/// A sentence's eos: what is wrong with it.
pub fn read(gguf: &Gguf<'_>) -> Result<Option<Tokenizer>, String> {
    let key = |rest: &str| format!("tokenizer.ggml.{rest}");
    let Some(model) = gguf.text(&key("model"))? else { return Ok(None) };
    match model {
        "gpt2" => {
            let merges = texts(gguf, &key("merges"))?;
            byte_bpe(list(gguf)?, &merges, gguf.text(&key("pre"))?.unwrap_or("default")).map(Some)
        }
        "llama" => {
            let scores = scores(gguf, &key("scores"))?;
            sentencepiece(list(gguf)?, &scores, gguf.flag(&key("add_space_prefix"))?.unwrap_or(true)).map(Some)
        }
        "t5" => {
            unigram(list(gguf)?, &scores(gguf, &key("scores"))?, characters(gguf, &key("precompiled_charsmap"))?, spaces(gguf)?).map(Some)
        }
        _ => Ok(None),
    }
}

fn scores(gguf: &Gguf<'_>, key: &str) -> Result<Vec<f32>, String> {
    let scores = gguf.array(key)?.ok_or_else(|| format!("its metadata lacks {key}"))?;
    let score = |value| if let Value::Float(score) = value { Some(score as f32) } else { None };
    scores.values().map(score).collect::<Option<_>>().ok_or_else(|| "a score of its tokens is no float".to_owned())
}

/// The map of characters, as SentencePiece has it.
fn characters(gguf: &Gguf<'_>, key: &str) -> Result<Charmap, String> {
    let Some(bytes) = gguf.array(key)? else { return Ok(Charmap::new()) };
    let byte = |value| match value {
        Value::Unsigned(byte) => u8::try_from(byte).ok(),
        Value::Signed(byte) => i8::try_from(byte).ok().map(i8::cast_unsigned),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = bytes.values().map(byte).collect();
    charmap(&bytes.ok_or_else(|| format!("its {key} holds more than bytes"))?)
}

/// What a Unigram does to spaces: as the `tokenizers` library writes it for files that say the same.
fn spaces(gguf: &Gguf<'_>) -> Result<UnigramSpaces, String> {
    let flag = |rest: &str, default: bool| gguf.flag(&format!("tokenizer.ggml.{rest}")).map(|flag| flag.unwrap_or(default));
    if !flag("escape_whitespaces", true)? || flag("treat_whitespace_as_suffix", false)? {
        return Err("its tokenizer does not write U+2581 before words, which is all that can be packed".to_owned());
    }
    let (extra, add_dummy_prefix) = (flag("remove_extra_whitespaces", false)?, flag("add_space_prefix", false)?);
    Ok(UnigramSpaces { trim_end: extra, collapse_spaces: extra, add_dummy_prefix, split_at_spaces: true, ..UnigramSpaces::default() })
}

fn list(gguf: &Gguf<'_>) -> Result<TokenList, String> {
    let key = |rest: &str| format!("tokenizer.ggml.{rest}");
    let kind = |value| match value {
        Value::Signed(kind) => i32::try_from(kind).ok().and_then(TokenType::from_gguf),
        Value::Unsigned(kind) => i32::try_from(kind).ok().and_then(TokenType::from_gguf),
        _ => None,
    };
    let types = gguf.array(&key("token_type"))?.map(|types| types.values().map(kind).collect::<Option<Vec<TokenType>>>());
    Ok(TokenList {
        tokens: texts(gguf, &key("tokens"))?,
        types: types.unwrap_or(Some(Vec::new())).ok_or("its tokenizer.ggml.token_type holds an unknown type")?,
        bos: gguf.size(&key("bos_token_id"))?,
        eos: gguf.size(&key("eos_token_id"))?,
        unk: gguf.size(&key("unknown_token_id"))?,
        add_bos: gguf.flag(&key("add_bos_token"))?,
        add_eos: gguf.flag(&key("add_eos_token"))?,
    })
}

fn texts(gguf: &Gguf<'_>, key: &str) -> Result<Vec<String>, String> {
    let array = gguf.array(key)?.ok_or_else(|| format!("its metadata lacks {key}"))?;
    let texts = array.texts().ok_or_else(|| format!("its {key} holds more than texts"))?;
    Ok(texts.into_iter().map(str::to_owned).collect())
}
