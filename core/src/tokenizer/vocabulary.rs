//! The vocabulary: the pieces in the order of their ids and of their bytes, the special tokens, the byte tokens and the added tokens.

use super::flags::{MAX_PIECE_BYTES, added};
use super::reader::{Le32, Le32Slice, invalid};
use crate::error::Error;
use core::cmp::Ordering;

/// A row of the table of added tokens: token and flags.
pub type AddedRow = [Le32; 2];

/// Every byte once, so that the text of a byte token is a slice that outlives any image.
static BYTES: [u8; 256] = {
    let mut all = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        all[byte] = byte as u8;
        byte += 1;
    }
    all
};

/// The tables that every kind of tokenizer has.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary<'a> {
    /// Start of each piece in `bytes`, then the end of the last: (vocab + 1).
    pub offsets: Le32Slice<'a>,
    /// Token ids by ascending (piece bytes, id): (vocab).
    pub sorted: Le32Slice<'a>,
    /// All pieces, one after another.
    pub bytes: &'a [u8],
    /// Bytes of the longest piece.
    pub longest: usize,
    /// The token that begins a text.
    pub bos: u32,
    /// The token that ends a text.
    pub eos: u32,
    /// The unknown token, for text that the vocabulary lacks.
    pub unk: u32,
    /// The token of byte 0, if the vocabulary has byte tokens (byte fallback); the other 255 follow it.
    pub first_byte: Option<u32>,
    /// Added tokens in the order of their pieces.
    pub added: &'a [AddedRow],
}

impl<'a> Vocabulary<'a> {
    /// Number of tokens.
    pub fn len(&self) -> u32 {
        self.sorted.len() as u32
    }

