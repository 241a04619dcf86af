//! Unigram with a charsmap (T5, XLM-R and their relatives), packed and run by the engine, against the `tokenizers` crate: the forms of published
//! files, from tokenizer.json and from GGUF. `unigram.rs` compares a published vocabulary, where there is one.

use attoformer_tools::import;
use attoformer_tools::import::tokenizer::json as tokenizer_json;
use serde_json::{Value, json};
use std::time::Instant;

#[path = "common/gguf.rs"]
mod builder;
#[path = "common/charsmap.rs"]
mod charsmap;
mod common;
#[path = "common/maps.rs"]
mod made;
#[path = "common/texts.rs"]
mod texts;
#[path = "common/unigram.rs"]
mod unigram;
#[path = "common/values.rs"]
mod values;
use builder::{Builder, text};
use charsmap::{Pairs, precompiled};
use made::{OWN, contrary, maps, step};
use texts::{SECONDS_MAX, several, without_a_space};
use unigram::{Pair, TEXTS, check_all, trained};
use values::values;

fn strip(left: bool) -> Value {
    json!({ "type": "Strip", "strip_left": left, "strip_right": true })
}

fn collapse(to: &str) -> Value {
    json!({ "type": "Replace", "pattern": { "Regex": " {2,}" }, "content": to })
}

/// The forms of published files, each with both charsmaps.
fn variants() -> Vec<Value> {
    let plain = trained();
    let white = json!({ "type": "WhitespaceSplit" });
    let metaspace =
        |scheme: &str, split: bool| json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split });
    let split_words = |scheme: &str| json!({ "type": "Sequence", "pretokenizers": [white, metaspace(scheme, true)] });
    let mut all = Vec::new();
    for map in maps() {
        let map = step(&map);
        let forms = [
            // Recent files of XLM-R, mBART and T5; their first files; those in between.
            (vec![map.clone(), strip(false), collapse("▁")], metaspace("always", true)),
            (vec![map.clone()], split_words("always")),
            (vec![map.clone(), collapse(" ")], split_words("always")),
            // DeBERTa-v3.
            (vec![strip(true), map.clone(), collapse(" ")], metaspace("always", true)),
            (vec![strip(true), map.clone()], split_words("never")),
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

#[test]
fn chosen_texts_with_a_charsmap_become_the_library_s_tokens() {
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

/// Tokens that a user adds are matched in normalized text; the normalizer runs on the whole text between the other tokens.
#[test]
fn normalized_added_tokens_become_the_library_s() {
    for (at, mut file) in variants().into_iter().enumerate() {
        let id = file["model"]["vocab"].as_array().unwrap().len();
        let token = |id: usize, name: &str, special: bool| {
            json!({ "id": id, "content": name, "special": special, "normalized": true,
                "single_word": false, "lstrip": false, "rstrip": false })
        };
        file["added_tokens"].as_array_mut().unwrap().extend([token(id, "zap", false), token(id + 1, "<late>", true)]);
        if at >= 6 {
            // The other charsmap would replace its characters.
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("tokenizer.json"), file.to_string()).unwrap();
            let error = tokenizer_json::open(folder.path()).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("\"zap\" is matched after the charsmap"), "{error}");
            continue;
        }
        let late = ["zap", "a zap b", "azapb", " zap ", "zapzap", "é zap é.", "zap\u{3000}a", "a  zap  b", "a zap", "zap  ", "\u{1}zap a"];
        let between = late.map(|text| format!("{text}<mask>{text}</s> {text}"));
        let special = late.map(|text| text.replace("zap", "<late>"));
        Pair::new(&file).check(late.into_iter().chain(between.iter().chain(&special).map(String::as_str)));
    }
}

#[test]
fn generated_strings_with_a_charsmap_become_the_library_s_tokens() {
    check_all(variants(), &several(1_000, 33, OWN));
}

#[test]
#[ignore = "needs minutes"]
fn a_hundred_thousand_strings_with_a_charsmap_become_the_library_s_tokens() {
    check_all(variants(), &several(100_000, 34, OWN));
}

/// The time is linear in the length of the text, also for one word, one cluster and removed characters.
#[test]
fn unigram_encodes_a_megabyte_without_a_space_in_seconds() {
    let files = variants();
    let pairs = [0, 4, 7].map(|at| Pair::new(&files[at]));
    let more = ["\u{301}", "\u{1}", "ﷺ", "a\u{301}", "\u{200B}", "\u{3000}", "\u{1F469}\u{200D}"];
    let texts = without_a_space(TEXTS[0]).into_iter().chain(more.map(|part| part.repeat(1_000_000 / part.len())));
    for (text, pair) in texts.zip(pairs.iter().cycle()) {
        let tokenizer = pair.ours();
        let mut out = vec![0; tokenizer.max_tokens(text.len())];
        let start = Instant::now();
        tokenizer.encode(&text, &mut out).unwrap();
        let seconds = start.elapsed().as_secs_f64();
        assert!(seconds < SECONDS_MAX, "{:?}: {seconds} s", text.chars().take(4).collect::<String>());
    }
}

/// Every message names the file and the cause.
#[test]
fn normalizers_that_cannot_be_packed_are_refused() {
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
    refused(json!({ "type": "Precompiled", "precompiled_charsmap": "?" }), "supported: base64");
    refused(step(&[]), "is truncated");
    refused(step(&map[..100]), "is truncated");
    refused(step(&[&map[..], b"\xFF"].concat()), "not UTF-8");
    refused(sequence(&[collapse("▁"), step(&map)]), "normalizer step Precompiled");
    refused(sequence(&[step(&map), step(&map)]), "normalizer step Precompiled");
    refused(sequence(&[step(&map), strip(true)]), "normalizer step Strip");
    refused(sequence(&[json!({ "type": "NFKD" }), step(&map)]), "normalizer step NFKD");
    let of = |key: &str, replacement: &str| step(&precompiled(&Pairs::from([(key.to_owned(), replacement.to_owned())])));
    refused(of("a", &"x".repeat(256)), "256 bytes");
    // Nodes that are their own descendants, and a value outside the trie.
    let unit = |label: u8, ends: u32, offset: u32| offset << 10 | ends << 8 | u32::from(label);
    let trie = |units: &[u32]| {
        let bytes = units.iter().flat_map(|unit| unit.to_le_bytes());
        step(&((units.len() * 4) as u32).to_le_bytes().into_iter().chain(bytes).chain(*b"x\0").collect::<Vec<u8>>())
    };
    let mut units = vec![0; 256];
    for byte in b'a'..=b'h' {
        units[usize::from(byte)] = unit(byte, 0, byte.into());
    }
    refused(trie(&units), "several paths");
    units.fill(0);
    units[usize::from(b'a')] = unit(b'a', 1, 5000);
    refused(trie(&units), "refers to a node outside itself");
    units[usize::from(b'a')] = unit(b'a', 1, u32::from(b'a') ^ 1);
    units[1] = 1 << 31 | 77;
    refused(trie(&units), "by text outside its replacements");
    // A model whose tokenizer cannot be packed is fed tokens.
    let mut file = plain.clone();
    for (normalizer, can) in [(sequence(&[json!({ "type": "NFKD" }), step(&map)]), false), (step(&map), true)] {
        file["normalizer"] = normalizer;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), file.to_string()).unwrap();
        assert_eq!(tokenizer_json::can_be_packed(folder.path()).unwrap(), can);
    }
}

