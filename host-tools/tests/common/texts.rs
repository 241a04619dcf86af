//! Texts to compare tokenizers on: open texts, and generated ones of all planes of Unicode, joiners, mixed scripts, white space of every kind and long
//! words.

#![allow(dead_code, reason = "each test file is a crate of its own and uses a part of this")]

use crate::common::{Numbers, shared};

/// A text of this repository and the open texts beside it, each with its name. Open texts that do not exist are left out with a message.
pub fn open_texts() -> impl Iterator<Item = (&'static str, String)> {
    let beside = ["sts-dev.csv", "tinystories_dev.txt", "wikitext2_dev.txt"].into_iter().filter_map(|name| {
        let path = shared(&format!("data/{name}"))?;
        Some((name, std::fs::read_to_string(path).unwrap()))
    });
    std::iter::once(("image.md", include_str!("../../../docs/image.md").to_owned())).chain(beside)
}

/// `count` texts of [`generated`].
pub fn several(count: usize, seed: u64, own: &[&str]) -> Vec<String> {
    let mut numbers = Numbers(seed);
    (0..count).map(|_| generated(&mut numbers, own)).collect()
}

/// A few pieces of text of every kind, joined; `own` are pieces that matter to one tokenizer.
pub fn generated(numbers: &mut Numbers, own: &[&str]) -> String {
    let mut below = |bound: usize| numbers.word() as usize % bound;
    let mut text = String::new();
    for _ in 0..1 + below(8) {
        let times = if below(40) == 0 { 30 + below(100) } else { 1 + below(6) };
        let kind = below(SPANS.len() + 3);
        for _ in 0..times {
            match SPANS.get(kind) {
                Some(span) => text.extend(char::from_u32(span.0 + below((span.1 - span.0 + 1) as usize) as u32)),
                None if kind == SPANS.len() => text.push_str(ODD[below(ODD.len())]),
                None if kind == SPANS.len() + 1 => text.push_str(own[below(own.len())]),
                None => text.extend(char::from_u32(below(0x11_0000) as u32)),
            }
        }
        if below(2) == 0 {
            text.push_str(SPACES[below(SPACES.len())]);
        }
    }
    text
}

/// ASCII and its controls, Latin, combining marks, Greek and Cyrillic, Hebrew to Arabic, Indic, Hangul letters and syllables, punctuation
/// and symbols, kana, ideographs of four blocks, musical symbols, emoji, private use, tags, all planes.
const SPANS: &[(u32, u32)] = &[
    (0x61, 0x7A),
    (0x61, 0x65),
    (0x20, 0x7E),
    (0, 0xFF),
    (0xC0, 0x24F),
    (0x1E00, 0x1FFF),
    (0x300, 0x36F),
    (0x1D165, 0x1D172),
    (0x370, 0x52F),
    (0x590, 0x8FF),
    (0x900, 0xDFF),
    (0xE00, 0x1FFF),
    (0x1100, 0x11FF),
    (0xAC00, 0xD7A3),
    (0x2000, 0x206F),
    (0x2070, 0x2BFF),
    (0x302A, 0x30FF),
    (0x3400, 0x9FFF),
    (0xA000, 0xABFF),
    (0xF900, 0xFFFF),
    (0x1D15E, 0x1D1C0),
    (0x1E000, 0x1E94A),
    (0x1F300, 0x1FAFF),
    (0x2F800, 0x2FA1F),
    (0x2_0000, 0x2_CEB0),
    (0xE000, 0xF8FF),
    (0xE_0000, 0xE_01EF),
    (0x1_0000, 0x1_13FF),
];

const SPACES: &[&str] = &[
    " ", "  ", "\t", "\n", "\r\n", "\u{B}", "\u{C}", "\u{85}", "\u{A0}", "\u{1680}", "\u{2003}", "\u{2028}", "\u{2029}", "\u{202F}",
    "\u{205F}", "\u{3000}", "\u{200B}", "\u{FEFF}", " \n \n", "\r\n\r\n", "    ",
];

const ODD: &[&str] = &[
    "İ",
    "ı",
    "ß",
    "ẞ",
    "ς",
    "Σ",
    "ﬁ",
    "Å",
    "e\u{301}",
    "\u{344}",
    "\u{F73}",
    "क\u{94D}\u{200D}ष",
    "각",
    "각",
    "👩\u{200D}👩\u{200D}👧",
    "👍🏽",
    "🇪🇸",
    "a\u{302E}\u{1D165}",
    "\u{FFFD}",
    "\0",
    "\u{AD}",
    "…",
    "«",
    "don't",
    "we'LL",
    "'ſ",
    "0123456789",
    "ⅷ½²٣",
    "U.S.A.",
    "豈",
    "\u{2F81A}",
    "\u{37E}",
];

/// Texts of a megabyte without a space: few and many different letters, one letter, a pair, joined emoji, and prose without its spaces.
pub fn without_a_space(prose: &str) -> Vec<String> {
    const BYTES: usize = 1_000_000;
    let mut numbers = Numbers(13);
    let mut letters = |kinds: u64| (0..BYTES).map(|_| char::from(b'a' + (numbers.word() % kinds) as u8)).collect::<String>();
    let prose: String = prose.chars().filter(char::is_ascii_alphabetic).collect();
    let repeated = |text: &str| text.repeat(BYTES.div_ceil(text.len()));
    vec![letters(26), letters(2), repeated("a"), repeated("="), repeated("ab"), repeated("\u{1F469}\u{200D}"), repeated(&prose)]
}

/// Longest time for such a text on a slow and busy machine, seconds; quadratic time would take hours.
pub const SECONDS_MAX: f64 = 60.0;
