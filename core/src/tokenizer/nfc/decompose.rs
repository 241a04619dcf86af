//! Canonical decomposition, by [`tables`](super::tables) and by arithmetic for Hangul.

use super::tables::{FIRST_PLANE, PAIRS, SINGLES, STARTS, TARGETS};
use crate::tokenizer::unicode::{RunTable, in_plane};

/// Hangul syllables and their letters, the jamo (Unicode, chapter 3.12).
pub const SYLLABLES: u32 = 0xAC00;
pub const LEADS: u32 = 0x1100;
pub const VOWELS: u32 = 0x1161;
/// One before the first trailing letter: index 0 is a syllable without one.
pub const TAILS: u32 = 0x11A7;
pub const LEAD_COUNT: u32 = 19;
pub const VOWEL_COUNT: u32 = 21;
pub const TAIL_COUNT: u32 = 28;
pub const PER_LEAD: u32 = VOWEL_COUNT * TAIL_COUNT;
pub const SYLLABLE_COUNT: u32 = LEAD_COUNT * PER_LEAD;

/// Characters that decompose to a single one; the tag is the plane of that.
static SINGLE_RUNS: RunTable = RunTable::new(&SINGLES, 4);

/// Characters, each as its full canonical decomposition.
#[derive(Clone)]
pub struct Decomposed<I> {
    characters: I,
    /// The rest of the last decomposition, in reverse.
    parts: heapless::Vec<char, 4>,
}

impl<I: Iterator<Item = char>> Decomposed<I> {
    pub fn new(characters: I) -> Self {
        Decomposed { characters, parts: heapless::Vec::new() }
    }
}

impl<I: Iterator<Item = char>> Iterator for Decomposed<I> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        if self.parts.is_empty() {
            let character = self.characters.next()?;
            if character < '\u{C0}' {
                return Some(character);
            }
            decompose(character, &mut self.parts);
        }
        self.parts.pop()
    }
}

/// Writes the full canonical decomposition of a character in reverse: four characters at most.
#[inline(never)]
fn decompose(character: char, parts: &mut heapless::Vec<char, 4>) {
    let mut put = |part: char| {
        let put = parts.push(part);
        debug_assert!(put.is_ok(), "no character decomposes to more than four");
    };
    if let Some((lead, vowel, tail)) = syllable(character) {
        [tail, Some(vowel), Some(lead)].into_iter().flatten().for_each(put);
        return;
    }
    let mut first = single(character).unwrap_or(character);
    while let Some((head, tail)) = pair(first) {
        put(tail);
        first = head;
    }
    put(first);
}

/// The letters of a Hangul syllable.
fn syllable(character: char) -> Option<(char, char, Option<char>)> {
    let index = (character as u32).checked_sub(SYLLABLES).filter(|&index| index < SYLLABLE_COUNT)?;
    let tail = index % TAIL_COUNT;
    let tail = if tail > 0 { char::from_u32(TAILS + tail) } else { None };
    Some((char::from_u32(LEADS + index / PER_LEAD)?, char::from_u32(VOWELS + index % PER_LEAD / TAIL_COUNT)?, tail))
}

/// The two characters that one decomposes to.
#[inline(never)]
pub fn pair(character: char) -> Option<(char, char)> {
    let plane = character as u32 >> 16;
    let rows = match plane {
        0 => PAIRS.get(..FIRST_PLANE)?,
        1 => PAIRS.get(FIRST_PLANE..)?,
        _ => return None,
    };
    let at = rows.binary_search_by_key(&(character as u16), |&[whole, ..]| whole).ok()?;
    let [_, head, tail] = rows.get(at)?;
    Some((in_plane(plane, *head)?, in_plane(plane, *tail)?))
}

/// The single character that another decomposes to.
pub fn single(character: char) -> Option<char> {
    let run = SINGLE_RUNS.find(character)?;
    let at = usize::from(*STARTS.get(run.index)?).saturating_add(run.offset as usize);
    in_plane(run.tag, *TARGETS.get(at)?)
}