/// An array value of a GGUF file.
fn array(kind: u32, values: &[Vec<u8>]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &(values.len() as u64).to_le_bytes(), &values.concat()].concat()
}

/// An encoder of one layer with the vocabulary of a `tokenizer.json`, as llama.cpp's converter writes XLM-R's.
fn gguf(file: &Value, map: &[u8]) -> Builder {
    let pieces = file["model"]["vocab"].as_array().unwrap();
    let names = |field: usize| pieces.iter().map(move |piece| piece[field].clone());
    let added = file["added_tokens"].as_array().unwrap();
    let id = |name: &str| added.iter().find(|token| token["content"] == name).unwrap()["id"].as_u64().unwrap() as u32;
    let kind = |token: usize| match added.iter().any(|added| added["id"] == token) {
        true if token == id("<unk>") as usize => 2,
        true => 3,
        false => 1_i32,
    };
    let tokens: Vec<Vec<u8>> = names(0).map(|name| text(name.as_str().unwrap())).collect();
    let kinds: Vec<Vec<u8>> = (0..pieces.len()).map(|token| kind(token).to_le_bytes().to_vec()).collect();
    // The scores that the converter writes for tokens that are not text must not count.
    let score = |(token, score): (usize, Value)| if kind(token) == 1 { score.as_f64().unwrap() as f32 } else { -10_000.0 };
    let scores: Vec<Vec<u8>> = names(1).enumerate().map(|piece| score(piece).to_le_bytes().to_vec()).collect();
    let file = Builder::new("bert")
        .size("bert.embedding_length", 4)
        .size("bert.feed_forward_length", 3)
        .size("bert.block_count", 1)
        .size("bert.attention.head_count", 2)
        .size("bert.context_length", 12)
        .number("bert.attention.layer_norm_epsilon", 1e-5)
        .with("tokenizer.ggml.model", 8, text("t5"))
        .with("tokenizer.ggml.pre", 8, text("default"))
        .with("tokenizer.ggml.tokens", 9, array(8, &tokens))
        .with("tokenizer.ggml.scores", 9, array(6, &scores))
        .with("tokenizer.ggml.token_type", 9, array(5, &kinds))
        .with("tokenizer.ggml.precompiled_charsmap", 9, array(0, &map.iter().map(|&byte| vec![byte]).collect::<Vec<_>>()))
        .with("tokenizer.ggml.add_space_prefix", 7, vec![1])
        .with("tokenizer.ggml.remove_extra_whitespaces", 7, vec![1])
        .with("tokenizer.ggml.add_bos_token", 7, vec![1])
        .with("tokenizer.ggml.add_eos_token", 7, vec![1])
        .size("tokenizer.ggml.bos_token_id", id("<s>"))
        .size("tokenizer.ggml.eos_token_id", id("</s>"))
        .size("tokenizer.ggml.unknown_token_id", id("<unk>"));
    let mut tensors: Vec<(String, Vec<usize>)> = [("token_embd", pieces.len()), ("position_embd", 12), ("token_types", 1)]
        .map(|(name, rows)| (format!("{name}.weight"), vec![rows, 4]))
        .into();
    let layer: [(&str, &[usize]); 9] = [
        ("token_embd_norm", &[4]),
        ("blk.0.attn_output_norm", &[4]),
        ("blk.0.attn_q", &[4, 4]),
        ("blk.0.attn_k", &[4, 4]),
        ("blk.0.attn_v", &[4, 4]),
        ("blk.0.attn_output", &[4, 4]),
        ("blk.0.layer_output_norm", &[4]),
        ("blk.0.ffn_up", &[3, 4]),
        ("blk.0.ffn_down", &[4, 3]),
    ];
    for (name, shape) in layer {
        tensors.push((format!("{name}.weight"), shape.to_vec()));
        tensors.push((format!("{name}.bias"), shape[..1].to_vec()));
    }
    tensors.iter().fold(file, |file, (name, shape)| file.tensor(name, shape, &values(name, shape)))
}

