//! Unigram: pieces with the logarithms of their probabilities, whose spaces are written as U+2581.

use super::{Added, Piece, Scheme, Tokenizer, WordSpaces, check};

/// What stands for a space.
const BLOCK: char = '\u{2581}';

/// A Unigram vocabulary as its file states it.
pub struct Unigram<'s> {
    /// Pieces by token id.
    pub tokens: &'s [String],
    /// Their scores.
    pub scores: Vec<f64>,
    /// Tokens that are matched before all others.
    pub added: Vec<Added>,
    /// Begin, end and unknown token.
    pub marks: [u32; 3],
    /// Whether the begin token is written before a text.
    pub adds_begin: bool,
    /// Whether the end token is written behind a text.
    pub adds_end: bool,
    /// Whether unknown characters are byte tokens.
    pub byte_fallback: bool,
    /// What is done to spaces.
    pub spaces: WordSpaces,
}

impl Unigram<'_> {
    /// The vocabulary with spaces as they are.
    ///
    /// # Errors
    /// A sentence's end: what is wrong with it.
    pub fn tokenizer(self) -> Result<Tokenizer, String> {
        let Unigram { tokens, scores, .. } = &self;
        if let Some(token) = scores.iter().position(|score| !score.is_finite() || *score > 0.0) {
            return Err(format!("the score of its token {token} is {}, which is no logarithm of a probability", scores[token]));
        }
        let apart = |token: usize| self.added.iter().any(|added| added.token as usize == token);
        if let Some(token) = (0..tokens.len()).find(|&token| tokens[token].contains(' ') && !apart(token)) {
            return Err(format!("its token {token} has a plain space, {:?}, which no text of its kind has", tokens[token]));
        }
        let first_byte = if self.byte_fallback { super::sentencepiece::first_byte(tokens).map(Some)? } else { None };
        let piece = |(id, token): (usize, &String)| {
            let bytes = if apart(id) { token.clone() } else { token.replace(BLOCK, " ") };
            Piece { bytes: bytes.into_bytes(), score: 0.0 }
        };
        check(Tokenizer {
            adds_begin: self.adds_begin,
            adds_end: self.adds_end,
            scores: self.scores.clone(),
            added: self.added.clone(),
            ..Tokenizer::new(
                tokens.iter().enumerate().map(piece).collect(),
                self.marks,
                Scheme::Unigram { first_byte, spaces: self.spaces },
            )
        })
    }
}
