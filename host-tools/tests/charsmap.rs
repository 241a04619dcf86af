//! SentencePiece's `precompiled_charsmap` (of T5, XLM-R and their relatives), packed and run by the engine, against `Precompiled` of the `tokenizers`
//! crate: charsmaps made here, and the model's own in the folder that `ATTOFORMER_UNIGRAM` names.

use attoformer::Tokenizer;
use attoformer_tools::import::tokenizer::json as tokenizer_json;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::Path;
use tokenizers::normalizers::Precompiled;

#[path = "common/charsmap.rs"]
mod charsmap;
mod common;
#[path = "common/maps.rs"]
mod made;
#[path = "common/unigram.rs"]
mod unigram;
use charsmap::precompiled;
use common::Numbers;
use made::{OWN, contrary, maps, step};
use unigram::Pair;

/// A vocabulary of bytes, whose tokens spell the normalized text.
fn spelling(map: &[u8]) -> Pair {
    let special = ["<unk>", "<s>", "</s>"].map(|name| json!([name, 0.0]));
    let bytes = (0..256).map(|byte| json!([format!("<0x{byte:02X}>"), -1.0]));
    Pair::new(&json!({
        "normalizer": step(map),
        "pre_tokenizer": { "type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": false },
        "model": { "type": "Unigram", "unk_id": 0, "byte_fallback": true, "vocab": special.into_iter().chain(bytes).collect::<Vec<Value>>() },
    }))
}

/// Compares the normalized texts with the library's.
fn check_spelling(map: &[u8], texts: impl Iterator<Item = String>) {
    let (pair, library) = (spelling(map), Precompiled::from(map).unwrap());
    let tokenizer = pair.ours();
    let mut out = Vec::new();
    for text in texts {
        out.resize(tokenizer.max_tokens(text.len()), 0);
        let count = tokenizer.encode(&text, &mut out).expect("max_tokens() elements suffice");
        let spelled: Vec<u8> = out[..count].iter().flat_map(|&token| tokenizer.piece(token).unwrap()).copied().collect();
        let expected = library.normalize_string(&text).replace('▁', " ");
        assert!(spelled == expected.as_bytes(), "{text:?}: {:?}, not {expected:?}", String::from_utf8_lossy(&spelled));
    }
}

/// A character by itself, and after and before others that form clusters.
fn with_neighbours(character: char) -> impl Iterator<Item = String> {
    let before = ["", "a", "\u{600}", "\u{1100}", "\u{915}\u{94D}", "\u{1F600}\u{200D}"];
    let whole = before.map(|before| format!("{before}{character}")).into_iter();
    whole.chain([format!("{character}\u{301}"), format!("a{character}\u{301}b"), format!("{character}x {character}\u{200D}™\u{301}")])
}

#[test]
fn characters_of_the_first_planes_are_mapped_as_the_library_does() {
    for map in maps() {
        check_spelling(&map, ('\0'..='\u{3_FFFF}').step_by(3).chain('\u{E_0000}'..='\u{E_01FF}').flat_map(with_neighbours));
        check_spelling(&map, ('\0'..='\u{33FF}').flat_map(with_neighbours));
    }
}

#[test]
#[ignore = "needs a minute"]
fn every_character_is_mapped_as_the_library_does() {
    for map in maps() {
        check_spelling(&map, ('\0'..=char::MAX).flat_map(with_neighbours));
    }
}

/// Short texts of characters that form clusters, in any order.
fn clusters(count: usize, seed: u64) -> impl Iterator<Item = String> {
    const PARTS: &str = "aceqxzd \u{301}\u{302}\u{20D0}\u{1D165}\r\n\u{1}\u{600}\u{110BD}\u{1100}\u{1175}\u{11A8}\u{AC00}\u{AC01}\u{915}\u{94D}\
                         \u{958}\u{93E}\u{93C}\u{9CD}\u{995}\u{200C}\u{200D}\u{200B}☺™©\u{1F600}\u{1F3FD}\u{1F1E6}\u{FE0F}\u{E0061}\u{3000}Ａｶﾞ\u{F0F}▁";
    let parts: Vec<char> = PARTS.chars().collect();
    let mut numbers = Numbers(seed);
    (0..count).map(move |_| (0..1 + numbers.word() % 9).map(|_| parts[numbers.word() as usize % parts.len()]).collect())
}

fn check_clusters(count: usize, seed: u64) {
    for map in maps() {
        check_spelling(&map, OWN.iter().map(|&text| text.to_owned()).chain(clusters(count, seed)));
    }
}

#[test]
fn clusters_are_split_as_the_library_does() {
    check_clusters(50_000, 31);
}

#[test]
#[ignore = "needs a minute"]
fn three_million_clusters_are_split_as_the_library_does() {
    check_clusters(3_000_000, 32);
}

/// The charsmap of a published model, every character; this repository contains none.
#[test]
#[ignore = "needs ATTOFORMER_UNIGRAM to name a folder whose tokenizer.json has a charsmap"]
fn a_published_charsmap_gives_the_library_s_text() {
    let folder = std::env::var_os("ATTOFORMER_UNIGRAM").expect("ATTOFORMER_UNIGRAM names a folder with a tokenizer.json");
    let file = std::fs::read_to_string(Path::new(&folder).join("tokenizer.json")).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    let steps = file["normalizer"]["normalizers"].as_array().cloned().unwrap_or_else(|| vec![file["normalizer"].clone()]);
    let step = steps.iter().find(|step| step["type"] == "Precompiled").expect("the tokenizer has a charsmap");
    let map = BASE64_STANDARD.decode(step["precompiled_charsmap"].as_str().unwrap()).unwrap();
    check_spelling(&map, ('\0'..=char::MAX).flat_map(with_neighbours));
    check_spelling(&map, clusters(200_000, 35));
    let packed = tokenizer_json::open(Path::new(&folder)).unwrap();
    let replacements: HashSet<&String> = packed.charmap.values().collect();
    let bytes = 8 + 8 * packed.charmap.len() + replacements.iter().map(|replacement| replacement.len() + 1).sum::<usize>();
    println!("{} bytes, {} keys; packed {bytes} bytes", map.len(), packed.charmap.len());
}

/// A damaged or truncated section is refused or runs; nothing panics.
#[test]
fn damaged_charsmap_sections_never_panic() {
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
                    let _ = tokenizer.encode_parse_special(text, &mut out);
                }
                let mut out = vec![0; tokenizer.max_tokens("\u{1}ﷺ漢".len())];
                assert!(tokenizer.encode("\u{1}ﷺ漢", &mut out).is_ok(), "max_tokens() elements suffice");
            }
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 500, "{refused}");
}
