//! Entries of `added_tokens`.

use serde::Deserialize;

use super::error::TokenizerError;
use crate::import::tokenizer::model::AddedToken;

/// An entry of `added_tokens`: a token that is matched in a text before the text is split.
#[derive(Clone, Default, Deserialize)]
pub(super) struct AddedEntry {
    #[serde(default)]
    pub id: u32,
    pub content: String,
    #[serde(default)]
    pub special: bool,
    #[serde(default)]
    pub lstrip: bool,
    #[serde(default)]
    pub rstrip: bool,
    #[serde(default)]
    pub single_word: bool,
    #[serde(default)]
    pub normalized: bool,
}

impl AddedEntry {
    /// The token as a packer needs it.
    ///
    /// # Errors
    /// [`TokenizerError::SingleWord`].
    pub fn to_added_token(&self) -> Result<AddedToken, TokenizerError> {
        if self.single_word {
            return Err(TokenizerError::SingleWord(self.content.clone()));
        }
        Ok(AddedToken { lstrip: self.lstrip, rstrip: self.rstrip, normalized: self.normalized, ..AddedToken::new(self.id, self.special) })
    }

    /// The error of a token that is matched after a step of the normalizer which the engine runs later.
    pub fn normalized_error(&self, step: &'static str) -> TokenizerError {
        TokenizerError::AddedTokenNormalized { content: self.content.clone(), step }
    }
}
