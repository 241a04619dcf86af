//! Unigram with a map of characters (T5, XLM-R and their like) as packed and run by the engine, against the `tokenizers` crate. The maps are made
//! here; `host-tools/tests/unigram.rs` compares a published vocabulary where there is one.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokenizers::normalizers::Precompiled;

#[path = "common/charsmap.rs"]
mod charsmap;
mod common;
#[path = "common/texts.rs"]
mod texts;
#[path = "common/unigram.rs"]
mod unigram;
use charsmap::{Pairs, contrary, nfkc, precompiled};
use common::Numbers;
use texts::generated;
use unigram::{Pair, TEXTS, trained};

/// What such maps treat in a way of their own.
const OWN: &[&str] = &[
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
    "☺\u{200D}™\u{301}",
    "™\u{301}",
    "q\u{1D165}",
    "ﷺ",
    "漢",
    "\u{1}",
    "\u{7F}",
    "e",
];

fn step(map: &[u8]) -> Value {
    json!({ "type": "Precompiled", "precompiled_charsmap": BASE64_STANDARD.encode(map) })
}

fn strip(left: bool) -> Value {
    json!({ "type": "Strip", "strip_left": left, "strip_right": true })
}

fn squeeze(to: &str) -> Value {
    json!({ "type": "Replace", "pattern": { "Regex": " {2,}" }, "content": to })
}

/// The forms of published files, each with both maps.
fn variants() -> Vec<Value> {
    let plain = trained();
    let white = json!({ "type": "WhitespaceSplit" });
    let metaspace =
        |scheme: &str, split: bool| json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split });
    let parted = |scheme: &str| json!({ "type": "Sequence", "pretokenizers": [white, metaspace(scheme, true)] });
    let mut all = Vec::new();
    for map in [nfkc(), contrary()] {
        let map = step(&precompiled(&map));
        let forms = [
            // XLM-R, mBART and T5 of late; their first files; those between.
            (vec![map.clone(), strip(false), squeeze("▁")], metaspace("always", true)),
            (vec![map.clone()], parted("always")),
            (vec![map.clone(), squeeze(" ")], parted("always")),
            // DeBERTa-v3.
            (vec![strip(true), map.clone(), squeeze(" ")], metaspace("always", true)),
            (vec![strip(true), map.clone()], parted("never")),
            (vec![map.clone(), strip(false)], metaspace("first", false)),
        ];
        for (normalizers, pre_tokenizer) in forms {
            let mut file = plain.clone();
            file["normalizer"] = json!({ "type": "Sequence", "normalizers": normalizers });
            file["pre_tokenizer"] = pre_tokenizer;
            all.push(file);
        }
    }
    let bytes = (0..256).map(|byte| json!([format!("<0x{byte:02X}>"), 0.0]));
    all[1]["model"]["vocab"].as_array_mut().unwrap().extend(bytes);
    all[1]["model"]["byte_fallback"] = true.into();
    all
}

/// A vocabulary of bytes: its tokens spell what the map makes of a text.
fn spelling(map: &[u8]) -> Pair {
    let marks = ["<unk>", "<s>", "</s>"].map(|name| json!([name, 0.0]));
    let bytes = (0..256).map(|byte| json!([format!("<0x{byte:02X}>"), -1.0]));
    Pair::new(&json!({
        "normalizer": step(map),
        "pre_tokenizer": { "type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": false },
        "model": { "type": "Unigram", "unk_id": 0, "byte_fallback": true, "vocab": marks.into_iter().chain(bytes).collect::<Vec<Value>>() },
    }))
}

/// Compares what the map makes of each text with what the library's does.
fn check_spelling(pairs: &Pairs, texts: impl Iterator<Item = String>) {
    let map = precompiled(pairs);
    let (pair, library) = (spelling(&map), Precompiled::from(&map).unwrap());
    let tokenizer = pair.ours();
    let mut out = Vec::new();
    for text in texts {
        out.resize(tokenizer.room(text.len()), 0);
        let count = tokenizer.encode(&text, &mut out).expect("room() elements suffice");
        let spelled: Vec<u8> = out[..count].iter().flat_map(|&token| tokenizer.piece(token).unwrap()).copied().collect();
        let expected = library.normalize_string(&text).replace('▁', " ");
        assert!(spelled == expected.as_bytes(), "{text:?}: {:?}, not {expected:?}", String::from_utf8_lossy(&spelled));
    }
}

