//! WordPiece vocabularies: pieces by id, and the special tokens among them.

use std::collections::BTreeMap;

use super::model::{PIECE_BYTES_MAX, Piece, Scheme, Tokenizer};

/// A vocabulary as a file states it.
pub(super) struct WordPieceVocabulary<'s> {
    /// Pieces with their ids, in any order.
    pub pieces: Vec<(&'s str, u64)>,
    pub bos: &'s str,
    pub eos: &'s str,
    pub unk: &'s str,
    pub scheme: Scheme,
}

impl WordPieceVocabulary<'_> {
    /// The vocabulary, if its ids are 0, 1, 2 and so on, each piece is there once, and the special tokens are among them.
    pub fn tokenizer(mut self) -> Result<Tokenizer, String> {
        self.pieces.sort_by_key(|&(_, id)| id);
        for (expected, &(piece, id)) in (0..).zip(&self.pieces) {
            if id < expected {
                return Err(format!("two of its pieces have the id {id}, {piece:?} is one"));
            }
            if id > expected {
                return Err(format!("none of its pieces has the id {expected}, the next is {id}"));
            }
            if piece.len() > PIECE_BYTES_MAX {
                return Err(format!("piece {id} has {} bytes, {PIECE_BYTES_MAX} at most can be packed", piece.len()));
            }
        }
        let mut ids = BTreeMap::new();
        for &(piece, id) in &self.pieces {
            if let Some(before) = ids.insert(piece, id as u32) {
                return Err(format!("pieces {before} and {id} are both {piece:?}"));
            }
        }
        let special = |name: &str| ids.get(name).copied().ok_or_else(|| format!("its special token {name:?} is not among its pieces"));
        let pieces = self.pieces.iter().map(|(piece, _)| Piece { bytes: piece.as_bytes().to_vec(), score: 0.0 }).collect();
        Ok(Tokenizer::new(pieces, [special(self.bos)?, special(self.eos)?, special(self.unk)?], self.scheme))
    }
}