/// A GGUF file has fewer settings than a tokenizer.json; they mean the same.
#[test]
fn a_gguf_file_gives_the_library_s_tokens() {
    let (files, maps) = (variants(), maps());
    let texts = several(1_000, 37, OWN);
    for (map, at) in maps.iter().zip([0, 6]) {
        let mut file = files[at].clone();
        for piece in file["model"]["vocab"].as_array_mut().unwrap() {
            piece[1] = json!(piece[1].as_f64().unwrap() as f32); // as GGUF stores them
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        std::fs::write(&path, gguf(&file, map).bytes()).unwrap();
        let tokenizer = import::open(&path, None).unwrap().tokenizer.unwrap();
        assert_eq!((tokenizer.add_bos, tokenizer.add_eos), (true, true));
        let pair = Pair::of(&file, &tokenizer);
        pair.check(texts.iter().map(String::as_str).chain(OWN.iter().copied()));
    }
}

#[test]
fn a_gguf_file_that_cannot_be_packed_is_refused() {
    let file = gguf(&trained(), &precompiled(&contrary()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let refused = |key: &str, kind: u32, value: Vec<u8>, cause: &str| {
        let key = format!("tokenizer.ggml.{key}");
        std::fs::write(&path, file.clone().without(&key).with(&key, kind, value).bytes()).unwrap();
        let error = import::open(&path, None).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("model.gguf") && error.contains(cause), "{error}");
    };
    refused("escape_whitespaces", 7, vec![0], "escape_whitespaces must be true");
    refused("treat_whitespace_as_suffix", 7, vec![1], "treat_whitespace_as_suffix false");
    refused("precompiled_charsmap", 9, array(0, &[vec![1], vec![2]]), "is truncated");
    refused("precompiled_charsmap", 9, array(5, &[vec![1, 1, 1, 1]]), "is not a list of bytes");
    refused("scores", 9, array(6, &[vec![0; 4]]), "but 1 scores");
    refused("eos_token_id", 4, 100_000_u32.to_le_bytes().to_vec(), "100000");
}
