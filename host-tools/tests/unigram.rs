//! Unigram, packed and run by the engine, against the `tokenizers` crate: vocabularies trained here, and the model's own in the folder that
//! `ATTOFORMER_UNIGRAM` names.

use attoformer::Decoder;
use attoformer::Tokenizer;
use attoformer_tools::import::tokenizer::json as tokenizer_json;
use serde_json::{Value, json};
use std::path::Path;

mod common;
#[path = "common/texts.rs"]
mod texts;
#[path = "common/unigram.rs"]
mod unigram;
use common::Numbers;
use texts::{open_texts, several};
use unigram::{Pair, TEXTS, check_all, trained};

/// Text with cases that are special to Unigram.
const OWN: &[&str] = &["▁", "▁▁", "<unk>", "<s>"];

/// A trained vocabulary with each treatment of spaces that such files have.
fn variants() -> Vec<Value> {
    let plain = trained();
    let with = |alter: &dyn Fn(&mut Value)| {
        let mut file = plain.clone();
        alter(&mut file);
        file
    };
    let metaspace =
        |scheme: &str, split: bool| json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split });
    let collapse = json!({ "type": "Replace", "pattern": { "Regex": " {2,}" }, "content": "▁" });
    let strip = json!({ "type": "Strip", "strip_left": false, "strip_right": true });
    vec![
        plain.clone(),
        with(&|file| {
            file["pre_tokenizer"] = metaspace("first", false);
            file["normalizer"] = json!({ "type": "Sequence", "normalizers": [strip, collapse] });
        }),
        with(&|file| {
            let white = json!({ "type": "WhitespaceSplit" });
            file["pre_tokenizer"] = json!({ "type": "Sequence", "pretokenizers": [white, metaspace("always", true)] });
            file["normalizer"] = collapse.clone();
        }),
        with(&|file| {
            file["pre_tokenizer"] = metaspace("never", true);
            // Scores that are exact in f32, with many equal sums.
            for piece in file["model"]["vocab"].as_array_mut().unwrap() {
                piece[1] = json!(piece[1].as_f64().unwrap().round());
            }
        }),
        with(&|file| {
            let bytes = (0..256).map(|byte| json!([format!("<0x{byte:02X}>"), 0.0]));
            file["model"]["vocab"].as_array_mut().unwrap().extend(bytes);
            file["model"]["byte_fallback"] = true.into();
            file["pre_tokenizer"] = metaspace("first", true);
        }),
    ]
}

#[test]
fn chosen_unigram_texts_become_the_library_s_tokens() {
    let long = "supercalifragilistic".repeat(500);
    for file in variants() {
        let pair = Pair::new(&file);
        pair.check(TEXTS);
        let texts =
            ["", " ", "  ", "▁", " ▁ a", "a  b ", "\t a\n", "漢字", "a漢字b 漢", "<s>a</s>b <mask> c", "<s", "x<pad>", "</s> a", &long];
        pair.check(texts);
    }
}

#[test]
fn open_texts_become_the_library_s_unigram_tokens() {
    for file in variants() {
        let pair = Pair::new(&file);
        for (_, text) in open_texts() {
            assert!(pair.check(text.lines()) > text.len() / 8);
        }
    }
}

#[test]
fn generated_strings_become_the_library_s_unigram_tokens() {
    check_all(variants(), &several(2_000, 21, OWN));
}

#[test]
#[ignore = "needs minutes"]
fn a_hundred_thousand_generated_strings_become_the_library_s_unigram_tokens() {
    check_all(variants(), &several(100_000, 22, OWN));
}

/// Each character between letters.
#[test]
#[ignore = "needs minutes"]
fn every_character_becomes_the_library_s_unigram_tokens() {
    let texts: Vec<String> = ('\0'..=char::MAX).map(|character| format!("a{character}b {character} {character}{character}")).collect();
    for file in variants() {
        Pair::new(&file).check(texts.iter().map(String::as_str));
    }
}

