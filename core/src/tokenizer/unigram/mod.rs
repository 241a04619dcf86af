//! Unigram (Kudo 2018): of all ways to cut a word into pieces the one whose scores add up to most.
//!
//! The results are those of the `tokenizers` crate: sums are f64, from the left, and of equal ones that with the longer last piece counts.
//! Pieces have spaces where the files write U+2581, and in a text U+2581 is a space. A text is an iterator, which is gone through as often as is
//! needed: its characters, those that a map puts in their place (`mapped.rs`), several spaces as one (`spaces.rs`).

mod charmap;
mod clusters;
mod mapped;
mod spaces;
mod tables;
mod viterbi;

use super::added::Added;
use super::section::wrong;
use super::vocabulary::{Vocabulary, Words};
use crate::error::Error;
use charmap::Charmap;
use spaces::Spaces;

const FLAG_BEGIN: u32 = 1;
const FLAG_END: u32 = 2;
const FLAG_BYTES: u32 = 4;
pub(super) const FLAG_WIDE: u32 = 8;
pub(super) const FLAG_MAP: u32 = 2048;

/// How far the score of an unknown character is below the lowest.
const UNKNOWN_PENALTY: f64 = 10.0;

/// What a section of this kind has more than others.
pub(super) struct Tables<'a> {
    pub scores: Words<'a>,
    /// Rows of the map of characters.
    pub map: Words<'a>,
    /// Its replacements.
    pub strings: &'a [u8],
}

/// A vocabulary of pieces and the logarithms of their probabilities.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unigram<'a> {
    pub vocabulary: Vocabulary<'a>,
    /// Of each piece, one word (f32) or two (f64).
    scores: Words<'a>,
    /// Scores have two words.
    wide: bool,
    unknown_score: f64,
    /// Token of byte 0, where unknown characters are bytes.
    first_byte: Option<u32>,
    pub spaces: Spaces,
    /// What the characters of a text become first.
    map: Option<Charmap<'a>>,
    /// How many times the bytes of a text its elements may be, without the space before each part.
    growth: usize,
    /// Tokens that a text may spell out.
    pub added: Added<'a>,
    /// The begin token stands before a text.
    pub add_bos: bool,
    /// The end token stands behind a text.
    pub add_eos: bool,
}

impl<'a> Unigram<'a> {
    /// Checks what the section states.
    pub fn new(
        vocabulary: Vocabulary<'a>,
        Tables { scores, map, strings }: Tables<'a>,
        added: Words<'a>,
        first_byte: u32,
        flags: u32,
    ) -> Result<Self, Error> {
        let has = |flag| flags & flag != 0;
        let mut unigram = Unigram {
            vocabulary,
            scores,
            wide: has(FLAG_WIDE),
            unknown_score: f64::INFINITY,
            first_byte: has(FLAG_BYTES).then_some(first_byte),
            spaces: Spaces::from_flags(flags & !(FLAG_BEGIN | FLAG_END | FLAG_BYTES | FLAG_WIDE | FLAG_MAP))
                .ok_or(wrong("it has a flag this engine does not know"))?,
            map: has(FLAG_MAP).then(|| Charmap::new(map, strings)).transpose()?,
            growth: 1,
            added: Added::default(),
            add_bos: has(FLAG_BEGIN),
            add_eos: has(FLAG_END),
        };
        if has(FLAG_BYTES) && first_byte.checked_add(256).is_none_or(|end| end > vocabulary.len()) {
            return Err(wrong("its byte tokens are not in the vocabulary"));
        }
        // Otherwise a byte of text could become a control token.
        if [vocabulary.bos, vocabulary.eos, vocabulary.unk].into_iter().any(|token| unigram.byte(token).is_some()) {
            return Err(wrong("its begin, end or unknown token is a byte token"));
        }
        vocabulary.check(|token| unigram.byte(token).is_none())?;
        let added = Added::new(added, &vocabulary)?;
        for token in 0..vocabulary.len() {
            let score = unigram.score(token).filter(|score| score.is_finite()).ok_or(wrong("a score is not finite"))?;
            unigram.unknown_score = unigram.unknown_score.min(score - UNKNOWN_PENALTY);
            if unigram.byte(token).is_some() && added.contains(token, &vocabulary) {
                return Err(wrong("an added token is a byte token"));
            }
        }
        unigram.added = added;
        unigram.growth = unigram.map.map_or(1, |map| map.growth(has(FLAG_BYTES)));
        Ok(unigram)
    }

    /// How many elements a byte of a text may need: those of its characters behind the map, and a space before them.
    pub fn growth(&self) -> usize {
        self.growth.saturating_add(1)
    }

    /// The byte that `token` stands for, if it is a byte token.
    pub fn byte(&self, token: u32) -> Option<&'static u8> {
        super::bpe::BYTES.get(token.checked_sub(self.first_byte?)? as usize)
    }

    /// Writes the tokens of `text` to `out` and returns how many they are.
    pub fn encode(&self, text: &str, out: &mut [u32], added: &Added<'_>, with_control: bool) -> Result<usize, Error> {
        let have = out.len();
        let full = Error::BufferTooSmall { need: have.saturating_add(1), have };
        added.encode_parts(&self.vocabulary, text, with_control, out, |whole, part, room| {
            let at_start = core::ptr::eq(part.as_ptr(), text.as_ptr());
            let characters = self.spaces.characters(whole, part, self.map.as_ref());
            self.spaces.words(characters, at_start, room, |word, room| viterbi::encode(self, word, room)).ok_or(full)
        })
    }

    fn score(&self, token: u32) -> Option<f64> {
        let token = token as usize;
        if self.wide {
            let [low, high] = *self.scores.as_chunks::<2>().0.get(token)?;
            let bits = u64::from(u32::from_le_bytes(high)) << 32 | u64::from(u32::from_le_bytes(low));
            return Some(f64::from_bits(bits));
        }
        self.scores.get(token).map(|score| f32::from_le_bytes(*score).into())
    }

    /// Whether `token` is no part of words: text cannot spell it.
    fn is_apart(&self, token: u32) -> bool {
        self.vocabulary.is_control(token) || self.byte(token).is_some() || self.added.is_control(token, &self.vocabulary)
    }
}
