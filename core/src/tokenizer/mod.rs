//! Text to tokens and back, straight from the image's bytes: no heap, no copy of the vocabulary, no panic on any input.
//!
//! [`Tokenizer`] reads the image's tokenizer section (kind 1: SentencePiece-style BPE as llama2.c runs it), [`Decoder`] turns tokens back
//! into text without ever splitting a character, [`StopMatcher`] ends a text at a stop string.
//!
//! **Text cannot forge control tokens.** The pieces of the begin, end and unknown tokens, and the spelled-out pieces of the byte tokens
//! (`<0x0A>`), are never matched against text. llama2.c looks them up like any other piece; its vocabularies hold no chain of merges that
//! leads to one, so its results are the same.

mod decode;
mod encode;
mod merge;
mod section;
mod stop;

pub use decode::Decoder;
pub use stop::{MAX_STOP_BYTES, StopMatcher};

use crate::error::Error;
use core::cmp::Ordering;

/// Every byte once, so that a byte token's text is a slice that lives as long as any image.
static BYTES: [u8; 256] = {
    let mut all = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        all[byte] = byte as u8;
        byte += 1;
    }
    all
};

/// Little-endian u32 or f32 values as they lie in the image, at any alignment.
type Words<'a> = &'a [[u8; 4]];

/// A checked view of an image's tokenizer section. Copying it copies references only.
///
/// Made by [`Tokenizer::new`], which checks the whole section once; all later calls rely on that.
#[derive(Clone, Copy, Debug)]
pub struct Tokenizer<'a> {
    /// Where each piece starts in `bytes`, and one more for the end: (vocab + 1).
    offsets: Words<'a>,
    /// f32 merge priorities: (vocab).
    scores: Words<'a>,
    /// Token ids by ascending (piece bytes, id): (vocab).
    sorted: Words<'a>,
    /// All pieces, one after another.
    bytes: &'a [u8],
    longest: usize,
    begin: u32,
    end: u32,
    first_byte: u32,
    unknown: u32,
    space_in_front: bool,
    cut: Cut,
}

/// Where a text may be cut into words that merge independently, because no piece reaches across.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// Before every space: no piece holds one anywhere but at its start (flag 2).
    Spaces,
    /// Before every run of spaces: no piece holds a space behind anything else (as in Llama 2, whose pieces include runs).
    Runs,
    /// Nowhere.
    Never,
}

impl<'a> Tokenizer<'a> {
    /// Reads and checks `section`, the bytes of an image's tokenizer section, for a model with `vocab` tokens.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the section has another size than it implies, states another vocabulary than `vocab`, holds offsets,
    /// scores, an order, flags or token ids that contradict one another, or a piece that is not UTF-8 (the pieces of byte tokens are
    /// never read and may be anything).
    pub fn new(section: &'a [u8], vocab: u32) -> Result<Self, Error> {
        section::read(section, vocab)
    }

    /// Number of tokens.
    pub fn vocab(&self) -> u32 {
        self.scores.len() as u32
    }

    /// The token that begins a text. [`Tokenizer::encode`] does not write it.
    pub fn begin(&self) -> u32 {
        self.begin
    }

    /// The token that ends a text.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// The token that stands for what the vocabulary lacks. Encoding never yields it: unknown characters become byte tokens.
    pub fn unknown(&self) -> u32 {
        self.unknown
    }

    /// The bytes that `token` stands for: one byte for a byte token, otherwise its piece (UTF-8, at most 255 bytes).
    ///
    /// The begin and end tokens give their stored spelling here; a [`Decoder`] leaves them out of the text.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`].
    pub fn piece(&self, token: u32) -> Result<&'a [u8], Error> {
        match self.byte(token) {
            Some(byte) => Ok(core::slice::from_ref(byte)),
            None => self.stored(token).ok_or(Error::TokenOutOfRange { token, vocab: self.vocab() }),
        }
    }

    /// The byte that `token` stands for, if it is a byte token.
    fn byte(&self, token: u32) -> Option<&'static u8> {
        BYTES.get(token.checked_sub(self.first_byte)? as usize)
    }

    /// The piece of `token` as the section spells it.
    fn stored(&self, token: u32) -> Option<&'a [u8]> {
        let token = token as usize;
        let from = u32::from_le_bytes(*self.offsets.get(token)?);
        let to = u32::from_le_bytes(*self.offsets.get(token.checked_add(1)?)?);
        self.bytes.get(from as usize..to as usize)
    }

    /// The merge priority of `token`; below every real one for an id that is none.
    fn score(&self, token: u32) -> f32 {
        self.scores.get(token as usize).map_or(f32::NEG_INFINITY, |score| f32::from_le_bytes(*score))
    }

    /// Whether text may never be matched to the piece of `token`.
    fn is_control(&self, token: u32) -> bool {
        token == self.begin || token == self.end || token == self.unknown || self.byte(token).is_some()
    }

    /// The token whose piece is `head` followed by `tail`: the lowest id of several, none that is a control token.
    fn find(&self, head: &[u8], tail: &[u8]) -> Option<u32> {
        if head.len().saturating_add(tail.len()) > self.longest {
            return None;
        }
        let order = |word: &[u8; 4]| self.stored(u32::from_le_bytes(*word)).map_or(Ordering::Less, |piece| compare(piece, head, tail));
        let at = self.sorted.partition_point(|word| order(word) == Ordering::Less);
        let equal = self.sorted.get(at..)?.iter().take_while(|word| order(word) == Ordering::Equal);
        equal.map(|word| u32::from_le_bytes(*word)).find(|&token| !self.is_control(token))
    }
}

/// How `piece` is ordered against `head` followed by `tail`, without joining the two.
fn compare(piece: &[u8], head: &[u8], tail: &[u8]) -> Ordering {
    match piece.split_at_checked(head.len()) {
        Some((front, back)) => front.cmp(head).then_with(|| back.cmp(tail)),
        None => piece.cmp(head),
    }
}
