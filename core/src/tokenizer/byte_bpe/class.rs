//! The classes of characters that the patterns of pre-tokenizers distinguish.
//!
//! In the `tokenizers` crate the regular expressions use Unicode 16, and the splitting of digits that of Rust's standard library, which is
//! newer.

use super::tables::CLASSES;
use crate::tokenizer::unicode::{RunTable, is_whitespace};

/// Letters (tag 1), numbers (2), and numbers of the newest Unicode only (3).
static LETTERS_AND_NUMBERS: RunTable = RunTable::new(&CLASSES, 2);

/// The classes of characters that a pattern distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// White space: `\s`.
    Space,
    /// `\p{L}`.
    Letter,
    /// `\p{N}`.
    Number,
    /// Everything else.
    Other,
}

/// The class of a character.
pub fn class(character: char) -> Class {
    match character {
        'a'..='z' | 'A'..='Z' => Class::Letter,
        '0'..='9' => Class::Number,
        _ if is_whitespace(character) => Class::Space,
        '\0'..='\u{7F}' => Class::Other,
        _ => match LETTERS_AND_NUMBERS.tag(character) {
            1 => Class::Letter,
            2 => Class::Number,
            _ => Class::Other,
        },
    }
}

/// Whether a character is a number in the newest Unicode.
pub fn is_newest_number(character: char) -> bool {
    if character.is_ascii() { character.is_ascii_digit() } else { LETTERS_AND_NUMBERS.tag(character) >= 2 }
}
