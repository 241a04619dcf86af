//! The Unicode tables of WordPiece are what their generator makes of the libraries' data. After a change of the generator:
//! `cargo test -p attoformer --test wordpiece_tables -- --ignored`.

use unicode_categories::UnicodeCategories as _;
use unicode_normalization_alignments::UnicodeNormalization as _;
use unicode_normalization_alignments::char::canonical_combining_class;

#[path = "common/tables.rs"]
mod tables;
use tables::{put, runs};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tokenizer/wordpiece/tables.rs");
/// Characters of a run, at most: its length has 7 bits.
const LONGEST_RUN: u32 = 128;

fn characters() -> impl Iterator<Item = char> {
    '\u{80}'..=char::MAX
}

/// Whole areas that the code names instead.
fn is_private_use(character: char) -> bool {
    matches!(character, '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..='\u{FFFFD}' | '\u{100000}'..='\u{10FFFD}')
}

fn decomposed(character: char) -> Vec<char> {
    [character].into_iter().nfd().map(|(part, _)| part).collect()
}

/// The combining classes of marks that are not dropped, ascending.
fn spacing_classes() -> Vec<u8> {
    let spacing = characters().filter(|character| !character.is_mark_nonspacing()).map(canonical_combining_class);
    let mut classes: Vec<u8> = spacing.filter(|&class| class != 0).collect();
    classes.sort_unstable();
    classes.dedup();
    classes
}

/// The tag of a character in the table of kinds: 0 for none.
fn kind(character: char, classes: &[u8]) -> u32 {
    let class = canonical_combining_class(character);
    let parts = decomposed(character);
    if character.is_other() {
        1
    } else if parts.iter().all(|part| part.is_mark_nonspacing()) {
        if parts.iter().any(|&part| canonical_combining_class(part) == 0) { 2 } else { 3 }
    } else if character.is_punctuation() {
        assert_eq!(class, 0, "{character:?} has two kinds");
        4
    } else if class != 0 {
        5 + classes.iter().position(|&known| known == class).unwrap() as u32
    } else {
        0
    }
}

fn entry(first: u32, length: u32, tag: u32) -> u32 {
    assert!((1..=LONGEST_RUN).contains(&length) && tag < 16);
    first << 11 | (length - 1) << 4 | tag
}

/// Runs of capital letters whose small ones are equally far away; tag 1 where only every second character is a capital.
fn lower_runs() -> Vec<(u32, u16)> {
    let lower = |character: char| {
        let mut lower = character.to_lowercase();
        let first = lower.next().unwrap();
        assert!(lower.next().is_none() || character == '\u{130}');
        (first != character && character != '\u{130}').then(|| {
            assert_eq!(first as u32 >> 16, character as u32 >> 16);
            (first as u16).wrapping_sub(character as u16)
        })
    };
    let at = |code: u32| char::from_u32(code).and_then(lower);
    let mut all = Vec::new();
    let mut from = 0;
    for (character, delta) in characters().filter_map(|character| Some((character, lower(character)?))) {
        let first = character as u32;
        if first < from {
            continue;
        }
        let length = |stride: usize| {
            let codes = (first..first + LONGEST_RUN).step_by(stride);
            let alike = codes.take_while(|&code| at(code) == Some(delta) && (stride == 1 || at(code + 1).is_none())).count() as u32;
            (alike.max(1) - 1) * stride as u32 + 1
        };
        let tag = u32::from(length(2) > length(1));
        let length = length(1 + tag as usize);
        all.push((entry(first, length, tag), delta));
        from = first + length;
    }
    all
}

/// The file's first lines; the version is that of the standard library's lower case.
fn head() -> String {
    let (major, minor, patch) = char::UNICODE_VERSION;
    format!(
        "//! Made by `core/tests/wordpiece_tables.rs`, from the crates unicode_categories and unicode-normalization-alignments, and lower case\n\
         //! by Unicode {major}.{minor}.{patch}. Runs are as in `find` of `unicode.rs`.\n"
    )
}

fn generate() -> (String, usize) {
    let classes = spacing_classes();
    let kinds = characters().filter(|&c| !is_private_use(c)).map(|c| (c, kind(c, &classes))).filter(|key| key.1 != 0);
    let kinds: Vec<u32> = runs(kinds, LONGEST_RUN).into_iter().map(|(first, length, tag)| entry(first, length, tag)).collect();
    let lower = lower_runs();

    let (lower_runs, deltas): (Vec<u32>, Vec<u16>) = lower.into_iter().unzip();

    let mut source = head();
    let mut bytes = 0;
    let kinds_doc =
        "Characters that are not plain; tag: 1 control, 2 accent of class 0, 3 accent, 4 punctuation, 5 and up: rank of the class.";
    put(&mut source, &mut bytes, kinds_doc, "KINDS", "u32", &kinds, |run| format!("{run:#x}"));
    put(&mut source, &mut bytes, "Capital letters; tag 1: every second character is one.", "LOWER", "u32", &lower_runs, |run| {
        format!("{run:#x}")
    });
    let deltas_doc = "For each run of `LOWER`: how far the small letters are, modulo 2^16, in the same plane.";
    put(&mut source, &mut bytes, deltas_doc, "LOWER_DELTAS", "u16", &deltas, u16::to_string);
    (source, bytes)
}

/// A table edited by hand, or a generator changed without it, would show only in rare scripts.
#[test]
fn the_committed_tables_are_the_generator_s() {
    let committed = std::fs::read_to_string(FILE).unwrap();
    if !committed.starts_with(&head()) {
        println!("skipped: this Rust's Unicode version ({:?}) is not the tables'", char::UNICODE_VERSION);
        return;
    }
    let (source, bytes) = generate();
    assert!(source == committed, "{FILE} is not what the generator makes");
    assert!(bytes <= 4 << 10, "a microcontroller carries {bytes} bytes of tables");
    println!("{bytes} bytes");
}

/// Not a check.
#[test]
#[ignore = "writes core/src/tokenizer/wordpiece/tables.rs"]
fn write_the_tables() {
    std::fs::write(FILE, generate().0).unwrap();
}
