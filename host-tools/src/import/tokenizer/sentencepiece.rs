//! SentencePiece-style BPE: pieces with scores, whose spaces are written as U+2581.

use super::model::{AddedToken, METASPACE, Piece, Scheme, SentencePieceSpaces, Tokenizer, check};
use super::token_list::{TokenList, TokenType};

/// A SentencePiece-style BPE as its file states it.
pub struct SentencePiece<'s> {
    /// Pieces by token id.
    pub tokens: &'s [String],
    /// Merges with a higher score come first.
    pub scores: &'s [f32],
    /// Tokens that are matched before all others.
    pub added: Vec<AddedToken>,
    /// Begin, end and unknown token.
    pub marks: [u32; 3],
    /// Whether the begin token is written before a text.
    pub add_bos: bool,
    /// Whether the end token is written behind a text.
    pub add_eos: bool,
    /// What it does about spaces.
    pub spaces: SentencePieceSpaces,
}

/// A GGUF file's tokenizer of model `llama`.
///
/// # Errors
/// A sentence's end: what is wrong with it.
pub fn sentencepiece(list: TokenList, scores: &[f32], space_prefix: bool) -> Result<Tokenizer, String> {
    let mut added = list.added();
    let marks = list.marks()?;
    for mark in marks {
        if list.type_of(mark as usize) != TokenType::Byte && !added.iter().any(|added| added.token == mark) {
            added.push(AddedToken::new(mark, true));
        }
    }
    let source = SentencePiece {
        tokens: &list.tokens,
        scores,
        added,
        marks,
        add_bos: list.add_bos.unwrap_or(true),
        add_eos: list.add_eos.unwrap_or(false),
        spaces: SentencePieceSpaces { add_dummy_prefix: space_prefix, metaspace_is_space: true, ..SentencePieceSpaces::default() },
    };
    source.tokenizer()
}

impl SentencePiece<'_> {
    /// The vocabulary with spaces as they are.
    ///
    /// # Errors
    /// A sentence's end: what is wrong with it.
    pub fn tokenizer(&self) -> Result<Tokenizer, String> {
        let SentencePiece { tokens, scores, .. } = *self;
        if scores.len() != tokens.len() {
            return Err(format!("it has {} tokens and {} scores", tokens.len(), scores.len()));
        }
        if let Some(token) = scores.iter().position(|score| !score.is_finite()) {
            return Err(format!("the score of its token {token} is {}", scores[token]));
        }
        let first_byte = first_byte(tokens)?;
        // A control token is matched as it is spelled, and never shown.
        let mut pieces: Vec<Piece> =
            tokens.iter().zip(scores).map(|(token, &score)| Piece { bytes: token.replace(METASPACE, " ").into_bytes(), score }).collect();
        for added in self.added.iter().filter(|added| added.special) {
            pieces[added.token as usize].bytes = tokens[added.token as usize].as_bytes().to_vec();
        }
        let scheme = Scheme::SentencePiece { first_byte, spaces: self.spaces };
        check(Tokenizer {
            add_bos: self.add_bos,
            add_eos: self.add_eos,
            added: self.added.clone(),
            ..Tokenizer::new(pieces, self.marks, scheme)
        })
    }
}

/// The token of byte 0, behind which the other 255 must follow.
pub(super) fn first_byte(tokens: &[String]) -> Result<u32, String> {
    let name = |byte: usize| format!("<0x{byte:02X}>");
    let first = tokens.iter().position(|token| *token == name(0)).ok_or("it has no byte tokens, <0x00> to <0xFF>")?;
    match (0..256).find(|&byte| tokens.get(first + byte) != Some(&name(byte))) {
        Some(byte) => Err(format!("its byte tokens do not follow one another: token {} is not {}", first + byte, name(byte))),
        None => Ok(first as u32),
    }
}
