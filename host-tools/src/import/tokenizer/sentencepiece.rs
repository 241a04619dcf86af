//! SentencePiece BPE (Kudo and Richardson 2018): pieces with scores, whose spaces are written as U+2581.

use super::error::VocabularyError;
use super::model::{AddedToken, METASPACE, Piece, Scheme, SentencePieceSpaces, SpecialIds, Tokenizer};
use super::token_list::{TokenList, TokenType};

/// A SentencePiece BPE as its file states it.
pub struct SentencePiece<'s> {
    /// Pieces by token id.
    pub tokens: &'s [String],
    /// Merge priorities: higher scores merge first.
    pub scores: &'s [f32],
    /// Added tokens.
    pub added: Vec<AddedToken>,
    /// BOS, EOS and UNK.
    pub special: SpecialIds,
    /// Whether BOS is written before a text.
    pub add_bos: bool,
    /// Whether EOS is written after a text.
    pub add_eos: bool,
    /// Treatment of spaces.
    pub spaces: SentencePieceSpaces,
}

/// The tokenizer of a GGUF file with `tokenizer.ggml.model` llama.
///
/// # Errors
/// [`VocabularyError`]: the file's lists contradict each other.
pub fn sentencepiece(list: TokenList, scores: &[f32], add_dummy_prefix: bool) -> Result<Tokenizer, VocabularyError> {
    let mut added = list.added();
    let special = list.special_ids()?;
    special.add_to(&mut added, |token| list.type_of(token as usize) != TokenType::Byte);
    let source = SentencePiece {
        tokens: &list.tokens,
        scores,
        added,
        special,
        add_bos: list.add_bos.unwrap_or(true),
        add_eos: list.add_eos.unwrap_or(false),
        spaces: SentencePieceSpaces { add_dummy_prefix, metaspace_is_space: true, ..SentencePieceSpaces::default() },
    };
    source.tokenizer()
}

impl SentencePiece<'_> {
    /// The tokenizer, its pieces with plain spaces.
    ///
    /// # Errors
    /// [`VocabularyError`]: scores or byte tokens that cannot be packed.
    pub fn tokenizer(&self) -> Result<Tokenizer, VocabularyError> {
        let SentencePiece { tokens, scores, .. } = *self;
        if scores.len() != tokens.len() {
            return Err(VocabularyError::ScoreCount { tokens: tokens.len(), scores: scores.len() });
        }
        if let Some(token) = scores.iter().position(|score| !score.is_finite()) {
            return Err(VocabularyError::ScoreNotFinite { token, score: scores[token] });
        }
        let first_byte = first_byte(tokens)?;
        let mut pieces: Vec<Piece> =
            tokens.iter().zip(scores).map(|(token, &score)| Piece { bytes: token.replace(METASPACE, " ").into_bytes(), score }).collect();
        // A special token is matched as it is spelled, and never printed.
        for added in self.added.iter().filter(|added| added.special) {
            pieces[added.token as usize].bytes = tokens[added.token as usize].as_bytes().to_vec();
        }
        let scheme = Scheme::SentencePiece { first_byte, spaces: self.spaces };
        let tokenizer = Tokenizer {
            add_bos: self.add_bos,
            add_eos: self.add_eos,
            added: self.added.clone(),
            ..Tokenizer::new(pieces, self.special, scheme)
        };
        tokenizer.checked()
    }
}

/// The token of byte 0, which the other 255 byte tokens must follow.
pub(super) fn first_byte(tokens: &[String]) -> Result<u32, VocabularyError> {
    let name = |byte: usize| format!("<0x{byte:02X}>");
    let first = tokens.iter().position(|token| *token == name(0)).ok_or(VocabularyError::NoByteTokens)?;
    match (0..256).find(|&byte| tokens.get(first + byte) != Some(&name(byte))) {
        Some(byte) => Err(VocabularyError::ByteTokenOrder { token: first + byte, expected: name(byte) }),
        None => Ok(first as u32),
    }
}
