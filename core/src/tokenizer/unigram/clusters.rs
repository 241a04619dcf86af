//! Boundaries between extended grapheme clusters (Unicode 17, UAX 29), as the crate unicode-segmentation finds them for the `tokenizers` crate.
//!
//! A map of characters replaces a cluster of at most five bytes as a whole and any other cluster character by character, as if there were no
//! clusters. So a rule matters only if it joins two characters of together at most five bytes, or if without it the text after the boundary
//! would start a cluster of at most five bytes. Every rule but one can matter: a three-byte letter (Hangul, an Indic consonant after a virama, a
//! pictograph after a joiner) may be followed by a two-byte mark. The rule for regional indicators is omitted: each has four bytes, and no
//! character that may join it has only one.

use super::tables::CLASSES;
use crate::tokenizer::unicode::RunTable;

/// Tags as in `class`.
static CLASS_RUNS: RunTable = RunTable::new(&CLASSES, 4);

/// The property of a character that the rules depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Other,
    /// Carriage return.
    Return,
    Control,
    /// Joins the character before it, also within an Indic conjunct.
    Extend,
    /// An Indic virama: joins the character before it, and consonants after it.
    Linker,
    /// Joins the character before it, but ends a conjunct.
    ExtendOnly,
    /// U+200D, the zero width joiner.
    Joiner,
    SpacingMark,
    /// Joins the character after it.
    Prepend,
    Consonant,
    Pictograph,
    /// A Hangul leading letter.
    Lead,
    /// A Hangul vowel, or a syllable without a trailing letter.
    Vowel {
        syllable: bool,
    },
    /// A Hangul trailing letter, or a syllable with one.
    Tail {
        syllable: bool,
    },
}

/// How far a conjunct, or an emoji sequence, has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    None,
    /// It has its first character.
    Started,
    /// It joins the next character.
    Linked,
}

/// The state that the next boundary depends on.
#[derive(Clone, Copy, Debug)]
pub struct Boundaries {
    previous: Class,
    conjunct: Progress,
    emoji: Progress,
}

impl Boundaries {
    /// The boundaries of a text from its start.
    pub fn new() -> Self {
        Boundaries { previous: Class::Control, conjunct: Progress::None, emoji: Progress::None }
    }

    /// Takes the next character; whether it starts a cluster.
    pub fn take(&mut self, character: char) -> bool {
        let class = class(character);
        let joins = match (self.previous, class) {
            (Class::Return, Class::Control) => character == '\n',
            (Class::Return | Class::Control, _) | (_, Class::Return | Class::Control) => false,
            (Class::Lead, Class::Lead | Class::Vowel { .. } | Class::Tail { syllable: true }) => true,
            (Class::Vowel { .. }, Class::Vowel { syllable: false } | Class::Tail { syllable: false }) => true,
            (Class::Tail { .. }, Class::Tail { syllable: false }) => true,
            (_, Class::Extend | Class::Linker | Class::ExtendOnly | Class::Joiner | Class::SpacingMark) | (Class::Prepend, _) => true,
            (_, Class::Consonant) => self.conjunct == Progress::Linked,
            (_, Class::Pictograph) => self.emoji == Progress::Linked,
            _ => false,
        };
        self.conjunct = match class {
            Class::Consonant => Progress::Started,
            Class::Linker if self.conjunct != Progress::None => Progress::Linked,
            Class::Extend | Class::Joiner => self.conjunct,
            _ => Progress::None,
        };
        self.emoji = match class {
            Class::Pictograph => Progress::Started,
            Class::Extend | Class::Linker | Class::ExtendOnly if self.emoji == Progress::Started => Progress::Started,
            Class::Joiner if self.emoji == Progress::Started => Progress::Linked,
            _ => Progress::None,
        };
        self.previous = class;
        !joins
    }
}

const SYLLABLES: u32 = 0xAC00;
const TAIL_COUNT: u32 = 28;

fn class(character: char) -> Class {
    match character {
        ' '..='~' => return Class::Other,
        '\r' => return Class::Return,
        '\0'..='\u{7F}' => return Class::Control,
        '\u{AC00}'..='\u{D7A3}' => {
            let without_tail = (character as u32).saturating_sub(SYLLABLES).is_multiple_of(TAIL_COUNT);
            return if without_tail { Class::Vowel { syllable: true } } else { Class::Tail { syllable: true } };
        }
        _ => {}
    }
    match CLASS_RUNS.tag(character) {
        1 => Class::Control,
        2 => Class::Extend,
        3 => Class::Linker,
        4 => Class::ExtendOnly,
        5 => Class::Joiner,
        6 => Class::SpacingMark,
        7 => Class::Prepend,
        8 => Class::Consonant,
        9 => Class::Pictograph,
        10 => Class::Lead,
        11 => Class::Vowel { syllable: false },
        12 => Class::Tail { syllable: false },
        _ => Class::Other,
    }
}
