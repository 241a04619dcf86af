//! The classes of characters that WordPiece distinguishes, and lower case.
//!
//! BERT's published tokenizers use the tables of three libraries, which have different versions of Unicode. These tables do the same:
//! categories by Unicode 8, decompositions and combining classes by Unicode 9, lower case by the newest version. A character that a version
//! lacks is a letter. A newer table would give other tokens than those that the model was trained on.

use super::tables::{KINDS, LOWER, LOWER_DELTAS};
use crate::tokenizer::unicode::{RunTable, in_plane};

/// Characters that are not plain; tags as in `class`.
static CLASS_RUNS: RunTable = RunTable::new(&KINDS, 4);

/// Capital letters; with tag 1 only every second character is one.
static CAPITAL_RUNS: RunTable = RunTable::new(&LOWER, 4);

/// Number of combining classes that spacing marks have.
pub const SPACING_CLASSES: u32 = 6;

/// The treatment of a character by the normalizer and the pre-tokenizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nothing.
    Plain,
    /// Removed from clean text (Cc, Cf, Co).
    Control,
    /// A nonspacing mark, an accent (Mn), of combining class 0: it keeps its place in canonical order.
    FixedMark,
    /// Any other nonspacing mark.
    Mark,
    /// A word of its own (P).
    Punctuation,
    /// Not a nonspacing mark, but reordered by its combining class, whose rank this is.
    SpacingMark(u32),
}

/// The class of a character. One that is not decomposed counts as a mark only if all of its parts are marks.
pub fn class(character: char) -> Class {
    match character {
        ' '..='~' if !character.is_ascii_punctuation() => return Class::Plain,
        '\0'..='\u{7F}' if character.is_ascii_punctuation() => return Class::Punctuation,
        '\0'..='\u{7F}' | '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..='\u{FFFFD}' | '\u{100000}'..='\u{10FFFD}' => return Class::Control,
        _ => {}
    }
    match CLASS_RUNS.tag(character) {
        0 => Class::Plain,
        1 => Class::Control,
        2 => Class::FixedMark,
        3 => Class::Mark,
        4 => Class::Punctuation,
        tag => Class::SpacingMark(tag.saturating_sub(5)),
    }
}

/// Whether a character is a word of its own: an ASCII symbol, or Unicode's punctuation.
pub fn is_punctuation(character: char) -> bool {
    class(character) == Class::Punctuation
}

/// A character in lower case. Only `İ` becomes two.
pub fn lowercase(character: char) -> (char, Option<char>) {
    match character {
        '\0'..='\u{7F}' => (character.to_ascii_lowercase(), None),
        '\u{130}' => ('i', Some('\u{307}')),
        _ => (lower_letter(character).unwrap_or(character), None),
    }
}

fn lower_letter(character: char) -> Option<char> {
    let run = CAPITAL_RUNS.find(character)?;
    let delta = LOWER_DELTAS.get(run.index)?;
    let is_every_second = run.tag == 1;
    if is_every_second && run.offset % 2 == 1 {
        return None;
    }
    in_plane(character as u32 >> 16, (character as u16).wrapping_add(*delta))
}
