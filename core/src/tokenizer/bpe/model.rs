//! The section of SentencePiece-style BPE.

use crate::error::Error;
use crate::tokenizer::flags::bpe as flags;
use crate::tokenizer::reader::{Le32Slice, invalid};
use crate::tokenizer::rules::{Spacing, TextRules};
use crate::tokenizer::vocabulary::Vocabulary;

/// The scores of the pieces, and the rules for spaces.
#[derive(Clone, Copy, Debug)]
pub struct Bpe<'a> {
    /// f32 merge priorities, higher ones first: (vocab).
    scores: Le32Slice<'a>,
    /// A space is put before the text.
    add_dummy_prefix: bool,
    /// The dummy prefix is not put after an added token.
    prefix_first: bool,
    /// The dummy prefix is not put before a space.
    prefix_unless_space: bool,
    /// U+2581 is a space.
    pub metaspace: bool,
    pub split: WordSplit,
}

/// Where a text may be split into words that merge independently, because no piece extends across.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordSplit {
    /// Before every space: pieces have spaces at their start only, at most one.
    Spaces,
    /// Before every run of spaces: pieces have spaces at their start only (Llama 2 has pieces with runs).
    Runs,
    /// Nowhere.
    Never,
}

impl<'a> Bpe<'a> {
    /// Checks the section. `vocabulary.first_byte` is the first byte token.
    pub fn new(vocabulary: &Vocabulary<'a>, scores: Le32Slice<'a>, flags: u32) -> Result<(Self, TextRules), Error> {
        // A flag of a later version may change the meaning of the rest.
        if flags & !flags::ALL != 0 {
            return Err(invalid("the section has a flag that this engine does not support"));
        }
        vocabulary.check(true)?;
        if !scores.iter().all(|score| f32::from_le_bytes(*score).is_finite()) {
            return Err(invalid("a score is not finite"));
        }
        let has = |flag| flags & flag != 0;
        let mut bpe = Bpe {
            scores,
            add_dummy_prefix: has(flags::ADD_DUMMY_PREFIX),
            prefix_first: has(flags::PREFIX_FIRST),
            prefix_unless_space: has(flags::PREFIX_UNLESS_SPACE),
            metaspace: has(flags::METASPACE),
            split: WordSplit::Never,
        };
        bpe.split = bpe.word_split(vocabulary);
        if has(flags::SPACE_ONLY_FIRST) && bpe.split != WordSplit::Spaces {
            return Err(invalid("a piece has a space after its start, although flag 2 says that none has"));
        }
        // A dummy prefix after each added token adds one token per piece of text, which has at least one byte.
        let repeats_prefix = bpe.add_dummy_prefix && !bpe.prefix_first && !vocabulary.added.is_empty();
        let rules = TextRules {
            add_bos: !has(flags::NO_BOS),
            add_eos: has(flags::ADD_EOS),
            spacing: if bpe.add_dummy_prefix { Spacing::DummyPrefix } else { Spacing::Verbatim },
            growth: if repeats_prefix { 2 } else { 1 },
        };
        Ok((bpe, rules))
    }

    /// Whether a dummy prefix is put before text whose first character is `first`, U+2581 already replaced.
    pub fn wants_prefix(&self, first: char, is_first: bool) -> bool {
        self.add_dummy_prefix && (is_first || !self.prefix_first) && !(self.prefix_unless_space && first == ' ')
    }

    /// The merge priority of `token`; negative infinity for an id outside the vocabulary.
    pub fn score(&self, token: u32) -> f32 {
        self.scores.get(token as usize).map_or(f32::NEG_INFINITY, |score| f32::from_le_bytes(*score))
    }

    /// Whether two tokens may merge to `token`.
    pub fn is_mergeable(&self, token: u32) -> bool {
        self.score(token) > flags::NEVER
    }

    /// Whether text may become `token` as part of a word.
    pub fn is_text(&self, vocabulary: &Vocabulary<'_>, token: u32) -> bool {
        !vocabulary.is_special(token) && vocabulary.byte(token).is_none() && vocabulary.added_flags(token).is_none()
    }

    /// The finest split that no piece extends across.
    fn word_split(&self, vocabulary: &Vocabulary<'_>) -> WordSplit {
        let mut split = WordSplit::Spaces;
        for token in (0..vocabulary.len()).filter(|&token| self.is_mergeable(token) && self.is_text(vocabulary, token)) {
            let piece = vocabulary.piece(token).unwrap_or_default();
            let spaces = piece.iter().take_while(|&&byte| byte == b' ').count();
            if piece.iter().skip(spaces).any(|&byte| byte == b' ') {
                return WordSplit::Never;
            }
            if spaces > 1 {
                split = WordSplit::Runs;
            }
        }
        split
    }
}
