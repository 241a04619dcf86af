//! The pieces of a vocabulary, in the order of their ids and in that of their bytes.

use super::section::wrong;
use crate::error::Error;
use core::cmp::Ordering;

/// Little-endian u32 or f32 values as they lie in the image, at any alignment.
pub(super) type Words<'a> = &'a [[u8; 4]];

/// A decoder's buffer holds no more.
pub(super) const MAX_PIECE_BYTES: usize = 255;

/// What every kind of tokenizer section holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vocabulary<'a> {
    /// Where each piece starts in `bytes`, and one more for the end: (vocab + 1).
    pub offsets: Words<'a>,
    /// Token ids by ascending (piece bytes, id): (vocab).
    pub sorted: Words<'a>,
    /// All pieces, one after another.
    pub bytes: &'a [u8],
    /// Bytes of the longest piece.
    pub longest: usize,
    pub bos: u32,
    pub eos: u32,
    pub unk: u32,
}

impl<'a> Vocabulary<'a> {
    /// Number of tokens.
    pub fn len(&self) -> u32 {
        self.sorted.len() as u32
    }

    /// The piece of `token` as the section spells it.
    pub fn stored(&self, token: u32) -> Option<&'a [u8]> {
        let token = token as usize;
        let from = u32::from_le_bytes(*self.offsets.get(token)?);
        let to = u32::from_le_bytes(*self.offsets.get(token.checked_add(1)?)?);
        self.bytes.get(from as usize..to as usize)
    }

    /// Whether text may never be matched to the piece of `token`.
    pub fn is_control(&self, token: u32) -> bool {
        token == self.bos || token == self.eos || token == self.unk
    }

    /// The tokens whose piece is `head` followed by `tail`, lowest id first.
    pub fn find(&self, head: &[u8], tail: &[u8]) -> impl Iterator<Item = u32> {
        let fits = head.len().saturating_add(tail.len()) <= self.longest;
        let sorted = if fits { self.sorted } else { &[] };
        let order = move |word: &[u8; 4]| self.order(u32::from_le_bytes(*word), head, tail);
        let at = sorted.partition_point(|word| order(word) == Ordering::Less);
        let equal = sorted.get(at..).unwrap_or_default().iter().take_while(move |word| order(word) == Ordering::Equal);
        equal.map(|word| u32::from_le_bytes(*word))
    }

    /// The last token, in the order of the pieces, whose piece is not behind `head` followed by `tail`.
    pub fn last_up_to(&self, head: &[u8], tail: &[u8]) -> Option<u32> {
        let at = self.sorted.partition_point(|word| self.order(u32::from_le_bytes(*word), head, tail) != Ordering::Greater);
        self.sorted.get(at.checked_sub(1)?).map(|word| u32::from_le_bytes(*word))
    }

    /// How the piece of `token` is ordered against `head` followed by `tail`.
    fn order(&self, token: u32, head: &[u8], tail: &[u8]) -> Ordering {
        self.stored(token).map_or(Ordering::Less, |piece| compare(piece, head, tail))
    }

    /// Refuses control tokens outside the vocabulary, offsets and an order that contradict one another, and pieces that are not UTF-8
    /// where `is_text` says that they are read.
    pub fn check(&self, is_text: impl Fn(u32) -> bool) -> Result<(), Error> {
        let vocab = self.len();
        if self.bos >= vocab || self.eos >= vocab || self.unk >= vocab {
            return Err(wrong("its begin, end or unknown token is not in the vocabulary"));
        }
        self.check_offsets()?;
        for token in 0..vocab {
            let valid = self.stored(token).is_some_and(|piece| core::str::from_utf8(piece).is_ok());
            if !valid && is_text(token) {
                return Err(wrong("a piece is not UTF-8"));
            }
        }
        self.check_order()
    }

    fn check_offsets(&self) -> Result<(), Error> {
        let mut last = 0;
        let mut longest = 0;
        for (index, offset) in self.offsets.iter().enumerate() {
            let offset = u32::from_le_bytes(*offset) as usize;
            if offset < last || (index == 0 && offset != 0) {
                return Err(wrong("its offsets do not ascend from 0"));
            }
            longest = longest.max(offset - last);
            last = offset;
        }
        if last != self.bytes.len() {
            return Err(wrong("its pieces do not end where the section does"));
        }
        if longest > MAX_PIECE_BYTES || longest != self.longest {
            return Err(wrong("its longest piece is not as long as it states, or above 255 bytes"));
        }
        Ok(())
    }

    /// As many ids as tokens, all in range and no two equal: then each is there once, without a set to tick them off.
    fn check_order(&self) -> Result<(), Error> {
        let mut before = None;
        for word in self.sorted {
            let token = u32::from_le_bytes(*word);
            let piece = self.stored(token).ok_or(wrong("a sorted id is not in the vocabulary"))?;
            if before.is_some_and(|before| before >= (piece, token)) {
                return Err(wrong("its sorted ids are not in the order of their pieces"));
            }
            before = Some((piece, token));
        }
        Ok(())
    }
}

/// How `piece` is ordered against `head` followed by `tail`, without joining the two.
fn compare(piece: &[u8], head: &[u8], tail: &[u8]) -> Ordering {
    match piece.split_at_checked(head.len()) {
        Some((front, back)) => front.cmp(head).then_with(|| back.cmp(tail)),
        None => piece.cmp(head),
    }
}
