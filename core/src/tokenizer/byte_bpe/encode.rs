//! Text to tokens, one word after another.

use super::merge::Merger;
use super::model::ByteBpe;
use super::pre_tokenizer::Cursor;
use crate::tokenizer::added::Segment;
use crate::tokenizer::flags::MAX_PIECE_BYTES;
use crate::tokenizer::nfc::Characters;
use crate::tokenizer::vocabulary::Vocabulary;
use crate::tokenizer::windows::{self, Word};

/// Writes the tokens of a segment to `out`; `None` if it is too short for the tokens, or for the bytes of a word.
#[inline(never)]
pub fn encode(bpe: &ByteBpe<'_>, vocabulary: &Vocabulary<'_>, segment: Segment<'_>, out: &mut [u32]) -> Option<usize> {
    let merger = Merger { bpe, vocabulary };
    let mut rest = Characters::new(segment.text, bpe.nfc);
    let mut count = 0_usize;
    loop {
        let length = bpe.pattern.word(Cursor::new(rest.clone()));
        let Some(last) = length.checked_sub(1) else { return Some(count) };
        let word = Bytes { characters: rest.clone(), left: length, bytes: [0; 4], pending: 0..0 };
        let out = out.get_mut(count..)?;
        let whole = if bpe.ignore_merges { whole_word(vocabulary, word.clone()) } else { None };
        let tokens = match whole {
            Some(token) => {
                *out.first_mut()? = token;
                1
            }
            None => windows::encode(&merger, &mut Word::new(Symbols { bpe, bytes: word }), out)?,
        };
        count = count.saturating_add(tokens);
        rest.nth(last);
    }
}

/// The token whose piece is the whole word.
#[inline(never)]
fn whole_word(vocabulary: &Vocabulary<'_>, word: Bytes<'_>) -> Option<u32> {
    let mut piece = heapless::Vec::<u8, MAX_PIECE_BYTES>::new();
    for byte in word {
        piece.push(byte).ok()?; // no piece is longer
    }
    vocabulary.find(&piece, &[], &|token| !vocabulary.is_special(token))
}

/// The bytes of a word.
#[derive(Clone)]
struct Bytes<'t> {
    characters: Characters<'t>,
    /// Characters of the word that are left.
    left: usize,
    /// UTF-8 of the last character.
    bytes: [u8; 4],
    /// Which of these bytes come next.
    pending: core::ops::Range<usize>,
}

impl Iterator for Bytes<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if self.pending.is_empty() {
            self.left = self.left.checked_sub(1)?;
            self.pending = 0..self.characters.next()?.encode_utf8(&mut self.bytes).len();
        }
        self.bytes.get(self.pending.next()?).copied()
    }
}

/// The symbols of a word: the tokens of its bytes.
#[derive(Clone)]
struct Symbols<'t> {
    bpe: &'t ByteBpe<'t>,
    bytes: Bytes<'t>,
}

impl Iterator for Symbols<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        loop {
            let token = self.bpe.byte(self.bytes.next()?);
            if token.is_some() {
                return token;
            }
        }
    }
}