    /// The piece of `token` as the section spells it.
    pub fn piece(&self, token: u32) -> Option<&'a [u8]> {
        let token = token as usize;
        let from = u32::from_le_bytes(*self.offsets.get(token)?);
        let to = u32::from_le_bytes(*self.offsets.get(token.checked_add(1)?)?);
        self.bytes.get(from as usize..to as usize)
    }

    /// The piece of a sorted id or of an added token, which [`Vocabulary::check`] found in the vocabulary.
    pub fn piece_of(&self, id: &Le32) -> &'a [u8] {
        let piece = self.piece(u32::from_le_bytes(*id));
        debug_assert!(piece.is_some(), "the section was checked");
        piece.unwrap_or_default()
    }

    /// Characters of the piece of `token`, which is UTF-8.
    pub fn characters(&self, token: u32) -> usize {
        let piece = self.piece(token).unwrap_or_default();
        piece.iter().filter(|&&byte| byte & 0xC0 != 0x80).count() // continuation bytes are 10xxxxxx
    }

    /// The byte of a byte token.
    pub fn byte(&self, token: u32) -> Option<&'static u8> {
        BYTES.get(token.checked_sub(self.first_byte?)? as usize)
    }

    /// Whether text may never become `token`: BOS, EOS, UNK, and the added tokens with [`added::SPECIAL`].
    pub fn is_special(&self, token: u32) -> bool {
        token == self.bos || token == self.eos || token == self.unk || self.is_added_special(token)
    }

    /// Whether `token` is an added token with [`added::SPECIAL`].
    pub fn is_added_special(&self, token: u32) -> bool {
        self.added_flags(token).is_some_and(|flags| flags & added::SPECIAL != 0)
    }

    /// The flags of `token` if it is an added token.
    pub fn added_flags(&self, token: u32) -> Option<u32> {
        if self.added.is_empty() {
            return None;
        }
        let piece = self.piece(token)?;
        let at = self.added.partition_point(|[id, _]| self.piece_of(id) < piece);
        let [found, flags] = self.added.get(at)?.map(u32::from_le_bytes);
        (found == token).then_some(flags)
    }

    /// Whether an added token has [`added::NORMALIZED`].
    pub fn has_normalized(&self) -> bool {
        self.added.iter().any(|[_, flags]| u32::from_le_bytes(*flags) & added::NORMALIZED != 0)
    }

    /// BOS, EOS and UNK as a table of added tokens, for a vocabulary that has none.
    pub fn special_rows(&self) -> [AddedRow; 3] {
        let [mut a, mut b, mut c] = [self.bos, self.eos, self.unk];
        let sort = |low: &mut u32, high: &mut u32| {
            if self.piece(*low) > self.piece(*high) {
                core::mem::swap(low, high);
            }
        };
        sort(&mut a, &mut b);
        sort(&mut b, &mut c);
        sort(&mut a, &mut b);
        [a, b, c].map(|token| [token.to_le_bytes(), added::SPECIAL.to_le_bytes()])
    }

    /// The first token accepted by `accept` whose piece is `head` followed by `tail`, in the order of the ids.
    pub fn find(&self, head: &[u8], tail: &[u8], accept: &dyn Fn(u32) -> bool) -> Option<u32> {
        if head.len().saturating_add(tail.len()) > self.longest {
            return None;
        }
        let mut at = self.sorted.partition_point(|id| compare(self.piece_of(id), head, tail) == Ordering::Less);
        loop {
            let id = self.sorted.get(at)?;
            if compare(self.piece_of(id), head, tail) != Ordering::Equal {
                return None;
            }
            let token = u32::from_le_bytes(*id);
            if accept(token) {
                return Some(token);
            }
            at = at.saturating_add(1);
        }
    }

    /// The last token, in the order of the pieces, whose piece is at most `head` followed by `tail`.
    pub fn last_up_to(&self, head: &[u8], tail: &[u8]) -> Option<u32> {
        let at = self.sorted.partition_point(|id| compare(self.piece_of(id), head, tail) != Ordering::Greater);
        self.sorted.get(at.checked_sub(1)?).map(|id| u32::from_le_bytes(*id))
    }

    /// Refuses special or byte tokens outside the vocabulary, offsets and orders that contradict one another and, if `is_text`, pieces that
    /// are not UTF-8. The pieces of byte tokens are never read and may be anything.
    pub fn check(&self, is_text: bool) -> Result<(), Error> {
        let vocab = self.len();
        if self.bos >= vocab || self.eos >= vocab || self.unk >= vocab {
            return Err(invalid("the BOS, EOS or UNK token is not in the vocabulary"));
        }
        if self.first_byte.is_some_and(|first| first.checked_add(256).is_none_or(|end| end > vocab)) {
            return Err(invalid("the byte tokens are not in the vocabulary"));
        }
        // Otherwise a byte of text could become a special token.
        if self.byte(self.bos).is_some() || self.byte(self.eos).is_some() {
            return Err(invalid("the BOS or EOS token is a byte token"));
        }
        self.check_offsets()?;
        let is_valid = |token| self.piece(token).is_some_and(|piece| core::str::from_utf8(piece).is_ok());
        if is_text && (0..vocab).any(|token| self.byte(token).is_none() && !is_valid(token)) {
            return Err(invalid("a piece is not UTF-8"));
        }
        self.check_order()?;
        self.check_added()
    }

    fn check_offsets(&self) -> Result<(), Error> {
        let mut last = 0;
        let mut longest = 0;
        for (index, offset) in self.offsets.iter().enumerate() {
            let offset = u32::from_le_bytes(*offset) as usize;
            if offset < last || (index == 0 && offset != 0) {
                return Err(invalid("the offsets of the pieces do not ascend from 0"));
            }
            longest = longest.max(offset - last);
            last = offset;
        }
        if last != self.bytes.len() {
            return Err(invalid("the pieces do not end at the end of the section"));
        }
        if longest > MAX_PIECE_BYTES || longest != self.longest {
            return Err(invalid("the longest piece differs from the stated length, or has more than 255 bytes"));
        }
        Ok(())
    }

    /// As many ids as tokens, each in range, in strictly ascending order of (piece, id): so each id occurs once.
    fn check_order(&self) -> Result<(), Error> {
        let mut previous = None;
        for id in self.sorted {
            let token = u32::from_le_bytes(*id);
            let piece = self.piece(token).ok_or(invalid("a sorted id is not in the vocabulary"))?;
            if previous.is_some_and(|previous| previous >= (piece, token)) {
                return Err(invalid("the sorted ids are not in the order of their pieces"));
            }
            previous = Some((piece, token));
        }
        Ok(())
    }

    /// The pieces of added tokens ascend strictly: none is empty, none occurs twice.
    fn check_added(&self) -> Result<(), Error> {
        let mut previous: &[u8] = &[];
        for row in self.added {
            let [token, flags] = row.map(u32::from_le_bytes);
            let piece = self.piece(token).ok_or(invalid("an added token is not in the vocabulary"))?;
            if flags & !added::ALL != 0 {
                return Err(invalid("an added token has a flag that this engine does not support"));
            }
            if self.byte(token).is_some() {
                return Err(invalid("an added token is a byte token"));
            }
            if core::str::from_utf8(piece).is_err() {
                return Err(invalid("an added token is not UTF-8"));
            }
            if piece <= previous {
                return Err(invalid("the added tokens are not in the order of their pieces"));
            }
            previous = piece;
        }
        Ok(())
    }
}

/// The order of `piece` against `head` followed by `tail`, without joining the two. Most pieces differ in the first bytes, so a loop is faster
/// than two calls of memcmp.
#[inline]
pub fn compare(piece: &[u8], head: &[u8], tail: &[u8]) -> Ordering {
    let mut piece = piece.iter();
    for byte in head.iter().chain(tail) {
        match piece.next() {
            Some(own) if own == byte => {}
            Some(own) => return own.cmp(byte),
            None => return Ordering::Less,
        }
    }
    if piece.len() == 0 { Ordering::Equal } else { Ordering::Greater }
}

/// How many bytes `a` and `b` have in common at their starts.
#[inline(never)]
pub fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
