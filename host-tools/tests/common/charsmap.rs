//! A map of characters as SentencePiece writes it, made on the spot: a double-array trie, and the replacements.

#![allow(dead_code, reason = "each test file is a crate of its own and uses a part of this")]

use std::collections::{BTreeMap, BTreeSet};
use unicode_normalization_alignments::UnicodeNormalization as _;

/// Pairs of what is replaced and what stands for it then.
pub type Pairs = BTreeMap<String, String>;

/// The file's bytes.
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

/// The units of the array; a place that is none is taken by no node.
#[derive(Default)]
struct Trie {
    units: Vec<u32>,
    taken: BTreeSet<usize>,
    first_free: usize,
}

impl Trie {
    /// Places the nodes below one, to which `depth` bytes of sorted `keys` lead, and returns what its place is combined with.
    fn place(&mut self, keys: &[(&[u8], u32)], depth: usize) -> u32 {
        let byte = |key: &(&[u8], u32)| key.0.get(depth).copied().unwrap_or(0);
        let groups: Vec<&[(&[u8], u32)]> = keys.chunk_by(|a, b| byte(a) == byte(b)).collect();
        let is_free = |base: usize| groups.iter().all(|group| !self.taken.contains(&(base ^ usize::from(byte(&group[0])))));
        while self.taken.contains(&self.first_free) || self.first_free == 0 {
            self.first_free += 1;
        }
        // The place itself is where the value lies, if a key ends here; it is taken in any case, so that no two nodes share it.
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
        // All 256 places that a byte may lead to exist; none of them has a label that leads there, unless it is set.
        if self.units.len() <= at {
            self.units.resize((at / 256 + 1) * 256, 1 << 31);
        }
        self.units[at] = unit;
    }
}

/// Unicode's form KC of each character and, as SentencePiece has it, of what composes to one; white space and controls as its `nmt` has them,
/// roughly.
pub fn nfkc() -> Pairs {
    let form = |text: &str| text.nfkc().map(|(character, _)| character).collect::<String>();
    let mut pairs = Pairs::new();
    for character in '\u{1}'..=char::MAX {
        let text = character.to_string();
        let replacement = match character {
            '\t' | '\n' | '\r' | '\u{1680}' | '\u{200B}'..='\u{200F}' | '\u{2028}' | '\u{2029}' | '\u{FEFF}' => " ".to_owned(),
            '\u{1}'..='\u{1F}' | '\u{7F}'..='\u{9F}' => String::new(),
            _ => form(&text),
        };
        let parts: String = text.nfkd().map(|(character, _)| character).collect();
        if form(&parts) != parts {
            pairs.insert(parts, replacement.clone());
        }
        if replacement != text {
            pairs.insert(text, replacement);
        }
    }
    pairs
}

/// What no published map has: keys that others begin with, keys of the longest cluster, empty and long replacements, marks and letters that go
/// away, replacements that keys match again.
pub fn contrary() -> Pairs {
    let pairs = [
        ("a", "b"),
        ("a\u{301}", "never"),
        ("b", "a"),
        ("c\u{301}", "C"),
        ("c\u{301}\u{301}", "never"),
        ("d\u{301}\u{302}", "D"),
        ("e", ""),
        ("\u{301}", "'"),
        ("\u{20D0}", ""),
        ("x\u{20D0}", " x "),
        ("\r\n", "▁"),
        ("\n", " "),
        ("\u{3000}", "  "),
        ("Ａ", "A"),
        ("Ａ\u{301}", "never"),
        ("\u{1175}", "i"),
        ("\u{958}", "k"),
        ("™", "TM"),
        ("\u{600}x", "P"),
        ("\u{110BD}y", "Q"),
        ("ﷺ", "صلى الله عليه وسلم"),
        ("漢", "a long replacement of many words, which is longer than any of those that are published"),
        ("z", "\u{301}"),
        ("q\u{1D165}", "note"),
    ];
    pairs.map(|(key, replacement)| (key.to_owned(), replacement.to_owned())).into()
}
