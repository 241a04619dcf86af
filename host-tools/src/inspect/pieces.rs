//! What tokens look like, for people.

use std::collections::BTreeMap;

use attoformer::{Error, Image, Tokenizer};
use serde::Serialize;

/// Texts by token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Pieces(pub BTreeMap<u32, String>);

impl Pieces {
    /// The texts of all these tokens.
    pub fn of(image: &Image, tokens: impl IntoIterator<Item = u32>) -> Self {
        let tokenizer = image.tokenizer().ok();
        Pieces(tokens.into_iter().map(|token| (token, label(tokenizer.as_ref(), token))).collect())
    }
}

/// A token's own text; its number where there is none, its bytes in hex where they are no characters.
pub fn label(tokenizer: Option<&Tokenizer>, token: u32) -> String {
    let Some(tokenizer) = tokenizer else { return format!("#{token}") };
    let Ok(piece) = tokenizer.piece(token) else { return format!("#{token}") };
    match std::str::from_utf8(piece) {
        // llama2.c spells its marks with line feeds around them.
        Ok(text) if token == tokenizer.bos() || token == tokenizer.eos() => text.trim().to_owned(),
        Ok(text) => text.to_owned(),
        Err(_) => piece.iter().map(|byte| format!("<{byte:02X}>")).collect(),
    }
}

/// The one token of a text: the piece spelled exactly so, or the only token that the tokenizer makes of it.
///
/// # Errors
/// A sentence that says what the text is made of, or [`Error::NoTokenizer`] as one.
pub fn single(image: &Image, text: &str) -> Result<u32, String> {
    let tokenizer = image.tokenizer().map_err(|error| error.to_string())?;
    let ordinary = |token: u32| token != tokenizer.bos() && token != tokenizer.eos() && token != tokenizer.unk();
    let exact = (0..tokenizer.vocab()).find(|&token| ordinary(token) && tokenizer.piece(token).is_ok_and(|piece| piece == text.as_bytes()));
    if let Some(token) = exact {
        return Ok(token);
    }
    let mut tokens = vec![0; tokenizer.max_tokens(text.len())];
    let count = tokenizer.encode(text, &mut tokens).map_err(|error: Error| error.to_string())?;
    match tokens[..count] {
        [token] => Ok(token),
        ref tokens => {
            let parts: Vec<String> = tokens.iter().map(|&token| format!("{:?}", label(Some(&tokenizer), token))).collect();
            Err(format!("{text:?} is not one token of this model but {}: {}; name one of them", tokens.len(), parts.join(", ")))
        }
    }
}
