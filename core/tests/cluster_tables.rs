//! The table of grapheme clusters is what its generator makes of the crate unicode-segmentation, which the `tokenizers` crate cuts texts
//! with. It shows no classes: each is found by what the character joins. After a change of the generator:
//! `cargo test -p attoformer --test cluster_tables -- --ignored`.

use unicode_segmentation::{UNICODE_VERSION, UnicodeSegmentation as _};

#[path = "common/tables.rs"]
mod tables;
use tables::{put, runs};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tokenizer/unigram/tables.rs");
/// Characters of a run, at most: its length has 7 bits.
const LONGEST_RUN: u32 = 128;

/// Whether the last character of a text belongs to the cluster before it.
fn joined(text: &str) -> bool {
    text.graphemes(true).next_back().is_some_and(|last| last.chars().count() > 1)
}

/// The tag of a character, as `clusters.rs` reads it: 0 for none.
fn tag(character: char) -> u32 {
    let joins = |before: &str, behind: &str| joined(&format!("{before}{character}{behind}"));
    let (conjunct, emoji) = ("\u{915}\u{94D}", "\u{1F600}");
    if character == '\u{200D}' {
        5
    } else if !joins("", "\u{301}") {
        1
    } else if joins("a", "") {
        match () {
            () if joins("\u{915}", "\u{915}") => 3,
            () if joins(conjunct, "\u{915}") => 2,
            () if joins(emoji, "\u{200D}\u{1F600}") => 4,
            () => 6,
        }
    } else if joins("", "a") {
        7
    } else if joins(conjunct, "") {
        8
    } else if joins("\u{1F600}\u{200D}", "") {
        9
    } else if joins("", "\u{1100}") {
        10
    } else if joins("\u{1100}", "") {
        11
    } else if joins("\u{1160}", "") {
        12
    } else {
        0
    }
}

fn generate() -> (String, usize) {
    let is_syllable = |character: &char| ('\u{AC00}'..='\u{D7A3}').contains(character);
    let tags = ('\u{80}'..=char::MAX).filter(|c| !is_syllable(c)).map(|c| (c, tag(c))).filter(|key| key.1 != 0);
    let entry = |(first, length, tag): (u32, u32, u32)| first << 11 | (length - 1) << 4 | tag;
    let classes: Vec<u32> = runs(tags, LONGEST_RUN).into_iter().map(entry).collect();
    let (major, minor, patch) = UNICODE_VERSION;
    let mut source = format!(
        "//! Made by `core/tests/cluster_tables.rs`, from the crate unicode-segmentation: Unicode {major}.{minor}.{patch}. Runs are as in `class` \
         of\n//! `clusters.rs`.\n"
    );
    let mut bytes = 0;
    let doc = "Characters that join others, and those that end a cluster; tags as in `class`.";
    put(&mut source, &mut bytes, doc, "CLASSES", "u32", &classes, |run| format!("{run:#x}"));
    (source, bytes)
}

/// A table edited by hand, or a generator changed without it, would show only in rare scripts.
#[test]
fn the_committed_table_is_the_generator_s() {
    let (source, bytes) = generate();
    assert!(std::fs::read_to_string(FILE).unwrap() == source, "{FILE} is not what the generator makes");
    assert!(bytes <= 4 << 10, "a microcontroller carries {bytes} bytes of tables");
    println!("{bytes} bytes");
}

/// Not a check.
#[test]
#[ignore = "writes core/src/tokenizer/unigram/tables.rs"]
fn write_the_table() {
    std::fs::write(FILE, generate().0).unwrap();
}
