//! Unigram: pieces with the logarithms of their probabilities, whose spaces are written as U+2581.

use super::charsmap::Charmap;
use super::model::{AddedToken, METASPACE, Piece, Scheme, Tokenizer, UnigramSpaces, check};
use super::sentencepiece::first_byte;
use super::token_list::{TokenList, TokenType};

/// A Unigram vocabulary as its file states it.
pub struct Unigram<'s> {
    /// Pieces by token id.
    pub tokens: &'s [String],
    /// Their scores.
    pub scores: Vec<f64>,
    /// Tokens that are matched before all others.
    pub added: Vec<AddedToken>,
    /// Begin, end and unknown token.
    pub marks: [u32; 3],
    /// Whether the begin token is written before a text.
    pub add_bos: bool,
    /// Whether the end token is written behind a text.
    pub add_eos: bool,
    /// Whether unknown characters are byte tokens.
    pub byte_fallback: bool,
    /// What becomes of the characters of a text.
    pub charmap: Charmap,
    /// What is done to spaces.
    pub spaces: UnigramSpaces,
}

/// A GGUF file's tokenizer of model `t5`. Its defaults are those of T5's own files. Tokens that stand for no text lose what the file says of it:
/// their scores count for nothing, and unused ones their pieces.
///
/// # Errors
/// A sentence's end: what is wrong with it.
pub fn unigram(list: TokenList, scores: &[f32], charmap: Charmap, spaces: UnigramSpaces) -> Result<Tokenizer, String> {
    let list = TokenList { eos: list.eos.or(Some(1)), unk: list.unk.or(Some(2)), ..list };
    let marks = list.marks()?;
    if scores.len() != list.tokens.len() {
        return Err(format!("it has {} tokens and {} scores", list.tokens.len(), scores.len()));
    }
    let is_text = |token: usize| matches!(list.type_of(token), TokenType::Normal | TokenType::UserDefined);
    let piece = |token: usize| if list.type_of(token) == TokenType::Unused { "" } else { &list.tokens[token] };
    let tokens: Vec<String> = (0..scores.len()).map(|token| piece(token).to_owned()).collect();
    let mut added = list.added();
    for mark in marks {
        if !added.iter().any(|added| added.token == mark) {
            added.push(AddedToken::new(mark, true));
        }
    }
    let source = Unigram {
        tokens: &tokens,
        scores: scores.iter().enumerate().map(|(token, &score)| if is_text(token) { score.into() } else { 0.0 }).collect(),
        added,
        marks,
        add_bos: list.add_bos.unwrap_or(false),
        add_eos: list.add_eos.unwrap_or(true),
        byte_fallback: list.types.contains(&TokenType::Byte),
        charmap,
        spaces,
    };
    source.tokenizer()
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
        let first_byte = if self.byte_fallback { first_byte(tokens).map(Some)? } else { None };
        let piece = |(id, token): (usize, &String)| {
            let bytes = if apart(id) { token.clone() } else { token.replace(METASPACE, " ") };
            Piece { bytes: bytes.into_bytes(), score: 0.0 }
        };
        check(Tokenizer {
            add_bos: self.add_bos,
            add_eos: self.add_eos,
            scores: self.scores.clone(),
            charmap: self.charmap.clone(),
            added: self.added.clone(),
            ..Tokenizer::new(
                tokens.iter().enumerate().map(piece).collect(),
                self.marks,
                Scheme::Unigram { first_byte, spaces: self.spaces },
            )
        })
    }
}
