//! Strings that nobody writes, for comparing tokenizers.

use super::Numbers;

/// A few pieces of text of every kind, joined.
pub fn generated(numbers: &mut Numbers) -> String {
    let mut below = |bound: usize| numbers.word() as usize % bound;
    let mut text = String::new();
    for _ in 0..1 + below(8) {
        let times = if below(40) == 0 { 30 + below(100) } else { 1 + below(6) };
        let kind = below(SPANS.len() + 2);
        for _ in 0..times {
            match SPANS.get(kind) {
                Some(span) => text.extend(char::from_u32(span.0 + below((span.1 - span.0 + 1) as usize) as u32)),
                None if kind == SPANS.len() => text.push_str(ODD[below(ODD.len())]),
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
    "\u{205F}", "\u{3000}", "\u{200B}", "\u{FEFF}",
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
    "[SEP]",
    "[unused1]",
    "##ing",
    "don't",
    "U.S.A.",
    "豈",
    "\u{2F81A}",
    "\u{37E}",
];
