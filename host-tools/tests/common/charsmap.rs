//! Builder of SentencePiece's `precompiled_charsmap`: a double-array trie, and the replacements.

#![allow(dead_code, reason = "each test file is a crate of its own and uses a part of this")]

use std::collections::{BTreeMap, BTreeSet};

/// Keys and their replacements.
pub type Pairs = BTreeMap<String, String>;

/// The bytes of `precompiled_charsmap`.
pub fn precompiled(pairs: &Pairs) -> Vec<u8> {
    let mut strings = Vec::new();
    let values = pairs.iter().map(|(key, replacement)| {
        let at = strings.len() as u32;
        strings.extend(replacement.bytes().chain([0]));
        (key.as_bytes(), at)
    });
    let mut trie = Trie::default();
    let keys: Vec<(&[u8], u32)> = values.collect();
    let root = trie.place(&keys, 0);
    trie.set(0, root << 10);
    let size = (trie.units.len() * 4) as u32;
    let units = trie.units.into_iter().flat_map(u32::to_le_bytes);
    size.to_le_bytes().into_iter().chain(units).chain(strings).collect()
}

/// The units of the double array.
#[derive(Default)]
struct Trie {
    units: Vec<u32>,
    taken: BTreeSet<usize>,
    first_free: usize,
}

impl Trie {
    /// Places the children of the node that is reached by the first `depth` bytes of the sorted `keys`; returns their base index.
    fn place(&mut self, keys: &[(&[u8], u32)], depth: usize) -> u32 {
        let byte = |key: &(&[u8], u32)| key.0.get(depth).copied().unwrap_or(0);
        let groups: Vec<&[(&[u8], u32)]> = keys.chunk_by(|a, b| byte(a) == byte(b)).collect();
        let is_free = |base: usize| groups.iter().all(|group| !self.taken.contains(&(base ^ usize::from(byte(&group[0])))));
        while self.taken.contains(&self.first_free) || self.first_free == 0 {
            self.first_free += 1;
        }
        // The unit at the base itself stores the value of a key that ends here; it is taken in any case, so that no two nodes share a base.
        let base = (self.first_free..).find(|&base| !self.taken.contains(&base) && is_free(base)).unwrap();
        self.taken.insert(base);
        self.taken.extend(groups.iter().map(|group| base ^ usize::from(byte(&group[0]))));
        for group in groups {
            let at = base ^ usize::from(byte(&group[0]));
            if group[0].0.len() == depth {
                self.set(at, group[0].1 | 1 << 31);
                continue;
            }
            let ends = u32::from(group[0].0.len() == depth + 1);
            let below = self.place(group, depth + 1) ^ at as u32;
            let offset = if below < 1 << 21 { below << 10 } else { below >> 8 << 10 | 1 << 9 };
            self.set(at, offset | ends << 8 | u32::from(byte(&group[0])));
        }
        base as u32
    }

    fn set(&mut self, at: usize, unit: u32) {
        // All 256 units that a byte may lead to exist; a unit that is not set has no valid label.
        if self.units.len() <= at {
            self.units.resize((at / 256 + 1) * 256, 1 << 31);
        }
        self.units[at] = unit;
    }
}