/// A published vocabulary.
#[test]
#[ignore = "needs ATTOFORMER_UNIGRAM to name a folder with a tokenizer.json"]
fn a_published_vocabulary_gives_the_library_s_tokens() {
    let folder = std::env::var_os("ATTOFORMER_UNIGRAM").expect("ATTOFORMER_UNIGRAM names a folder with a tokenizer.json");
    let pair = Pair::open(Path::new(&folder));
    let texts = several(20_000, 23, OWN);
    pair.check(texts.iter().map(String::as_str).chain(TEXTS));
}

/// Decoding gives the text back, except unknown characters, and plain text gives no special token.
#[test]
fn unigram_tokens_decode_to_their_text() {
    for file in variants() {
        let pair = Pair::new(&file);
        let tokenizer = pair.ours();
        let text = "the model takes a text, and </s> gives it back.";
        let mut out = vec![0; tokenizer.max_tokens(text.len())];
        let count = tokenizer.encode(text, &mut out).unwrap();
        assert!(!out[..count].contains(&tokenizer.eos()));
        let mut decoder = Decoder::new();
        let back: String = out[..count].iter().map(|&token| decoder.push(&tokenizer, token).unwrap().to_owned()).collect();
        assert_eq!(back, text);
        // One element too few is an error, not a truncation.
        assert!(tokenizer.encode(text, &mut out[..count - 1]).is_err());
    }
}

/// Every message names the file and the cause.
#[test]
fn unigram_files_that_cannot_be_packed_are_refused() {
    let plain = trained();
    let refused = |alter: &dyn Fn(&mut Value), cause: &str| {
        let mut file = plain.clone();
        alter(&mut file);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), file.to_string()).unwrap();
        let error = tokenizer_json::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("tokenizer.json") && error.contains(cause), "{error}");
    };
    refused(&|file| file["model"]["unk_id"] = Value::Null, "unk_id");
    refused(&|file| file["model"]["unk_id"] = 100_000.into(), "UNK token 100000");
    refused(&|file| file["model"]["vocab"][9][1] = 3.5.into(), "the score of token 9");
    refused(&|file| file["model"]["vocab"][9][0] = "a b".into(), "plain space");
    refused(&|file| file["model"]["vocab"][9][0] = "x".repeat(300).into(), "300 bytes");
    refused(&|file| file["model"]["byte_fallback"] = true.into(), "no byte tokens");
    refused(&|file| file["normalizer"] = json!({ "type": "NFKC" }), "normalizer step NFKC");
    refused(&|file| file["pre_tokenizer"] = json!({ "type": "ByteLevel" }), "pre_tokenizer");
    refused(&|file| file["added_tokens"][0]["id"] = 100_000.into(), "is not token 100000");
    refused(&|file| file["post_processor"] = json!({ "type": "Sequence" }), "post_processor");
}

/// A damaged or truncated section is refused or runs; nothing panics.
#[test]
fn damaged_unigram_sections_never_panic() {
    let mut numbers = Numbers(24);
    for file in variants() {
        let pair = Pair::new(&file);
        let mut refused = 0;
        for _ in 0..400 {
            let mut section = pair.section.clone();
            // Every second one is in the header, where each byte matters.
            let end = if numbers.word().is_multiple_of(2) { 32 } else { section.len() };
            section[numbers.word() as usize % end] = numbers.word() as u8;
            if numbers.word().is_multiple_of(8) {
                section.truncate(numbers.word() as usize % section.len());
            }
            match Tokenizer::new(&section, pair.vocab) {
                Ok(tokenizer) => {
                    let mut out = [0; 40];
                    for text in ["", "the 漢字 text </s>", "x\u{301} a much longer text than there is room for"] {
                        let _ = tokenizer.encode_parse_special(text, &mut out);
                        let _ = tokenizer.encode_with_special_tokens(text, &mut out);
                    }
                }
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 50, "{refused}");
    }
}