/// A character by itself, behind and before others that clusters treat in ways of their own.
fn around(character: char) -> impl Iterator<Item = String> {
    let before = ["", "a", "\u{600}", "\u{1100}", "\u{915}\u{94D}", "\u{1F600}\u{200D}"];
    let whole = before.map(|before| format!("{before}{character}")).into_iter();
    whole.chain([format!("{character}\u{301}"), format!("a{character}\u{301}b"), format!("{character}x {character}\u{200D}™\u{301}")])
}

#[test]
fn characters_of_the_first_planes_are_mapped_as_the_library_does() {
    for pairs in [nfkc(), contrary()] {
        check_spelling(&pairs, ('\0'..='\u{3_FFFF}').step_by(3).chain('\u{E_0000}'..='\u{E_01FF}').flat_map(around));
        check_spelling(&pairs, ('\0'..='\u{33FF}').flat_map(around));
    }
}

#[test]
#[ignore = "a minute"]
fn every_character_is_mapped_as_the_library_does() {
    for pairs in [nfkc(), contrary()] {
        check_spelling(&pairs, ('\0'..=char::MAX).flat_map(around));
    }
}

/// Short texts of characters that make clusters, in any order.
fn check_clusters(count: usize, seed: u64) {
    const PARTS: &str = "aceqxzd \u{301}\u{302}\u{20D0}\u{1D165}\r\n\u{1}\u{600}\u{110BD}\u{1100}\u{1175}\u{11A8}\u{AC00}\u{AC01}\u{915}\u{94D}\
                         \u{958}\u{93E}\u{93C}\u{9CD}\u{995}\u{200C}\u{200D}\u{200B}☺™©\u{1F600}\u{1F3FD}\u{1F1E6}\u{FE0F}\u{E0061}\u{3000}Ａｶﾞ\u{F0F}▁";
    let parts: Vec<char> = PARTS.chars().collect();
    let mut numbers = Numbers(seed);
    for pairs in [nfkc(), contrary()] {
        let mut text = || (0..1 + numbers.word() % 9).map(|_| parts[numbers.word() as usize % parts.len()]).collect::<String>();
        check_spelling(&pairs, (0..count).map(|_| text()));
    }
}

#[test]
fn clusters_are_cut_as_the_library_does() {
    check_clusters(50_000, 31);
}

#[test]
#[ignore = "a minute"]
fn three_million_clusters_are_cut_as_the_library_does() {
    check_clusters(3_000_000, 32);
}

#[test]
fn chosen_and_own_texts_become_the_library_s_tokens() {
    let (marks, spaces) = (format!("a{}b", "\u{301}".repeat(5_000)), "\u{3000}\u{1}".repeat(500));
    for file in variants() {
        let pair = Pair::new(&file);
        pair.check(TEXTS.iter().map(|text| &text[..text.floor_char_boundary(8_000)]));
        pair.check(OWN.iter().copied().chain([
            " ",
            "  ",
            "\u{1}a",
            "\u{1} a",
            " \u{1}a",
            "a\u{3000}",
            "\u{3000}\u{3000}a b",
            &marks,
            &spaces,
        ]));
    }
}

fn check_generated(count: usize, seed: u64) {
    let mut numbers = Numbers(seed);
    let texts: Vec<String> = (0..count).map(|_| generated(&mut numbers, OWN)).collect();
    for file in variants() {
        Pair::new(&file).check(texts.iter().map(String::as_str));
    }
}

#[test]
fn generated_strings_become_the_library_s_tokens() {
    check_generated(1_000, 33);
}

#[test]
#[ignore = "minutes"]
fn a_hundred_thousand_generated_strings_become_the_library_s_tokens() {
    check_generated(100_000, 34);
}
