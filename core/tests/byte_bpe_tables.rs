//! The Unicode table of byte-level BPE is what its generator makes of regex-syntax's data and of Rust's own. After a change of the
//! generator: `cargo test -p attoformer --test byte_bpe_tables -- --ignored`.

use regex_syntax::hir::{Class, HirKind};
use std::collections::BTreeSet;

#[path = "common/tables.rs"]
mod tables;
use tables::{put, runs};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tokenizer/byte_bpe/tables.rs");
/// Characters of a run, at most: its length has 9 bits.
const LONGEST_RUN: u32 = 512;

/// What a class of regular expressions holds.
fn set(expression: &str) -> BTreeSet<char> {
    match regex_syntax::parse(expression).unwrap().kind() {
        HirKind::Class(Class::Unicode(class)) => class.ranges().iter().flat_map(|range| range.start()..=range.end()).collect(),
        kind => panic!("{kind:?}"),
    }
}

fn generate() -> (String, usize) {
    let (letters, numbers) = (set(r"\p{L}"), set(r"\p{N}"));
    assert_eq!(set(r"\s"), ('\0'..=char::MAX).filter(|character| character.is_whitespace()).collect());
    assert!(numbers.iter().all(|number| number.is_numeric()), "a number is none to Rust");
    let tag = |character: char| match character {
        _ if letters.contains(&character) => 1,
        _ if numbers.contains(&character) => 2,
        _ if character.is_numeric() => 3,
        _ => 0,
    };
    let keys = ('\u{80}'..=char::MAX).map(|character| (character, tag(character))).filter(|&(_, tag)| tag != 0);
    let entry = |(first, length, tag): (u32, u32, u32)| first << 11 | (length - 1) << 2 | tag;
    let entries: Vec<u32> = runs(keys, LONGEST_RUN).into_iter().map(entry).collect();
    let mut source = String::from(
        "//! Made by `core/tests/byte_bpe_tables.rs`, from the crate regex-syntax and Rust's own numbers. Runs are as in `tag` of `unicode.rs`.\n",
    );
    let mut bytes = 0;
    let doc = "Letters (tag 1), numbers (2), and what only the newest Unicode has for a number (3).";
    put(&mut source, &mut bytes, doc, "CLASSES", "u32", &entries, |entry| format!("{entry:#x}"));
    (source, bytes)
}

#[test]
fn the_table_is_what_the_libraries_say() {
    let (source, bytes) = generate();
    println!("{bytes} bytes");
    assert!(std::fs::read_to_string(FILE).unwrap() == source, "write it again, see above");
    assert!(bytes < 5_000);
}

#[test]
#[ignore = "writes the table"]
fn write_the_table() {
    std::fs::write(FILE, generate().0).unwrap();
}
