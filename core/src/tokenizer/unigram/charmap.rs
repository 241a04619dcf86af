//! A vocabulary's map of characters: what stands in a text for what (SentencePiece's `precompiled_charsmap`).
//!
//! The packer leaves those keys of the published map that can match: of at most five bytes, and none that begins with another. Each row is
//! one u64, so that a map is searched where it lies: the key's bytes, the first one highest and zeros behind the last, then (24 bits) where
//! its replacement starts.

use crate::error::Error;
use crate::tokenizer::section::wrong;
use crate::tokenizer::vocabulary::Words;

/// A longer cluster is replaced character by character.
pub(super) const KEY_BYTES: usize = 5;

/// What ends each replacement.
pub(super) const END: char = '\0';

/// Longest replacement, so that a map is checked in time that its bytes bound.
const REPLACEMENT_BYTES: usize = 255;

/// Bits of a row that say where the replacement starts.
const AT_BITS: u32 = 24;

/// A checked view of the section's map.
#[derive(Clone, Copy, Debug)]
pub(in crate::tokenizer) struct Charmap<'a> {
    /// In ascending order.
    rows: &'a [[[u8; 4]; 2]],
    /// Replacements, each ended by [`END`].
    strings: &'a str,
    /// A bit for each ASCII character that is a key: the others are told from it without a search.
    ascii: u128,
}

impl<'a> Charmap<'a> {
    /// Checks what the section states: keys in order, none the beginning of another, and replacements that end.
    pub fn new(rows: Words<'a>, strings: &'a [u8]) -> Result<Self, Error> {
        let (rows, odd) = rows.as_chunks::<2>();
        let strings = core::str::from_utf8(strings).map_err(|_| wrong("its map of characters is not UTF-8"))?;
        let mut map = Charmap { rows, strings, ascii: 0 };
        if !odd.is_empty() || strings.chars().next_back().is_some_and(|last| last != END) {
            return Err(wrong("its map of characters is cut"));
        }
        let mut before = None;
        for row in rows {
            let (key, at) = read(row);
            let ends_once = (key.trailing_zeros() / 8..5).all(|byte| key >> (8 * byte) & 0xFF != 0);
            if key == 0 || !ends_once || before.is_some_and(|before| before >= key || starts(before, key)) {
                return Err(wrong("the keys of its map of characters are not in order"));
            }
            let length = map.replacement(at).take(REPLACEMENT_BYTES + 1).map(char::len_utf8).sum::<usize>();
            if !strings.is_char_boundary(at) || at >= strings.len() || length > REPLACEMENT_BYTES {
                return Err(wrong("a replacement of its map of characters is outside it, or above 255 bytes"));
            }
            if key.trailing_zeros() >= 32 {
                map.ascii |= 1_u128.checked_shl((key >> 32) as u32).unwrap_or(0);
            }
            before = Some(key);
        }
        Ok(map)
    }

    /// The characters of the replacement that starts at a place.
    fn replacement(&self, at: usize) -> impl Iterator<Item = char> {
        self.strings.get(at..).unwrap_or_default().chars().take_while(|&character| character != END)
    }

    /// What stands for `text`, at most [`KEY_BYTES`] bytes, that a key is or begins; [`END`] behind it ends it.
    pub fn find(&self, text: &[u8]) -> Option<&'a str> {
        if let [character @ 0..=0x7F] = text
            && self.ascii >> character & 1 == 0
        {
            return None;
        }
        let wanted = (0..KEY_BYTES).fold(0, |key, at| key << 8 | u64::from(text.get(at).copied().unwrap_or(0)));
        // The only key that may begin it: one between the two would begin with that.
        let at = self.rows.partition_point(|row| read(row).0 <= wanted).checked_sub(1)?;
        let (key, at) = read(self.rows.get(at)?);
        if starts(key, wanted) { self.strings.get(at..) } else { None }
    }

    /// How many times its bytes a text's characters may be, or with `in_bytes` its bytes, once it went through the map.
    pub fn growth(&self, in_bytes: bool) -> usize {
        let growth = |row| {
            let (key, at) = read(row);
            let size: usize = self.replacement(at).map(|character| if in_bytes { character.len_utf8() } else { 1 }).sum();
            size.div_ceil(KEY_BYTES.saturating_sub(key.trailing_zeros() as usize / 8).max(1))
        };
        self.rows.iter().map(growth).max().unwrap_or(1).max(1)
    }
}

/// A row's key, in 40 bits, and where its replacement starts.
fn read(row: &[[u8; 4]; 2]) -> (u64, usize) {
    let [low, high] = row.map(|word| u64::from(u32::from_le_bytes(word)));
    let row = high << 32 | low;
    (row >> AT_BITS, (row & ((1 << AT_BITS) - 1)) as usize)
}

/// Whether `text` begins with `key`.
fn starts(key: u64, text: u64) -> bool {
    let behind = key.trailing_zeros() & !7;
    key.checked_shr(behind) == text.checked_shr(behind)
}
