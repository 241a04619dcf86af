//! Unigram with a map of characters (T5, XLM-R and their like) as packed and run by the engine, against the `tokenizers` crate. The maps are made
//! here; `host-tools/tests/unigram.rs` compares a published vocabulary where there is one.

use attoformer::Tokenizer;
use attoformer_tools::import::tokenizer_json;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;
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
use texts::{SECONDS_MAX, generated, without_a_space};
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

fn maps() -> [Vec<u8>; 2] {
    [nfkc(), contrary()].map(|pairs| precompiled(&pairs))
}

/// The forms of published files, each with both maps.
fn variants() -> Vec<Value> {
    let plain = trained();
    let white = json!({ "type": "WhitespaceSplit" });
    let metaspace =
        |scheme: &str, split: bool| json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split });
    let parted = |scheme: &str| json!({ "type": "Sequence", "pretokenizers": [white, metaspace(scheme, true)] });
    let mut all = Vec::new();
    for map in maps() {
        let map = step(&map);
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
fn check_spelling(map: &[u8], texts: impl Iterator<Item = String>) {
    let (pair, library) = (spelling(map), Precompiled::from(map).unwrap());
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
    for map in maps() {
        check_spelling(&map, ('\0'..='\u{3_FFFF}').step_by(3).chain('\u{E_0000}'..='\u{E_01FF}').flat_map(around));
        check_spelling(&map, ('\0'..='\u{33FF}').flat_map(around));
    }
}

#[test]
#[ignore = "a minute"]
fn every_character_is_mapped_as_the_library_does() {
    for map in maps() {
        check_spelling(&map, ('\0'..=char::MAX).flat_map(around));
    }
}

/// Short texts of characters that make clusters, in any order.
fn clusters(count: usize, seed: u64) -> impl Iterator<Item = String> {
    const PARTS: &str = "aceqxzd \u{301}\u{302}\u{20D0}\u{1D165}\r\n\u{1}\u{600}\u{110BD}\u{1100}\u{1175}\u{11A8}\u{AC00}\u{AC01}\u{915}\u{94D}\
                         \u{958}\u{93E}\u{93C}\u{9CD}\u{995}\u{200C}\u{200D}\u{200B}☺™©\u{1F600}\u{1F3FD}\u{1F1E6}\u{FE0F}\u{E0061}\u{3000}Ａｶﾞ\u{F0F}▁";
    let parts: Vec<char> = PARTS.chars().collect();
    let mut numbers = Numbers(seed);
    (0..count).map(move |_| (0..1 + numbers.word() % 9).map(|_| parts[numbers.word() as usize % parts.len()]).collect())
}

fn check_clusters(count: usize, seed: u64) {
    for map in maps() {
        check_spelling(&map, clusters(count, seed));
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

/// Time is linear in the text: also of one word, of one cluster, of what goes away.
#[test]
fn a_megabyte_without_a_space_takes_no_time() {
    let files = variants();
    let pairs = [0, 4, 7].map(|at| Pair::new(&files[at]));
    let more = ["\u{301}", "\u{1}", "ﷺ", "a\u{301}", "\u{200B}", "\u{3000}", "\u{1F469}\u{200D}"];
    let texts = without_a_space(TEXTS[0]).into_iter().chain(more.map(|part| part.repeat(1_000_000 / part.len())));
    for (text, pair) in texts.zip(pairs.iter().cycle()) {
        let tokenizer = pair.ours();
        let mut out = vec![0; tokenizer.room(text.len())];
        let start = Instant::now();
        tokenizer.encode(&text, &mut out).unwrap();
        let seconds = start.elapsed().as_secs_f64();
        assert!(seconds < SECONDS_MAX, "{:?}: {seconds} s", text.chars().take(4).collect::<String>());
    }
}

/// A map of a model's own, each character: there is none in this repository.
#[test]
fn a_published_map_is_the_library_s() {
    let Some(folder) = std::env::var_os("ATTOFORMER_UNIGRAM") else {
        println!("skipped: ATTOFORMER_UNIGRAM names no folder with a tokenizer.json");
        return;
    };
    let file = std::fs::read_to_string(Path::new(&folder).join("tokenizer.json")).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    let steps = file["normalizer"]["normalizers"].as_array().cloned().unwrap_or_else(|| vec![file["normalizer"].clone()]);
    let Some(step) = steps.iter().find(|step| step["type"] == "Precompiled") else {
        println!("skipped: the tokenizer of ATTOFORMER_UNIGRAM has no map of characters");
        return;
    };
    let map = BASE64_STANDARD.decode(step["precompiled_charsmap"].as_str().unwrap()).unwrap();
    check_spelling(&map, ('\0'..=char::MAX).flat_map(around));
    check_spelling(&map, clusters(200_000, 35));
    let packed = tokenizer_json::open(Path::new(&folder)).unwrap();
    let replacements: HashSet<&String> = packed.charmap.values().collect();
    let bytes = 8 + 8 * packed.charmap.len() + replacements.iter().map(|replacement| replacement.len() + 1).sum::<usize>();
    println!("{} bytes, {} keys; packed {bytes} bytes", map.len(), packed.charmap.len());
}

/// Each refusal names the file and the cause.
#[test]
fn what_cannot_be_packed_is_refused() {
    let plain = trained();
    let refused = |normalizer: Value, cause: &str| {
        let mut file = plain.clone();
        file["normalizer"] = normalizer;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), file.to_string()).unwrap();
        let error = tokenizer_json::open(folder.path()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("tokenizer.json") && error.contains(cause), "{error}");
    };
    let sequence = |steps: &[Value]| json!({ "type": "Sequence", "normalizers": steps });
    let map = precompiled(&contrary());
    refused(json!({ "type": "Precompiled", "precompiled_charsmap": "?" }), "not base64");
    refused(step(&[]), "is cut");
    refused(step(&map[..100]), "is cut");
    refused(step(&[&map[..], b"\xFF"].concat()), "not UTF-8");
    refused(sequence(&[squeeze("▁"), step(&map)]), "of type Precompiled where it cannot be packed");
    refused(sequence(&[step(&map), step(&map)]), "of type Precompiled where it cannot be packed");
    refused(sequence(&[step(&map), strip(true)]), "of type Strip where it cannot be packed");
    refused(sequence(&[json!({ "type": "NFKD" }), step(&map)]), "type NFKD");
    let of = |key: &str, replacement: &str| step(&precompiled(&Pairs::from([(key.to_owned(), replacement.to_owned())])));
    refused(of("a", &"x".repeat(256)), "256 bytes");
    // Nodes below themselves, and a value that is nowhere.
    let unit = |label: u8, ends: u32, offset: u32| offset << 10 | ends << 8 | u32::from(label);
    let trie = |units: &[u32]| {
        let bytes = units.iter().flat_map(|unit| unit.to_le_bytes());
        step(&((units.len() * 4) as u32).to_le_bytes().into_iter().chain(bytes).chain(*b"x\0").collect::<Vec<u8>>())
    };
    let mut units = vec![0; 256];
    for byte in b'a'..=b'h' {
        units[usize::from(byte)] = unit(byte, 0, byte.into());
    }
    refused(trie(&units), "several ways");
    units.fill(0);
    units[usize::from(b'a')] = unit(b'a', 1, 5000);
    refused(trie(&units), "leads out of it");
    units[usize::from(b'a')] = unit(b'a', 1, u32::from(b'a') ^ 1);
    units[1] = 1 << 31 | 77;
    refused(trie(&units), "by what is outside it");
    // A file that is beyond packing leaves the model fed tokens.
    let mut file = plain.clone();
    for (normalizer, can) in [(sequence(&[json!({ "type": "NFKD" }), step(&map)]), false), (step(&map), true)] {
        file["normalizer"] = normalizer;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), file.to_string()).unwrap();
        assert_eq!(tokenizer_json::can_be_packed(folder.path()).unwrap(), can);
    }
}

/// A section with other bytes, or fewer, is refused or runs; nothing panics.
#[test]
fn damaged_sections_never_panic() {
    let mut numbers = Numbers(36);
    let pair = spelling(&precompiled(&contrary()));
    let mut refused = 0;
    let map = pair.section.len() - 4000..pair.section.len();
    for _ in 0..4_000 {
        let mut section = pair.section.clone();
        let end = if numbers.word().is_multiple_of(4) { 0..32 } else { map.clone() };
        section[end.start + numbers.word() as usize % end.len()] = numbers.word() as u8;
        if numbers.word().is_multiple_of(8) {
            section.truncate(numbers.word() as usize % section.len());
        }
        match Tokenizer::new(&section, pair.vocab) {
            Ok(tokenizer) => {
                let mut out = [0; 40];
                for text in OWN.iter().copied().chain(["x\u{301} a much longer text than there is room for"]) {
                    let _ = tokenizer.encode_with_control(text, &mut out);
                }
                let mut out = vec![0; tokenizer.room(OWN[13].len())];
                assert!(tokenizer.encode(OWN[13], &mut out).is_ok(), "room() elements suffice");
            }
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 500, "{refused}");
}
