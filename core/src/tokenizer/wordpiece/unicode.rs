//! What WordPiece must know of Unicode, looked up in [`tables`](super::tables).
//!
//! BERT's published tokenizers run on the tables of three libraries, of different versions of Unicode; so do these: categories by
//! Unicode 8, decompositions and combining classes by Unicode 9, lower case by the newest. A character that a version does not know is
//! a letter to it. A newer table would give other tokens than the model was trained on.

use super::tables::{KINDS, LOWER, LOWER_DELTAS};

/// Combining classes that marks with a width of their own have.
pub(super) const SPACING_CLASSES: u32 = 6;

/// What the normaliser and the splitter do with a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    Plain,
    /// Removed from clean text (Cc, Cf, Co).
    Control,
    /// An accent (Mn) that canonical order does not move.
    FixedMark,
    /// An accent (Mn) that canonical order may move.
    Mark,
    /// A word of its own (P).
    Punctuation,
    /// Not an accent, but canonical order may move it; with the rank of its combining class.
    SpacingMark(u32),
}

/// The kind of a character, which must be decomposed for its marks to tell.
pub(super) fn kind(character: char) -> Kind {
    match character {
        ' '..='~' if !character.is_ascii_punctuation() => return Kind::Plain,
        '\0'..='\u{7F}' if character.is_ascii_punctuation() => return Kind::Punctuation,
        '\0'..='\u{7F}' | '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..='\u{FFFFD}' | '\u{100000}'..='\u{10FFFD}' => return Kind::Control,
        _ => {}
    }
    match find(&KINDS, character) {
        None => Kind::Plain,
        Some(Run { tag: 1, .. }) => Kind::Control,
        Some(Run { tag: 2, .. }) => Kind::FixedMark,
        Some(Run { tag: 3, .. }) => Kind::Mark,
        Some(Run { tag: 4, .. }) => Kind::Punctuation,
        Some(Run { tag, .. }) => Kind::SpacingMark(tag.saturating_sub(5)),
    }
}

/// Whether a character is a word of its own: ASCII's symbols, and Unicode's punctuation.
pub(super) fn is_punctuation(character: char) -> bool {
    kind(character) == Kind::Punctuation
}

/// A character in lower case; only `İ` becomes two.
pub(super) fn lowercase(character: char) -> impl Iterator<Item = char> + Clone {
    let pair = match character {
        '\0'..='\u{7F}' => [Some(character.to_ascii_lowercase()), None],
        '\u{130}' => [Some('i'), Some('\u{307}')],
        _ => [Some(lower_letter(character).unwrap_or(character)), None],
    };
    pair.into_iter().flatten()
}

fn lower_letter(character: char) -> Option<char> {
    let run = find(&LOWER, character)?;
    let delta = LOWER_DELTAS.get(run.index)?;
    let every_second = run.tag == 1;
    if every_second && run.offset % 2 == 1 {
        return None;
    }
    in_plane(character as u32 >> 16, (character as u16).wrapping_add(*delta))
}

/// A stretch of characters that a table treats alike.
struct Run {
    /// Number of the run in its table.
    index: usize,
    /// How far the character is from the run's first.
    offset: u32,
    tag: u32,
}

/// The run that holds a character. Each entry is its first character (21 bits), its length less one (7 bits), a tag (4 bits).
fn find(runs: &[u32], character: char) -> Option<Run> {
    let index = runs.partition_point(|run| run >> 11 <= character as u32).checked_sub(1)?;
    let run = *runs.get(index)?;
    let offset = (character as u32).saturating_sub(run >> 11);
    (offset <= run >> 4 & 0x7F).then_some(Run { index, offset, tag: run & 15 })
}

/// The character with these low 16 bits in a plane of Unicode.
fn in_plane(plane: u32, low: u16) -> Option<char> {
    char::from_u32(plane << 16 | u32::from(low))
}
