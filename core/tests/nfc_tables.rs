//! The Unicode tables of normalisation form C are what their generator makes of the crate unicode-normalization-alignments, which the
//! `tokenizers` crate normalises with. After a change of the generator: `cargo test -p attoformer --test nfc_tables -- --ignored`.

use std::collections::HashMap;
use unicode_normalization_alignments::UNICODE_VERSION;
use unicode_normalization_alignments::char::{canonical_combining_class, compose, decompose_canonical};

#[path = "common/tables.rs"]
mod tables;
use tables::{put, runs};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tokenizer/nfc/tables.rs");

fn characters() -> impl Iterator<Item = char> {
    ('\u{80}'..=char::MAX).filter(|character| !('\u{AC00}'..='\u{D7A3}').contains(character))
}

fn decomposed(character: char) -> Vec<char> {
    let mut parts = Vec::new();
    decompose_canonical(character, |part| parts.push(part));
    parts
}

/// The first of the two characters that `parts`, more than one, come from in a single step.
fn head(parts: &[char], whole: &HashMap<Vec<char>, char>) -> char {
    match parts[..parts.len() - 1] {
        [single] => single,
        ref several => whole[several],
    }
}

/// Characters that become two; those of the first plane first.
fn pairs() -> Vec<[char; 3]> {
    let several: Vec<(char, Vec<char>)> = characters().map(|c| (c, decomposed(c))).filter(|(_, parts)| parts.len() > 1).collect();
    // Of characters with equal parts the one that they compose to, if there is one.
    let mut whole: HashMap<Vec<char>, char> = HashMap::new();
    let mut short_first: Vec<&(char, Vec<char>)> = several.iter().collect();
    short_first.sort_by_key(|(_, parts)| parts.len());
    for (character, parts) in short_first {
        let composes = |head: char| compose(head, parts[parts.len() - 1]) == Some(*character);
        if !whole.contains_key(parts) || composes(head(parts, &whole)) {
            whole.insert(parts.clone(), *character);
        }
    }
    several.iter().map(|(character, parts)| [*character, head(parts, &whole), parts[parts.len() - 1]]).collect()
}

/// A character's low 16 bits; it must lie in the plane.
fn low(character: char, plane: u32) -> u16 {
    assert_eq!(character as u32 >> 16, plane);
    character as u16
}

fn generate() -> (String, usize) {
    let pairs = pairs();
    let plane = |pair: &[char; 3]| pair[0] as u32 >> 16;
    assert!(pairs.is_sorted() && pairs.iter().all(|pair| plane(pair) < 2));
    let first_plane = pairs.iter().filter(|pair| plane(pair) == 0).count();
    let mut composites: Vec<usize> = (0..pairs.len()).filter(|&at| compose(pairs[at][1], pairs[at][2]) == Some(pairs[at][0])).collect();
    composites.sort_by_key(|&at| (plane(&pairs[at]), pairs[at][1], pairs[at][2]));
    let composites: Vec<u16> = composites.into_iter().map(|at| at as u16).collect();

    let mut classes: Vec<u8> = characters().map(canonical_combining_class).filter(|&class| class != 0).collect();
    classes.sort_unstable();
    classes.dedup();
    let joins: Vec<char> = composites.iter().map(|&at| pairs[usize::from(at)][2]).collect();
    let is_jamo = |c: char| ('\u{1161}'..='\u{1175}').contains(&c) || ('\u{11A8}'..='\u{11C2}').contains(&c);
    let rank = |character: char| match canonical_combining_class(character) {
        0 if joins.contains(&character) || is_jamo(character) => classes.len() as u32 + 1,
        0 => 0,
        class => classes.iter().position(|&known| known == class).unwrap() as u32 + 1,
    };
    assert!(classes.len() < 63);
    let class_runs = runs(characters().map(|c| (c, rank(c))).filter(|key| key.1 != 0), 32);
    let class_runs: Vec<u32> = class_runs.into_iter().map(|(first, length, tag)| first << 11 | (length - 1) << 6 | tag).collect();

    let singles: Vec<(char, char)> =
        characters().map(|c| (c, decomposed(c))).filter(|(c, p)| p.len() == 1 && p[0] != *c).map(|(c, p)| (c, p[0])).collect();
    let single_runs = runs(singles.iter().map(|&(character, single)| (character, single as u32 >> 16)), 128);
    let at: Vec<u16> = single_runs.iter().scan(0, |at, run| Some(std::mem::replace(at, *at + run.1 as u16))).collect();
    let single_runs: Vec<u32> = single_runs.into_iter().map(|(first, length, plane)| first << 11 | (length - 1) << 4 | plane).collect();
    let targets: Vec<u16> = singles.iter().map(|&(_, single)| single as u16).collect();

    let (major, minor, patch) = UNICODE_VERSION;
    let mut source = format!(
        "//! Made by `core/tests/nfc_tables.rs`, from the crate unicode-normalization-alignments: Unicode {major}.{minor}.{patch}.\n\n\
         /// The rank in `CLASSES` of characters of class 0 that join those before them.\npub(super) const JOINING: u32 = {};\n\n\
         /// Rows of `PAIRS` in the first plane; the others are in the second.\npub(super) const FIRST_PLANE: usize = {first_plane};\n",
        classes.len() + 1
    );
    let mut bytes = 0;
    let doc = "Runs of characters with a combining class: first (21 bits), number less one (5), rank of the class (6).";
    put(&mut source, &mut bytes, doc, "CLASSES", "u32", &class_runs, |run| format!("{run:#x}"));
    let doc = "Characters that become two, and those, by their low 16 bits: all three are in one plane. The first of the two may go on so.";
    let pairs: Vec<[u16; 3]> = pairs.iter().map(|pair| pair.map(|character| low(character, plane(pair)))).collect();
    put(&mut source, &mut bytes, doc, "PAIRS", "[u16; 3]", &pairs, |[whole, head, tail]| format!("[{whole:#x}, {head:#x}, {tail:#x}]"));
    let doc = "Rows of `PAIRS` whose two characters become one again, in the order of their plane and the two.";
    put(&mut source, &mut bytes, doc, "COMPOSITES", "u16", &composites, u16::to_string);
    let doc = "Runs of characters that become one other: first (21 bits), number less one (7), plane of the others (4).";
    put(&mut source, &mut bytes, doc, "SINGLES", "u32", &single_runs, |run| format!("{run:#x}"));
    put(&mut source, &mut bytes, "For each run of `SINGLES`: where it starts in `TARGETS`.", "STARTS", "u16", &at, u16::to_string);
    put(&mut source, &mut bytes, "Low 16 bits of the others.", "TARGETS", "u16", &targets, |low| format!("{low:#x}"));
    (source, bytes)
}

/// A table edited by hand, or a generator changed without it, would show only in rare scripts.
#[test]
fn the_committed_tables_are_the_generator_s() {
    let (source, bytes) = generate();
    assert!(std::fs::read_to_string(FILE).unwrap() == source, "{FILE} is not what the generator makes");
    assert!(bytes <= 13 << 10, "a microcontroller carries {bytes} bytes of tables");
    println!("{bytes} bytes");
}

/// Not a check.
#[test]
#[ignore = "writes core/src/tokenizer/nfc/tables.rs"]
fn write_the_tables() {
    std::fs::write(FILE, generate().0).unwrap();
}
