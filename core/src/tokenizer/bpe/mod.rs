//! SentencePiece-style byte-pair encoding, as llama2.c runs it, and as the `tokenizers` crate does.

mod encode;
mod merge;

use super::added::Added;
use super::section::wrong;
use super::vocabulary::{Vocabulary, Words};
use crate::error::Error;

const FLAG_SPACE_IN_FRONT: u32 = 1;
const FLAG_SPACE_ONLY_FIRST: u32 = 2;
const FLAG_NO_BEGIN: u32 = 4;
const FLAG_END: u32 = 8;
const FLAG_BLOCK: u32 = 16;
const FLAG_ONLY_AT_START: u32 = 32;
const FLAG_UNLESS_THERE: u32 = 64;
const ALL_FLAGS: u32 = 2 * FLAG_UNLESS_THERE - 1;

/// The score of a piece that no two tokens merge to.
const NEVER: f32 = f32::MIN;
/// What SentencePiece writes for a space.
const METASPACE: char = '\u{2581}';

/// Every byte once, so that a byte token's text is a slice that lives as long as any image.
pub(super) static BYTES: [u8; 256] = {
    let mut all = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        all[byte] = byte as u8;
        byte += 1;
    }
    all
};

/// A vocabulary with merge priorities, and bytes for what no piece covers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bpe<'a> {
    pub vocabulary: Vocabulary<'a>,
    /// f32 merge priorities: (vocab).
    scores: Words<'a>,
    first_byte: u32,
    /// A space is put before a text.
    pub space_in_front: bool,
    /// But not behind an added token.
    only_at_start: bool,
    /// But not before a text that has one.
    unless_there: bool,
    /// U+2581 is a space.
    block_is_space: bool,
    cut: Cut,
    /// Tokens that a text may spell out.
    pub added: Added<'a>,
    /// The begin token stands before a text.
    pub add_bos: bool,
    /// The end token stands behind a text.
    pub add_eos: bool,
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

impl<'a> Bpe<'a> {
    /// Checks what the section states.
    pub fn new(vocabulary: Vocabulary<'a>, scores: Words<'a>, added: Words<'a>, first_byte: u32, flags: u32) -> Result<Self, Error> {
        let has = |flag| flags & flag != 0;
        let bpe = Bpe {
            vocabulary,
            scores,
            first_byte,
            space_in_front: has(FLAG_SPACE_IN_FRONT),
            only_at_start: has(FLAG_ONLY_AT_START),
            unless_there: has(FLAG_UNLESS_THERE),
            block_is_space: has(FLAG_BLOCK),
            cut: Cut::Never,
            added: Added::default(),
            add_bos: !has(FLAG_NO_BEGIN),
            add_eos: has(FLAG_END),
        };
        if first_byte.checked_add(256).is_none_or(|end| end > vocabulary.len()) {
            return Err(wrong("its byte tokens are not in the vocabulary"));
        }
        // Otherwise a byte of text could become a control token.
        if bpe.byte(vocabulary.bos).is_some() || bpe.byte(vocabulary.eos).is_some() {
            return Err(wrong("its begin or end token is a byte token"));
        }
        vocabulary.check(|token| bpe.byte(token).is_none())?;
        if !scores.iter().all(|score| f32::from_le_bytes(*score).is_finite()) {
            return Err(wrong("a score is not finite"));
        }
        let added = Added::new(added, &vocabulary)?;
        if (0..=255).any(|byte| added.contains(first_byte.saturating_add(byte), &vocabulary)) {
            return Err(wrong("an added token is a byte token"));
        }
        let bpe = Bpe { added, ..bpe };
        Ok(Bpe { cut: bpe.check_flags(flags)?, ..bpe })
    }

    /// Whether a text may get more than one space that it does not have.
    pub fn repeats_space(&self) -> bool {
        self.space_in_front && !self.only_at_start && !self.added.is_empty()
    }

    /// The byte that `token` stands for, if it is a byte token.
    pub fn byte(&self, token: u32) -> Option<&'static u8> {
        BYTES.get(token.checked_sub(self.first_byte)? as usize)
    }

    /// The merge priority of `token`; below every real one for an id that is none.
    fn score(&self, token: u32) -> f32 {
        self.scores.get(token as usize).map_or(f32::NEG_INFINITY, |score| f32::from_le_bytes(*score))
    }

    /// The token that two pieces merge to, if they do.
    fn merged(&self, left: &[u8], right: &[u8]) -> Option<u32> {
        self.find(left, right).filter(|&token| self.score(token) > NEVER)
    }

    /// The token whose piece is `head` followed by `tail`: the lowest id of several, none that stands apart.
    fn find(&self, head: &[u8], tail: &[u8]) -> Option<u32> {
        self.vocabulary.find(head, tail).find(|&token| !self.is_apart(token))
    }

    /// Whether `token` is no part of words: text cannot merge to it.
    fn is_apart(&self, token: u32) -> bool {
        self.vocabulary.is_control(token) || self.byte(token).is_some() || self.added.contains(token, &self.vocabulary)
    }

    fn check_flags(&self, flags: u32) -> Result<Cut, Error> {
        // A flag of a later version may change the meaning of the rest.
        if flags & !ALL_FLAGS != 0 {
            return Err(wrong("it has a flag this engine does not know"));
        }
        let mut runs = true;
        let mut spaces = true;
        let words = (0..self.vocabulary.len()).filter(|&token| self.score(token) > NEVER && !self.is_apart(token));
        for piece in words.filter_map(|token| self.vocabulary.stored(token)) {
            spaces &= !piece.iter().skip(1).any(|&byte| byte == b' ');
            runs &= !piece.iter().skip_while(|&&byte| byte == b' ').any(|&byte| byte == b' ');
        }
        match (flags & FLAG_SPACE_ONLY_FIRST != 0, spaces, runs) {
            (true, false, _) => Err(wrong("a piece holds a space behind its start, its flag 2 denies it")),
            (_, true, _) => Ok(Cut::Spaces),
            (_, _, true) => Ok(Cut::Runs),
            _ => Ok(Cut::Never),
        }
    }
}
