//! SentencePiece's `precompiled_charsmap`: a double-array trie (Aoe 1989, in the layout of the library Darts) of the replaced characters, and
//! their replacements.

use std::collections::BTreeMap;

use attoformer::internals::tokenizer::flags::unigram as flags;

/// Longest key that can match, bytes: of a longer grapheme cluster each character, of at most four bytes, is looked up by itself.
const KEY_BYTES_MAX: usize = flags::CHARSMAP_KEY_BYTES;
/// Longest replacement that an image stores, bytes.
const REPLACEMENT_BYTES_MAX: usize = flags::CHARSMAP_REPLACEMENT_BYTES;
/// All replacements that an image stores, bytes: their offsets have 24 bits.
const BYTES_MAX: usize = 1 << flags::CHARSMAP_START_BITS;

/// Replacements by key: keys of at most five bytes that can match. No key begins with another one, because the shortest match of a cluster counts.
pub type Charmap = BTreeMap<String, String>;

/// Reason why a charsmap cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum CharsmapError {
    /// The bytes end inside the trie or the size field.
    #[error("precompiled_charsmap is truncated")]
    Truncated,
    /// The replacements are not UTF-8.
    #[error("the replacements of precompiled_charsmap are not UTF-8")]
    ReplacementNotUtf8,
    /// A key is not UTF-8.
    #[error("a key of precompiled_charsmap is not UTF-8")]
    KeyNotUtf8,
    /// A replacement outside the list of replacements.
    #[error("precompiled_charsmap replaces {key:?} by text outside its replacements")]
    ReplacementRange {
        /// The key.
        key: String,
    },
    /// A replacement that is too long.
    #[error("precompiled_charsmap replaces {key:?} by {bytes} bytes; at most {REPLACEMENT_BYTES_MAX} are supported")]
    ReplacementTooLong {
        /// The key.
        key: String,
        /// Length of the replacement.
        bytes: usize,
    },
    /// All replacements together are too long.
    #[error("the replacements of precompiled_charsmap have {0} bytes; at most {BYTES_MAX} are supported")]
    TooLarge(usize),
    /// A trie node that has several parents.
    #[error("the trie of precompiled_charsmap reaches one node by several paths")]
    NotATree,
    /// A node outside the trie.
    #[error("the trie of precompiled_charsmap refers to a node outside itself")]
    NodeRange,
}

/// Parses `precompiled_charsmap`: the trie's size in bytes (u32), its units (u32 each), then replacements that end with NUL.
///
/// # Errors
/// [`CharsmapError`]: the bytes are damaged, or replacements are too long for an image.
pub fn parse_charsmap(precompiled: &[u8]) -> Result<Charmap, CharsmapError> {
    let (&size, rest) = precompiled.split_first_chunk().ok_or(CharsmapError::Truncated)?;
    let (trie, replacements) = rest.split_at_checked(u32::from_le_bytes(size) as usize / 4 * 4).ok_or(CharsmapError::Truncated)?;
    let units = trie.as_chunks().0.iter().map(|&unit| Unit(u32::from_le_bytes(unit))).collect();
    let replacements = std::str::from_utf8(replacements).map_err(|_| CharsmapError::ReplacementNotUtf8)?;
    let mut keys = Keys { units, found: Vec::new(), visited: 0 };
    if let Some(root) = keys.units.first() {
        keys.collect(root.offset(), &mut Vec::new())?;
    }
    let entry = |(key, at): (Vec<u8>, usize)| {
        let key = String::from_utf8(key).map_err(|_| CharsmapError::KeyNotUtf8)?;
        let Some(rest) = replacements.get(at..) else { return Err(CharsmapError::ReplacementRange { key }) };
        let replacement = rest.split('\0').next().unwrap_or_default();
        if replacement.len() > REPLACEMENT_BYTES_MAX {
            return Err(CharsmapError::ReplacementTooLong { key, bytes: replacement.len() });
        }
        Ok((key, replacement.to_owned()))
    };
    let map: Charmap = keys.found.into_iter().map(entry).collect::<Result<_, CharsmapError>>()?;
    match map.values().map(|replacement| replacement.len() + 1).sum::<usize>() {
        bytes if bytes > BYTES_MAX => Err(CharsmapError::TooLarge(bytes)),
        _ => Ok(map),
    }
}

/// A unit of the double array: a node, or the value of a key that ends at the node.
#[derive(Clone, Copy)]
struct Unit(u32);

impl Unit {
    /// The byte that leads to the node; more than a byte for a unit that is not a node.
    fn label(self) -> u32 {
        self.0 & (1 << 31 | 0xFF)
    }

    /// XORed with the node's index, the base index of its children.
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

/// The keys of a trie.
struct Keys {
    units: Vec<Unit>,
    /// Keys with the offsets of their replacements.
    found: Vec<(Vec<u8>, usize)>,
    /// Nodes that were visited, at most as many as there are units in a tree.
    visited: usize,
}

impl Keys {
    /// Collects the shortest keys that begin with `key`, the path to the node whose children start at `base`.
    fn collect(&mut self, base: usize, key: &mut Vec<u8>) -> Result<(), CharsmapError> {
        for byte in 1..=u8::MAX {
            let at = base ^ usize::from(byte);
            let Some(&node) = self.units.get(at).filter(|unit| unit.label() == u32::from(byte)) else { continue };
            self.visited += 1;
            if self.visited > self.units.len() {
                return Err(CharsmapError::NotATree);
            }
            key.push(byte);
            let children = at ^ node.offset();
            if node.ends_key() {
                let value = self.units.get(children).ok_or(CharsmapError::NodeRange)?.value();
                self.found.push((key.clone(), value));
            } else if key.len() < KEY_BYTES_MAX {
                self.collect(children, key)?;
            }
            key.pop();
        }
        Ok(())
    }
}
