//! The section of Unigram.

use super::charmap::Charmap;
use super::spaces::SpaceRules;
use crate::error::Error;
use crate::tokenizer::flags::unigram as flags;
use crate::tokenizer::reader::{Le32Slice, Reader, invalid};
use crate::tokenizer::rules::{Spacing, TextRules};
use crate::tokenizer::vocabulary::Vocabulary;

/// How far the score of an unknown character is below the lowest score, as in SentencePiece.
const UNK_PENALTY: f64 = 10.0;

/// The scores of the pieces (logarithms of their probabilities), and the normalization of texts.
#[derive(Clone, Copy, Debug)]
pub struct Unigram<'a> {
    /// One f32 or f64 for each piece: (vocab).
    scores: Le32Slice<'a>,
    /// Scores are f64.
    wide: bool,
    /// Score of a character that is no piece.
    pub unk_score: f64,
    pub spaces: SpaceRules,
    /// Replacements of characters.
    pub map: Option<Charmap<'a>>,
}

impl<'a> Unigram<'a> {
    /// Reads the map of characters. The pieces are the rest of the section.
    pub fn read(reader: &mut Reader<'a>, scores: Le32Slice<'a>, flags: u32) -> Result<Self, Error> {
        if flags & !flags::ALL != 0 {
            return Err(invalid("the section has a flag that this engine does not support"));
        }
        let map = if flags & flags::CHARSMAP != 0 {
            let rows = reader.counted_rows()?;
            Some(Charmap::new(rows, reader.counted_bytes()?)?)
        } else {
            None
        };
        let spaces = SpaceRules::from_flags(flags);
        Ok(Unigram { scores, wide: flags & flags::WIDE_SCORES != 0, unk_score: f64::INFINITY, spaces, map })
    }

    /// Checks the section, and finds the lowest score.
    pub fn check(&mut self, vocabulary: &Vocabulary<'_>, flags: u32) -> Result<TextRules, Error> {
        vocabulary.check(true)?;
        // Otherwise a byte of text could become UNK.
        if vocabulary.byte(vocabulary.unk).is_some() {
            return Err(invalid("the UNK token is a byte token"));
        }
        for token in 0..vocabulary.len() {
            let score = self.score(token).filter(|score| score.is_finite()).ok_or(invalid("a score is not finite"))?;
            self.unk_score = self.unk_score.min(score - UNK_PENALTY);
        }
        Ok(TextRules {
            add_bos: flags & flags::ADD_BOS != 0,
            add_eos: flags & flags::ADD_EOS != 0,
            spacing: if self.spaces.add_dummy_prefix { Spacing::DummyPrefix } else { Spacing::Verbatim },
            // Elements for the mapped characters, or their bytes, and one for a dummy prefix.
            growth: self.map.map_or(1, |map| map.growth(vocabulary.first_byte.is_some())).saturating_add(1),
        })
    }

    /// The score of a piece.
    pub fn score(&self, token: u32) -> Option<f64> {
        let token = token as usize;
        if self.wide {
            let [low, high] = *self.scores.as_chunks::<2>().0.get(token)?;
            let bits = u64::from(u32::from_le_bytes(high)) << 32 | u64::from(u32::from_le_bytes(low));
            return Some(f64::from_bits(bits));
        }
        self.scores.get(token).map(|score| f32::from_le_bytes(*score).into())
    }
}
