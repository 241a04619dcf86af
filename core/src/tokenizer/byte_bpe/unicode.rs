//! The classes of characters that the patterns of words tell apart, looked up in [`tables`](super::tables).
//!
//! The regular expressions run on Unicode 16 in the `tokenizers` crate, its digits on that of Rust's standard library, which is newer.

use super::tables::CLASSES;

/// What a pattern sees of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// White space.
    Space,
    /// L.
    Letter,
    /// N.
    Number,
    /// The rest.
    Other,
}

/// The class of a character.
pub(super) fn class(character: char) -> Class {
    match character {
        'a'..='z' | 'A'..='Z' => Class::Letter,
        '0'..='9' => Class::Number,
        _ if character.is_whitespace() => Class::Space,
        '\0'..='\u{7F}' => Class::Other,
        _ => match tag(character) {
            1 => Class::Letter,
            2 => Class::Number,
            _ => Class::Other,
        },
    }
}

/// Whether a character is a number to the newest Unicode.
pub(super) fn is_newest_number(character: char) -> bool {
    if character.is_ascii() { character.is_ascii_digit() } else { tag(character) >= 2 }
}

/// The tag of a character's run, 0 outside. Each run is its first character (21 bits), its length less one (9 bits), its tag (2 bits).
fn tag(character: char) -> u32 {
    let at = CLASSES.partition_point(|run| run >> 11 <= character as u32);
    let run = at.checked_sub(1).and_then(|at| CLASSES.get(at)).copied().unwrap_or(0);
    let inside = (character as u32).saturating_sub(run >> 11) <= run >> 2 & 0x1FF;
    if inside { run & 3 } else { 0 }
}
