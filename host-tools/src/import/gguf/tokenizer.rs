//! The tokenizer that a GGUF file holds.

use super::reader::{Gguf, Value};
use crate::import::tokenizer::{TokenList, TokenType, Tokenizer, byte_bpe, sentencepiece};

/// Reads it; `None` for kinds that cannot be packed from these files (WordPiece, T5's Unigram with its map of characters).
///
/// # Errors
/// A sentence's end: what is wrong with it.
pub fn read(gguf: &Gguf<'_>) -> Result<Option<Tokenizer>, String> {
    let key = |rest: &str| format!("tokenizer.ggml.{rest}");
    let Some(model) = gguf.text(&key("model"))? else { return Ok(None) };
    match model {
        "gpt2" => {
            let merges = texts(gguf, &key("merges"))?;
            byte_bpe(list(gguf)?, &merges, gguf.text(&key("pre"))?.unwrap_or("default")).map(Some)
        }
        "llama" => {
            let scores = gguf.array(&key("scores"))?.ok_or("its metadata lacks tokenizer.ggml.scores")?;
            let score = |value| {
                if let Value::Float(score) = value { Ok(score as f32) } else { Err("a score of its tokens is no float".to_owned()) }
            };
            let scores = scores.values().map(score).collect::<Result<Vec<f32>, String>>()?;
            sentencepiece(list(gguf)?, &scores, gguf.flag(&key("add_space_prefix"))?.unwrap_or(true)).map(Some)
        }
        _ => Ok(None),
    }
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
        begin: gguf.size(&key("bos_token_id"))?,
        end: gguf.size(&key("eos_token_id"))?,
        unknown: gguf.size(&key("unknown_token_id"))?,
        adds_begin: gguf.flag(&key("add_bos_token"))?,
        adds_end: gguf.flag(&key("add_eos_token"))?,
    })
}

fn texts(gguf: &Gguf<'_>, key: &str) -> Result<Vec<String>, String> {
    let array = gguf.array(key)?.ok_or_else(|| format!("its metadata lacks {key}"))?;
    let texts = array.texts().ok_or_else(|| format!("its {key} holds more than texts"))?;
    Ok(texts.into_iter().map(str::to_owned).collect())
}
