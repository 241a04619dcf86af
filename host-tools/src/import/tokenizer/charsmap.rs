//! The map of characters that SentencePiece puts before its models: `precompiled_charsmap`, a double-array trie (Aoe 1989, as the library
//! Darts lays it out) of what is replaced, and the replacements.

use std::collections::BTreeMap;

/// Longest key that can match: of a longer cluster each character, of at most four bytes, is looked up by itself.
const KEY_BYTES: usize = 5;
/// Longest replacement that an image holds.
const REPLACEMENT_BYTES_MAX: usize = 255;

/// All replacements that an image holds, whose places have 24 bits.
const BYTES_MAX: usize = 1 << 24;

/// What can match of a map: keys of at most five bytes, none of which begins with another (of a cluster the shortest counts), and what they become.
pub type Charmap = BTreeMap<String, String>;

/// Reads the map: u32 bytes of the trie, its units (u32 each), replacements ended by NUL.
///
/// # Errors
/// A sentence's end: what is wrong with it.
pub fn charmap(precompiled: &[u8]) -> Result<Charmap, String> {
    let cut = || "its map of characters (precompiled_charsmap) is cut".to_owned();
    let (&size, rest) = precompiled.split_first_chunk().ok_or_else(cut)?;
    let (trie, replacements) = rest.split_at_checked(u32::from_le_bytes(size) as usize / 4 * 4).ok_or_else(cut)?;
    let units = trie.as_chunks().0.iter().map(|&unit| Unit(u32::from_le_bytes(unit))).collect();
    let replacements = std::str::from_utf8(replacements).map_err(|_| "the replacements of its map of characters are not UTF-8")?;
    let mut keys = Keys { units, found: Vec::new(), visited: 0 };
    if let Some(root) = keys.units.first() {
        keys.below(root.offset(), &mut Vec::new())?;
    }
    let pair = |(key, at): (Vec<u8>, usize)| {
        let key = String::from_utf8(key).map_err(|_| "a key of its map of characters is not UTF-8")?;
        let outside = || format!("its map of characters replaces {key:?} by what is outside it");
        let replacement = replacements.get(at..).ok_or_else(outside)?.split('\0').next().unwrap_or_default();
        if replacement.len() > REPLACEMENT_BYTES_MAX {
            let bytes = replacement.len();
            return Err(format!("its map of characters replaces {key:?} by {bytes} bytes, {REPLACEMENT_BYTES_MAX} at most can be packed"));
        }
        Ok((key, replacement.to_owned()))
    };
    let map: Charmap = keys.found.into_iter().map(pair).collect::<Result<_, String>>()?;
    match map.values().map(|replacement| replacement.len() + 1).sum::<usize>() {
        bytes if bytes > BYTES_MAX => {
            Err(format!("the replacements of its map of characters have {bytes} bytes, {BYTES_MAX} at most can be packed"))
        }
        _ => Ok(map),
    }
}

/// A unit of the array: a node's, or the value below the node where a key ends.
#[derive(Clone, Copy)]
struct Unit(u32);

impl Unit {
    /// The byte that leads to the node; no byte where there is no node.
    fn label(self) -> u32 {
        self.0 & (1 << 31 | 0xFF)
    }

    /// What the place of a node is combined with to that of the nodes below it.
    fn offset(self) -> usize {
        ((self.0 >> 10) << ((self.0 & 1 << 9) >> 6)) as usize
    }

    fn ends_key(self) -> bool {
        self.0 >> 8 & 1 == 1
    }

    fn value(self) -> usize {
        (self.0 & !(1 << 31)) as usize
    }
}

/// The keys of a trie, collected.
struct Keys {
    units: Vec<Unit>,
    /// Each with the place of its replacement.
    found: Vec<(Vec<u8>, usize)>,
    visited: usize,
}

impl Keys {
    /// Collects the shortest keys below the node at `place`, which `key` led to.
    fn below(&mut self, place: usize, key: &mut Vec<u8>) -> Result<(), String> {
        for byte in 1..=u8::MAX {
            let at = place ^ usize::from(byte);
            let Some(&node) = self.units.get(at).filter(|unit| unit.label() == u32::from(byte)) else { continue };
            self.visited += 1;
            if self.visited > self.units.len() {
                return Err("the trie of its map of characters leads to one place in several ways".to_owned());
            }
            key.push(byte);
            let below = at ^ node.offset();
            if node.ends_key() {
                let value = self.units.get(below).ok_or("the trie of its map of characters leads out of it")?.value();
                self.found.push((key.clone(), value));
            } else if key.len() < KEY_BYTES {
                self.below(below, key)?;
            }
            key.pop();
        }
        Ok(())
    }
}
