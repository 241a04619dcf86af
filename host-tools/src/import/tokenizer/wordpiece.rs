//! WordPiece (Schuster and Nakajima 2012): pieces by id, and the special tokens among them.

use std::collections::BTreeMap;

use super::error::VocabularyError;
use super::limits::PIECE_BYTES_MAX;
use super::model::{Piece, Scheme, SpecialIds, Tokenizer};

/// A WordPiece vocabulary as its file states it.
pub(super) struct WordPieceVocabulary<'s> {
    /// Pieces with their ids, in any order.
    pub pieces: Vec<(&'s str, u64)>,
    /// Text of the token that begins a text.
    pub bos: &'s str,
    /// Text of the token that ends a text.
    pub eos: &'s str,
    /// Text of the token for unknown words.
    pub unk: &'s str,
    /// [`Scheme::WordPiece`].
    pub scheme: Scheme,
}

impl WordPieceVocabulary<'_> {
    /// The tokenizer. The ids must be 0, 1, 2 and so on, each piece must occur once, and the special tokens must be pieces.
    ///
    /// # Errors
    /// [`VocabularyError`] with the first piece that fails.
    pub fn tokenizer(mut self) -> Result<Tokenizer, VocabularyError> {
        self.pieces.sort_by_key(|&(_, id)| id);
        for (expected, &(piece, id)) in (0..).zip(&self.pieces) {
            if id < expected {
                return Err(VocabularyError::IdTwice { id, piece: piece.to_owned() });
            }
            if id > expected {
                return Err(VocabularyError::IdMissing { expected, next: id });
            }
            if piece.len() > PIECE_BYTES_MAX {
                return Err(VocabularyError::PieceTooLong { id, bytes: piece.len() });
            }
        }
        let mut ids = BTreeMap::new();
        for &(piece, id) in &self.pieces {
            if let Some(first) = ids.insert(piece, id as u32) {
                return Err(VocabularyError::PieceTwice { first, second: id, piece: piece.to_owned() });
            }
        }
        let special = |name: &str| ids.get(name).copied().ok_or_else(|| VocabularyError::SpecialTokenMissing(name.to_owned()));
        let pieces = self.pieces.iter().map(|(piece, _)| Piece { bytes: piece.as_bytes().to_vec(), score: 0.0 }).collect();
        let special = SpecialIds { bos: special(self.bos)?, eos: special(self.eos)?, unk: special(self.unk)? };
        Ok(Tokenizer::new(pieces, special, self.scheme))
    }
}
