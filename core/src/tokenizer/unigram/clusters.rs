//! Where a text may be cut between characters that a reader sees as one: extended grapheme clusters (Unicode 17, UAX 29), as the crate
//! unicode-segmentation finds them for the `tokenizers` crate.
//!
//! A map of characters replaces a cluster as a whole where it has at most five bytes; any other is gone through character by character, as if
//! there were no clusters. So a rule matters only where it keeps two characters of five bytes together, or where without it what follows
//! would begin a cluster of at most five bytes. All but one do: a letter of three bytes (Hangul, an Indic consonant behind a virama, a symbol
//! behind a joiner) may have a mark of two behind it. The rule left out is that of regional indicators: each has four bytes, and none of
//! what may join it has only one.

use super::tables::CLASSES;

/// What the rules see of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Other,
    Return,
    Control,
    /// Joins what is before it, also within an Indic conjunct.
    Extend,
    /// An Indic virama: joins what is before it, and consonants.
    Linker,
    /// Joins what is before it, but ends a conjunct.
    Apart,
    /// U+200D.
    Joiner,
    SpacingMark,
    /// Joins what is behind it.
    Prepend,
    Consonant,
    Pictograph,
    /// A Hangul leading letter.
    Lead,
    /// A vowel, or a syllable without a trailing letter.
    Vowel {
        syllable: bool,
    },
    /// A trailing letter, or a syllable with one.
    Tail {
        syllable: bool,
    },
}

/// How much of a conjunct, or of an emoji sequence, has been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    /// Its first character.
    Start,
    /// And what joins the next.
    Link,
}

/// What of the text so far the rules need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Boundaries {
    before: Class,
    conjunct: Seen,
    emoji: Seen,
}

impl Boundaries {
    /// Those of a text from its start.
    pub fn new() -> Self {
        Boundaries { before: Class::Control, conjunct: Seen::Nothing, emoji: Seen::Nothing }
    }

    /// Takes the next character, and says whether it begins a cluster.
    pub fn take(&mut self, character: char) -> bool {
        let class = class(character);
        let joins = match (self.before, class) {
            (Class::Return, Class::Control) => character == '\n',
            (Class::Return | Class::Control, _) | (_, Class::Return | Class::Control) => false,
            (Class::Lead, Class::Lead | Class::Vowel { .. } | Class::Tail { syllable: true }) => true,
            (Class::Vowel { .. }, Class::Vowel { syllable: false } | Class::Tail { syllable: false }) => true,
            (Class::Tail { .. }, Class::Tail { syllable: false }) => true,
            (_, Class::Extend | Class::Linker | Class::Apart | Class::Joiner | Class::SpacingMark) | (Class::Prepend, _) => true,
            (_, Class::Consonant) => self.conjunct == Seen::Link,
            (_, Class::Pictograph) => self.emoji == Seen::Link,
            _ => false,
        };
        self.conjunct = match class {
            Class::Consonant => Seen::Start,
            Class::Linker if self.conjunct != Seen::Nothing => Seen::Link,
            Class::Extend | Class::Joiner => self.conjunct,
            _ => Seen::Nothing,
        };
        self.emoji = match class {
            Class::Pictograph => Seen::Start,
            Class::Extend | Class::Linker | Class::Apart if self.emoji == Seen::Start => Seen::Start,
            Class::Joiner if self.emoji == Seen::Start => Seen::Link,
            _ => Seen::Nothing,
        };
        self.before = class;
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
    // Each run is its first character (21 bits), its length less one (7 bits), a tag (4 bits).
    let at = CLASSES.partition_point(|run| run >> 11 <= character as u32);
    let run = at.checked_sub(1).and_then(|at| CLASSES.get(at)).copied().unwrap_or(0);
    if (character as u32).saturating_sub(run >> 11) > run >> 4 & 0x7F {
        return Class::Other;
    }
    match run & 15 {
        1 => Class::Control,
        2 => Class::Extend,
        3 => Class::Linker,
        4 => Class::Apart,
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
