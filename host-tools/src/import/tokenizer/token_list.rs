//! A vocabulary as a file lists it, token by token, such as GGUF's `tokenizer.ggml` entries.

use super::error::VocabularyError;
use super::model::{AddedToken, SpecialIds};

/// A vocabulary as a file lists it.
#[derive(Clone, Debug, Default)]
pub struct TokenList {
    /// Pieces by token id, as the file spells them.
    pub tokens: Vec<String>,
    /// Type of each token; empty where all are normal.
    pub types: Vec<TokenType>,
    /// Token that begins a text.
    pub bos: Option<u32>,
    /// Token that ends a text.
    pub eos: Option<u32>,
    /// Token for text that cannot be encoded.
    pub unk: Option<u32>,
    /// Whether BOS is written before a text; `None` for the tokenizer kind's default.
    pub add_bos: Option<bool>,
    /// Whether EOS is written after a text; `None` for the tokenizer kind's default.
    pub add_eos: Option<bool>,
}

/// Token type, as SentencePiece and GGUF number them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// A piece of text.
    Normal,
    /// The unknown token.
    Unknown,
    /// A special token, which text cannot spell.
    Control,
    /// An added token, matched before all others.
    UserDefined,
    /// A token that no text is encoded to.
    Unused,
    /// A byte of byte fallback.
    Byte,
}

impl TokenType {
    /// The type with GGUF's number.
    pub fn from_gguf(number: i32) -> Option<Self> {
        match number {
            1 => Some(TokenType::Normal),
            2 => Some(TokenType::Unknown),
            3 => Some(TokenType::Control),
            4 => Some(TokenType::UserDefined),
            5 => Some(TokenType::Unused),
            6 => Some(TokenType::Byte),
            _ => None,
        }
    }
}

impl TokenList {
    /// The type of a token.
    pub(super) fn type_of(&self, token: usize) -> TokenType {
        self.types.get(token).copied().unwrap_or(TokenType::Normal)
    }

    /// The added tokens: all special and user-defined ones with a text.
    pub(super) fn added(&self) -> Vec<AddedToken> {
        let has_text = |&token: &usize| !self.tokens[token].is_empty();
        let tokens = (0..self.tokens.len()).filter(has_text);
        let added = tokens.filter_map(|token| match self.type_of(token) {
            TokenType::Control | TokenType::Unknown => Some(AddedToken::new(token as u32, true)),
            TokenType::UserDefined => Some(AddedToken::new(token as u32, false)),
            _ => None,
        });
        added.collect()
    }

    /// BOS, EOS and UNK. One that is not stated is replaced by another one.
    ///
    /// # Errors
    /// [`VocabularyError`]: none is stated, one is outside the vocabulary, or the types are not as many as the tokens.
    pub(super) fn special_ids(&self) -> Result<SpecialIds, VocabularyError> {
        let any = self.eos.or(self.bos).or(self.unk).ok_or(VocabularyError::NoSpecialTokens)?;
        let ids = SpecialIds { bos: self.bos.unwrap_or(any), eos: self.eos.unwrap_or(any), unk: self.unk.unwrap_or(any) };
        let (tokens, types) = (self.tokens.len(), self.types.len());
        if let Some(token) = ids.all().into_iter().find(|&token| token as usize >= tokens) {
            return Err(VocabularyError::SpecialTokenRange { token, tokens });
        }
        if types != 0 && types != tokens {
            return Err(VocabularyError::TypeCount { tokens, types });
        }
        Ok(ids)
    }
}
