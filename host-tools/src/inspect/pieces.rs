//! Texts of tokens for display.

use std::collections::BTreeMap;

use attoformer::{Image, Tokenizer};
use serde::Serialize;

use super::error::InspectError;

/// Texts by token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Pieces(pub BTreeMap<u32, String>);

impl Pieces {
    /// Looks up the texts of tokens.
    pub fn of(image: &Image, tokens: impl IntoIterator<Item = u32>) -> Self {
        let tokenizer = image.tokenizer().ok();
        Pieces(tokens.into_iter().map(|token| (token, label(tokenizer.as_ref(), token))).collect())
    }
}

/// The text of a token; its number without a tokenizer, its bytes in hex if they are not UTF-8.
pub fn label(tokenizer: Option<&Tokenizer>, token: u32) -> String {
    let Some(tokenizer) = tokenizer else { return format!("#{token}") };
    let Ok(piece) = tokenizer.piece(token) else { return format!("#{token}") };
    match std::str::from_utf8(piece) {
        // llama2.c surrounds BOS and EOS with line feeds.
        Ok(text) if token == tokenizer.bos() || token == tokenizer.eos() => text.trim().to_owned(),
        Ok(text) => text.to_owned(),
        Err(_) => piece.iter().map(|byte| format!("<{byte:02X}>")).collect(),
    }
}

/// The single token of a text: the piece with exactly this text, or the only token that the tokenizer produces.
///
/// # Errors
/// [`InspectError::SeveralTokens`], or those of the tokenizer.
pub fn single(image: &Image, text: &str) -> Result<u32, InspectError> {
    let tokenizer = image.tokenizer()?;
    let ordinary = |token: u32| token != tokenizer.bos() && token != tokenizer.eos() && token != tokenizer.unk();
    let exact = (0..tokenizer.vocab()).find(|&token| ordinary(token) && tokenizer.piece(token).is_ok_and(|piece| piece == text.as_bytes()));
    if let Some(token) = exact {
        return Ok(token);
    }
    let mut tokens = vec![0; tokenizer.max_tokens(text.len())];
    let count = tokenizer.encode(text, &mut tokens)?;
    match tokens[..count] {
        [token] => Ok(token),
        ref tokens => {
            let pieces: Vec<String> = tokens.iter().map(|&token| format!("{:?}", label(Some(&tokenizer), token))).collect();
            Err(InspectError::SeveralTokens { text: text.to_owned(), count: tokens.len(), pieces: pieces.join(", ") })
        }
    }
}
