//! A vocabulary as a file lists it, token by token.

use super::model::AddedToken;

/// A vocabulary as a file lists it, such as GGUF's `tokenizer.ggml` entries.
#[derive(Clone, Debug, Default)]
pub struct TokenList {
    /// Pieces by token id, as the file spells them.
    pub tokens: Vec<String>,
    /// What each is; empty where all are normal.
    pub types: Vec<TokenType>,
    /// Token that begins a text.
    pub bos: Option<u32>,
    /// Token that ends a text.
    pub eos: Option<u32>,
    /// Token of what cannot be encoded.
    pub unk: Option<u32>,
    /// Whether the begin token is written before a text; without it as the family has it.
    pub add_bos: Option<bool>,
    /// Whether the end token is written behind a text.
    pub add_eos: Option<bool>,
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// Text.
    Normal,
    /// What cannot be encoded.
    Unknown,
    /// Text cannot spell it.
    Control,
    /// Matched before all others.
    UserDefined,
    /// Nothing.
    Unused,
    /// One byte.
    Byte,
}

impl TokenType {
    /// GGUF's number.
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

    /// The tokens that are matched before all others.
    pub(super) fn added(&self) -> Vec<AddedToken> {
        let matched = |&token: &usize| !self.tokens[token].is_empty();
        let tokens = (0..self.tokens.len()).filter(matched);
        let added = tokens.filter_map(|token| match self.type_of(token) {
            TokenType::Control | TokenType::Unknown => Some(AddedToken::new(token as u32, true)),
            TokenType::UserDefined => Some(AddedToken::new(token as u32, false)),
            _ => None,
        });
        added.collect()
    }

    /// The begin, end and unknown tokens; where one is not stated, another stands for it.
    pub(super) fn marks(&self) -> Result<[u32; 3], String> {
        let stated = [self.bos, self.eos, self.unk];
        let any = self.eos.or(self.bos).or(self.unk).ok_or("it states no token that begins or ends a text")?;
        let marks = stated.map(|token| token.unwrap_or(any));
        match marks.iter().find(|&&token| token as usize >= self.tokens.len()) {
            Some(token) => Err(format!("its special token {token} is not one of its {} tokens", self.tokens.len())),
            None if !self.types.is_empty() && self.types.len() != self.tokens.len() => {
                Err(format!("it has {} tokens and {} token types", self.tokens.len(), self.types.len()))
            }
            None => Ok(marks),
        }
    }
}
