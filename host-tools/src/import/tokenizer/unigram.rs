//! Unigram (Kudo 2018): pieces with log probabilities, whose spaces are written as U+2581.

use super::charsmap::Charmap;
use super::error::VocabularyError;
use super::model::{AddedToken, METASPACE, Piece, Scheme, SpecialIds, Tokenizer, UnigramSpaces};
use super::sentencepiece::first_byte;
use super::token_list::{TokenList, TokenType};

/// A Unigram vocabulary as its file states it.
pub struct Unigram<'s> {
    /// Pieces by token id.
    pub tokens: &'s [String],
    /// Log probabilities of the pieces.
    pub scores: Vec<f64>,
    /// Added tokens.
    pub added: Vec<AddedToken>,
    /// BOS, EOS and UNK.
    pub special: SpecialIds,
    /// Whether BOS is written before a text.
    pub add_bos: bool,
    /// Whether EOS is written after a text.
    pub add_eos: bool,
    /// Whether unknown characters are encoded as byte tokens.
    pub byte_fallback: bool,
    /// Replacements of characters.
    pub charmap: Charmap,
    /// Treatment of spaces.
    pub spaces: UnigramSpaces,
}

/// The tokenizer of a GGUF file with `tokenizer.ggml.model` t5; its defaults are those of T5's own files. Scores of tokens that are not text are
/// ignored, and unused tokens lose their pieces.
///
/// # Errors
/// [`VocabularyError`]: the file's lists contradict each other.
pub fn unigram(list: TokenList, scores: &[f32], charmap: Charmap, spaces: UnigramSpaces) -> Result<Tokenizer, VocabularyError> {
    let list = TokenList { eos: list.eos.or(Some(1)), unk: list.unk.or(Some(2)), ..list };
    let special = list.special_ids()?;
    if scores.len() != list.tokens.len() {
        return Err(VocabularyError::ScoreCount { tokens: list.tokens.len(), scores: scores.len() });
    }
    let is_text = |token: usize| matches!(list.type_of(token), TokenType::Normal | TokenType::UserDefined);
    let piece = |token: usize| if list.type_of(token) == TokenType::Unused { "" } else { &list.tokens[token] };
    let tokens: Vec<String> = (0..scores.len()).map(|token| piece(token).to_owned()).collect();
    let mut added = list.added();
    special.add_to(&mut added, |_| true);
    let source = Unigram {
        tokens: &tokens,
        scores: scores.iter().enumerate().map(|(token, &score)| if is_text(token) { score.into() } else { 0.0 }).collect(),
        added,
        special,
        add_bos: list.add_bos.unwrap_or(false),
        add_eos: list.add_eos.unwrap_or(true),
        byte_fallback: list.types.contains(&TokenType::Byte),
        charmap,
        spaces,
    };
    source.tokenizer()
}

impl Unigram<'_> {
    /// The tokenizer, its pieces with plain spaces.
    ///
    /// # Errors
    /// [`VocabularyError`]: scores, spaces or byte tokens that cannot be packed.
    pub fn tokenizer(self) -> Result<Tokenizer, VocabularyError> {
        let Unigram { tokens, scores, .. } = &self;
        if let Some(token) = scores.iter().position(|score| !score.is_finite() || *score > 0.0) {
            return Err(VocabularyError::ScoreNotLogProbability { token, score: scores[token] });
        }
        let is_added = |token: usize| self.added.iter().any(|added| added.token as usize == token);
        if let Some(token) = (0..tokens.len()).find(|&token| tokens[token].contains(' ') && !is_added(token)) {
            return Err(VocabularyError::PlainSpace { token, text: tokens[token].clone() });
        }
        let first_byte = if self.byte_fallback { first_byte(tokens).map(Some)? } else { None };
        let piece = |(id, token): (usize, &String)| {
            let text = if is_added(id) { token.clone() } else { token.replace(METASPACE, " ") };
            Piece { bytes: text.into_bytes(), score: 0.0 }
        };
        let pieces = tokens.iter().enumerate().map(piece).collect();
        let tokenizer = Tokenizer {
            add_bos: self.add_bos,
            add_eos: self.add_eos,
            scores: self.scores.clone(),
            charmap: self.charmap.clone(),
            added: self.added.clone(),
            ..Tokenizer::new(pieces, self.special, Scheme::Unigram { first_byte, spaces: self.spaces })
        };
        tokenizer.checked()
    }
}
