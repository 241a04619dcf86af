//! Charsmaps: one like the published ones, and one of cases that no published one has.

#![allow(dead_code, reason = "each test file is a crate of its own and uses a part of this")]

use crate::charsmap::{Pairs, precompiled};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use unicode_normalization_alignments::UnicodeNormalization as _;

/// Text with cases that are special to charsmaps.
pub const OWN: &[&str] = &[
    "▁",
    "<unk>",
    "<mask>",
    "Ａ",
    "Ａ\u{301}",
    "a\u{301}\u{301}",
    "c\u{301}",
    "d\u{301}\u{302}",
    "\r\n",
    "\u{3000}",
    "\u{200B}",
    "x\u{20D0}",
    "\u{600}x",
    "\u{110BD}y",
    "\u{1100}\u{1175}\u{301}",
    "\u{915}\u{94D}\u{958}\u{301}",
    "\u{915}\u{94D}\u{200C}\u{958}\u{301}",
    "\u{915}\u{93C}\u{94D}\u{200D}\u{958}\u{301}",
    "☺\u{200D}™\u{301}",
    "™\u{301}",
    "q\u{1D165}",
    "ﷺ",
    "漢",
    "\u{1}",
    "\u{7F}",
    "e",
];

/// NFKC of each character and, as in SentencePiece, of the sequences that compose to one; white space and controls roughly as in its `nmt_nfkc`.
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

/// Cases that no published charsmap has: keys that are prefixes of others, keys of the longest cluster, empty and long replacements, removed marks and
/// letters, replacements that contain keys.
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

/// The bytes of both.
pub fn maps() -> [Vec<u8>; 2] {
    [nfkc(), contrary()].map(|pairs| precompiled(&pairs))
}

/// The normalizer step of a charsmap.
pub fn step(map: &[u8]) -> Value {
    json!({ "type": "Precompiled", "precompiled_charsmap": BASE64_STANDARD.encode(map) })
}
