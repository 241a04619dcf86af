//! The vocabulary's map of characters (SentencePiece's `precompiled_charsmap`).
//!
//! The packer keeps the keys of the published map that can match: those of at most five bytes that do not start with a shorter key. A row is
//! one u64, so that the map is searched in place: the bytes of the key, the first one highest, padded with zeros, then (24 bits) the start of
//! its replacement.

use crate::error::Error;
use crate::tokenizer::flags::unigram::{
    CHARSMAP_END as END, CHARSMAP_KEY_BYTES as KEY_BYTES, CHARSMAP_REPLACEMENT_BYTES as REPLACEMENT_BYTES,
};
use crate::tokenizer::reader::{Le32, invalid};

/// A checked view of the section's map.
#[derive(Clone, Copy, Debug)]
pub struct Charmap<'a> {
    /// In ascending order.
    rows: &'a [[Le32; 2]],
    /// Replacements, each followed by [`END`].
    strings: &'a str,
    /// A bit for each ASCII character that is a key: the others need no search.
    ascii: [u32; 4],
}

/// The bytes of a key, padded with zeros: the first byte is the highest, byte 4 is apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    high: u32,
    low: u8,
}

impl Key {
    /// The first [`KEY_BYTES`] bytes of `text`.
    fn of(text: &[u8]) -> Self {
        let byte = |at: usize| text.get(at).copied().unwrap_or(0);
        Key { high: u32::from_be_bytes([byte(0), byte(1), byte(2), byte(3)]), low: byte(4) }
    }

    fn bytes(self) -> [u8; KEY_BYTES] {
        let [a, b, c, d] = self.high.to_be_bytes();
        [a, b, c, d, self.low]
    }

    /// Bytes before the padding.
    fn len(self) -> usize {
        self.bytes().iter().rposition(|&byte| byte != 0).map_or(0, |last| last.saturating_add(1))
    }

    /// Whether `text` starts with this key.
    fn is_prefix_of(self, text: Key) -> bool {
        let length = self.len();
        self.bytes().iter().zip(text.bytes()).take(length).all(|(a, b)| *a == b)
    }
}

impl<'a> Charmap<'a> {
    /// Checks the map: keys in order, none the prefix of another, and replacements that end.
    pub fn new(rows: &'a [[Le32; 2]], strings: &'a [u8]) -> Result<Self, Error> {
        let strings = core::str::from_utf8(strings).map_err(|_| invalid("the map of characters is not UTF-8"))?;
        let mut map = Charmap { rows, strings, ascii: [0; 4] };
        if strings.chars().next_back().is_some_and(|last| last != END) {
            return Err(invalid("the map of characters is truncated"));
        }
        let mut previous: Option<Key> = None;
        for row in rows {
            let (key, at) = read(row);
            let length = key.len();
            let is_padded_once = !key.bytes().iter().take(length).any(|&byte| byte == 0);
            if length == 0 || !is_padded_once || previous.is_some_and(|previous| previous >= key || previous.is_prefix_of(key)) {
                return Err(invalid("the keys of the map of characters are not in order"));
            }
            let bytes = map.replacement(at).take(REPLACEMENT_BYTES + 1).map(char::len_utf8).sum::<usize>();
            if !strings.is_char_boundary(at) || at >= strings.len() || bytes > REPLACEMENT_BYTES {
                return Err(invalid("a replacement in the map of characters is outside it, or has more than 255 bytes"));
            }
            let [first, ..] = key.bytes();
            if length == 1
                && let Some(bits) = map.ascii.get_mut(usize::from(first / 32))
            {
                *bits |= 1 << (first % 32);
            }
            previous = Some(key);
        }
        Ok(map)
    }

    /// The characters of the replacement that starts at `at`.
    fn replacement(&self, at: usize) -> impl Iterator<Item = char> {
        self.strings.get(at..).unwrap_or_default().chars().take_while(|&character| character != END)
    }

    /// The replacement, which [`END`] follows, of `text`: at most [`KEY_BYTES`] bytes that are a key or start with one.
    pub fn find(&self, text: &[u8]) -> Option<&'a str> {
        if let &[character] = text
            && self.ascii.get(usize::from(character / 32)).is_some_and(|bits| bits >> (character % 32) & 1 == 0)
        {
            return None;
        }
        let wanted = Key::of(text);
        // The only key that can be a prefix: another between the two in the order would start with it.
        let at = self.rows.partition_point(|row| read(row).0 <= wanted).checked_sub(1)?;
        let (key, at) = read(self.rows.get(at)?);
        if key.is_prefix_of(wanted) { self.strings.get(at..) } else { None }
    }

    /// Upper bound on the characters (with `in_bytes`, the bytes) that the map makes of each byte of a text.
    pub fn growth(&self, in_bytes: bool) -> usize {
        let growth = |row| {
            let (key, at) = read(row);
            let size: usize = self.replacement(at).map(|character| if in_bytes { character.len_utf8() } else { 1 }).sum();
            size.div_ceil(key.len().max(1))
        };
        self.rows.iter().map(growth).max().unwrap_or(1).max(1)
    }
}

/// The key of a row, and the start of its replacement.
fn read(row: &[Le32; 2]) -> (Key, usize) {
    let [[a, b, c, low], high] = *row;
    (Key { high: u32::from_le_bytes(high), low }, u32::from_le_bytes([a, b, c, 0]) as usize)
}
