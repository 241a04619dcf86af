//! What normalisation must know of Unicode, looked up in [`tables`](super::tables).

use super::tables::{CLASSES, COMPOSITES, FIRST_PLANE, JOINING, PAIRS, SINGLES, STARTS, TARGETS};
use core::cmp::Ordering;

const SYLLABLES: u32 = 0xAC00;
const LEADS: u32 = 0x1100;
const VOWELS: u32 = 0x1161;
/// One before the first: none.
const TAILS: u32 = 0x11A7;
const LEAD_COUNT: u32 = 19;
const VOWEL_COUNT: u32 = 21;
const TAIL_COUNT: u32 = 28;
const PER_LEAD: u32 = VOWEL_COUNT * TAIL_COUNT;
const SYLLABLE_COUNT: u32 = LEAD_COUNT * PER_LEAD;

/// The rank of a character's canonical combining class; 0 for class 0.
pub(super) fn class(character: char) -> u32 {
    match rank(character) {
        JOINING => 0,
        rank => rank,
    }
}

/// Whether a text of such characters only is in form C.
pub(super) fn is_settled(character: char) -> bool {
    character < '\u{300}' || (rank(character) == 0 && pair(character).is_none() && single(character).is_none())
}

/// Writes the full canonical decomposition of a character, the last part first: four at most.
pub(super) fn decompose(character: char, parts: &mut heapless::Vec<char, 4>) {
    let mut put = |part: char| {
        // Cannot fail: no character has more parts.
        let _ = parts.push(part);
    };
    if character < '\u{C0}' {
        return put(character);
    }
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

/// The character that two become, if they do.
pub(super) fn compose(head: char, tail: char) -> Option<char> {
    compose_syllable(head, tail).or_else(|| {
        let plane = head as u32 >> 16;
        if plane > 1 || plane != tail as u32 >> 16 {
            return None;
        }
        let wanted = (plane as usize, head as u16, tail as u16);
        let order = |&at: &u16| {
            let at = usize::from(at);
            let row = PAIRS.get(at).map(|&[_, head, tail]| (usize::from(at >= FIRST_PLANE), head, tail));
            row.map_or(Ordering::Less, |row| row.cmp(&wanted))
        };
        let at = COMPOSITES.binary_search_by(order).ok()?;
        let [whole, ..] = PAIRS.get(usize::from(*COMPOSITES.get(at)?))?;
        in_plane(plane, *whole)
    })
}

/// A Hangul syllable's letters (Unicode, chapter 3.12).
fn syllable(character: char) -> Option<(char, char, Option<char>)> {
    let index = (character as u32).checked_sub(SYLLABLES).filter(|&index| index < SYLLABLE_COUNT)?;
    let tail = index % TAIL_COUNT;
    let tail = if tail > 0 { char::from_u32(TAILS + tail) } else { None };
    Some((char::from_u32(LEADS + index / PER_LEAD)?, char::from_u32(VOWELS + index % PER_LEAD / TAIL_COUNT)?, tail))
}

/// A leading letter and a vowel, or a syllable of those and a trailing letter, as one syllable.
fn compose_syllable(head: char, tail: char) -> Option<char> {
    let within = |character: char, from: u32, count: u32| (character as u32).checked_sub(from).filter(|&index| index < count);
    if let (Some(lead), Some(vowel)) = (within(head, LEADS, LEAD_COUNT), within(tail, VOWELS, VOWEL_COUNT)) {
        return char::from_u32(SYLLABLES + lead * PER_LEAD + vowel * TAIL_COUNT);
    }
    let open = within(head, SYLLABLES, SYLLABLE_COUNT).filter(|index| index % TAIL_COUNT == 0)?;
    let tail = within(tail, TAILS, TAIL_COUNT).filter(|&tail| tail > 0)?;
    char::from_u32(SYLLABLES + open + tail)
}

/// The two characters that one becomes.
fn pair(character: char) -> Option<(char, char)> {
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

/// The one character that another becomes.
fn single(character: char) -> Option<char> {
    let index = SINGLES.partition_point(|run| run >> 11 <= character as u32).checked_sub(1)?;
    let run = *SINGLES.get(index)?;
    let offset = (character as u32).saturating_sub(run >> 11);
    if offset > run >> 4 & 0x7F {
        return None;
    }
    let at = usize::from(*STARTS.get(index)?).saturating_add(offset as usize);
    in_plane(run & 15, *TARGETS.get(at)?)
}

/// The tag of a character's run in [`CLASSES`].
fn rank(character: char) -> u32 {
    if character < '\u{300}' {
        return 0;
    }
    let at = CLASSES.partition_point(|run| run >> 11 <= character as u32);
    let run = at.checked_sub(1).and_then(|at| CLASSES.get(at)).copied().unwrap_or(0);
    let inside = (character as u32).saturating_sub(run >> 11) <= run >> 6 & 0x1F;
    if inside { run & 0x3F } else { 0 }
}

/// The character with these low 16 bits in a plane of Unicode.
fn in_plane(plane: u32, low: u16) -> Option<char> {
    char::from_u32(plane << 16 | u32::from(low))
}
