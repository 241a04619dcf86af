//! Byte-level BPE against the `tokenizers` crate, tokens and decoded text: the pre-tokenizers of GPT-2, SmolLM, Llama 3 and Qwen 2 with vocabularies
//! trained here on the project's own texts, and Whisper's vocabulary if `ATTOFORMER_WHISPER` names its folder.

use std::path::Path;

use attoformer::Decoder;
use attoformer::Tokenizer;
use attoformer_tools::import::tokenizer::json as tokenizer_json;
use attoformer_tools::pack::sections;
use attoformer_tools::run::embed::encode_truncated;
use serde_json::{Value, json};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Model, NormalizedString, Normalizer, NormalizerWrapper, PreTokenizerWrapper, Tokenizer as Library};

mod common;
#[path = "common/texts.rs"]
mod texts;
use common::Numbers;
use texts::{SECONDS_MAX, generated, open_texts, without_a_space};

/// Training texts: this project's own.
const TEXTS: [&str; 4] =
    [include_str!("byte_bpe.rs"), include_str!("wordpiece.rs"), include_str!("../../docs/image.md"), include_str!("common/sentences.txt")];

/// The patterns of the models' own files.
const LLAMA_3: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN_2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Added tokens and parts of them.
const OWN: &[&str] =
    &["<|im_end|>", " <|im_start|> ", "<|endoftext|>", "<|endo", "<|end", "<odd>", "  <odd>\n ", "<think>", "late", " late", "<|", "|>"];

fn pre_tokenizer(family: &str) -> Value {
    let bytes = |cuts: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": cuts});
    let words = |pattern: &str| {
        let split = json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
        json!({"type": "Sequence", "pretokenizers": [split, bytes(false)]})
    };
    match family {
        "gpt2" => bytes(true),
        "smollm" => json!({"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true}, bytes(true)]}),
        "llama3" => words(LLAMA_3),
        "qwen2" => words(QWEN_2),
        other => panic!("{other}"),
    }
}

/// A trained vocabulary with the pre-tokenizer of this family and added tokens of every kind.
fn trained(family: &str) -> Library {
    let mut library = Library::new(BPE::default());
    let pre_tokenizer: PreTokenizerWrapper = serde_json::from_value(pre_tokenizer(family)).unwrap();
    library.with_pre_tokenizer(Some(pre_tokenizer)).with_decoder(Some(ByteLevel::default()));
    let special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"].map(|name| AddedToken::from(name, true));
    let trainer = BpeTrainerBuilder::new()
        .vocab_size(2500)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(special.to_vec())
        .build();
    let mut numbers = Numbers(5);
    let strange: Vec<String> = (0..300).map(|_| generated(&mut numbers, OWN)).collect();
    let texts = TEXTS.iter().flat_map(|text| text.lines()).chain(strange.iter().map(String::as_str));
    library.train(&mut TrainerWrapper::BpeTrainer(trainer), texts).unwrap();
    // Qwen 2 normalizes texts to NFC; added tokens that are matched after it cannot be packed.
    library
        .add_tokens([AddedToken::from("<think>", false).normalized(false), AddedToken::from("late", false).normalized(family != "qwen2")])
        .unwrap();
    library.add_special_tokens([AddedToken::from("<odd>", true).lstrip(true).rstrip(true), AddedToken::from("<|end", true)]).unwrap();
    // Llama 3 ignores merges for a word that is a piece.
    let mut file: Value = serde_json::from_str(&library.to_string(false).unwrap()).unwrap();
    file["model"]["ignore_merges"] = (family == "llama3").into();
    serde_json::from_value(file).unwrap()
}

/// The library's tokenizer and the engine's, imported from the library's file and packed.
struct Pair {
    library: Library,
    section: Vec<u8>,
    vocab: u32,
}

impl Pair {
    fn new(library: Library) -> Self {
        let folder = tempfile::tempdir().unwrap();
        library.save(folder.path().join("tokenizer.json"), false).unwrap();
        Pair::of_folder(library, folder.path())
    }

    /// As [`Pair::new`], from a file without the type of the model, as the library's first versions wrote it.
    fn without_type(library: Library) -> Self {
        let mut file: Value = serde_json::from_str(&library.to_string(false).unwrap()).unwrap();
        file["model"].as_object_mut().unwrap().remove("type").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, file.to_string()).unwrap();
        assert!(tokenizer_json::can_be_packed(folder.path()).unwrap());
        Pair::of_folder(Library::from_file(path).unwrap(), folder.path())
    }

    fn of_folder(library: Library, folder: &Path) -> Self {
        let ours = tokenizer_json::open(folder).unwrap_or_else(|error| panic!("{error}"));
        let mut section = Vec::new();
        sections::tokenizer(&ours, &mut section);
        Pair { library, section, vocab: ours.pieces.len() as u32 }
    }

    /// Compares the two on each text, with and without special tokens in the text; returns the number of tokens.
    fn check<'t>(&mut self, texts: impl Iterator<Item = &'t str> + Clone) -> usize {
        let tokenizer = Tokenizer::new(&self.section, self.vocab).unwrap();
        let mut out = Vec::new();
        let mut all = 0;
        for with_special in [true, false] {
            self.library.set_encode_special_tokens(!with_special);
            for text in texts.clone() {
                out.resize(tokenizer.max_tokens(text.len()), 0);
                let encode = if with_special { Tokenizer::encode_parse_special } else { Tokenizer::encode };
                let count = encode(&tokenizer, text, &mut out).unwrap();
                let expected = self.library.encode_fast(text, false).unwrap();
                assert!(
                    out[..count] == *expected.get_ids(),
                    "{text:?}, control {with_special}: {:?}, not {:?}",
                    &out[..count],
                    expected.get_ids()
                );
                all += count;
                if !with_special {
                    let mut expected = NormalizedString::from(text);
                    if let Some(normalizer) = self.library.get_normalizer() {
                        normalizer.normalize(&mut expected).unwrap();
                    }
                    assert_eq!(decoded(&tokenizer, &out[..count]), expected.get(), "decoded text");
                }
            }
        }
        all
    }
}

fn decoded(tokenizer: &Tokenizer, tokens: &[u32]) -> String {
    let mut decoder = Decoder::new();
    let mut text = String::new();
    tokens.iter().for_each(|&token| text.push_str(decoder.push(tokenizer, token).unwrap()));
    text + decoder.finish()
}

/// Compares a family on all texts; returns the number of tokens.
fn agrees(pair: &mut Pair, generated_texts: usize) {
    let mut all = pair.check(TEXTS.into_iter());
    for (name, text) in open_texts() {
        let tokens = pair.check(text.lines().chain([&text[..text.floor_char_boundary(200_000)]]));
        println!("{name}: {tokens} tokens");
        all += tokens;
    }
    let mut numbers = Numbers(2);
    let texts: Vec<String> = (0..generated_texts).map(|_| generated(&mut numbers, OWN)).collect();
    all += pair.check(texts.iter().map(String::as_str));
    println!("{generated_texts} generated texts, {all} tokens in all");
}

/// Compares every `step`-th character of Unicode between letters, between digits, by itself and as a contraction, which shows every wrong entry of a
/// table.
fn agrees_on_characters(pair: &mut Pair, step: usize) {
    let texts: Vec<String> =
        ('\0'..=char::MAX).step_by(step).map(|character| format!("b{character}b 1{character}1 {character} '{character}e")).collect();
    pair.check(texts.iter().map(String::as_str));
}

macro_rules! families {
    ($($family:ident),*) => { $(mod $family {
        use super::*;

        #[test]
        fn texts_become_the_library_s_tokens() {
            agrees(&mut Pair::new(trained(stringify!($family))), 10_000);
        }

        #[test]
        #[ignore = "needs a minute"]
        fn a_hundred_thousand_texts_become_the_library_s_tokens() {
            agrees(&mut Pair::new(trained(stringify!($family))), 100_000);
        }

        #[test]
        fn characters_become_the_library_s_tokens() {
            agrees_on_characters(&mut Pair::new(trained(stringify!($family))), 29);
        }

        #[test]
        #[ignore = "needs a minute"]
        fn every_character_becomes_the_library_s_tokens() {
            agrees_on_characters(&mut Pair::new(trained(stringify!($family))), 1);
        }
    })* };
}
families!(gpt2, smollm, llama3, qwen2);

#[test]
fn a_file_that_states_no_type_is_read() {
    agrees(&mut Pair::without_type(trained("gpt2")), 100);
}

#[test]
#[ignore = "needs ATTOFORMER_WHISPER to name the folder of Whisper tiny.en (cargo xtask models)"]
fn whisper_s_vocabulary_gives_the_library_s_tokens() {
    let folder = std::env::var_os("ATTOFORMER_WHISPER").expect("ATTOFORMER_WHISPER names the folder of Whisper tiny.en");
    let folder = Path::new(&folder);
    let library = Library::from_file(folder.join("tokenizer.json")).unwrap();
    agrees(&mut Pair::of_folder(library, folder), 100_000);
}

/// Text encoded without special tokens cannot forge one.
#[test]
fn text_cannot_forge_a_special_token() {
    let pair = Pair::new(trained("gpt2"));
    let tokenizer = Tokenizer::new(&pair.section, pair.vocab).unwrap();
    let end = pair.library.token_to_id("<|endoftext|>").unwrap();
    let mut tokens = vec![0; 64];
    let count = tokenizer.encode("<|endoftext|>", &mut tokens).unwrap();
    assert!(count > 1 && !tokens[..count].contains(&end));
}

/// `vocab.json` and `merges.txt`, with the special tokens of the files beside them, give the same tokens as `tokenizer.json`.
#[test]
fn older_files_give_the_library_s_tokens() {
    for (family, class) in [("gpt2", "GPT2Tokenizer"), ("gpt2", "WhisperTokenizer"), ("qwen2", "Qwen2TokenizerFast")] {
        let mut library = trained(family);
        if family == "qwen2" {
            // The tokenizer class implies it; the files do not state it.
            library.with_normalizer(Some(NormalizerWrapper::from(NFC))).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        library.get_model().save(folder.path(), None).unwrap();
        let write = |name: &str, value: Value| std::fs::write(folder.path().join(name), value.to_string()).unwrap();
        let added = library.get_added_tokens_decoder();
        let specials = ["<|im_start|>", "<|im_end|>", "<|end"];
        if class == "GPT2Tokenizer" {
            let ids: serde_json::Map<String, Value> = added.iter().map(|(&id, token)| (token.content.clone(), id.into())).collect();
            write("added_tokens.json", Value::Object(ids));
            let odd = json!({"content": "<odd>", "lstrip": true, "rstrip": true, "normalized": false, "single_word": false});
            let others = json!([specials[0], specials[1], specials[2], odd]);
            write("special_tokens_map.json", json!({"eos_token": "<|endoftext|>", "additional_special_tokens": others}));
            write("tokenizer_config.json", json!({"tokenizer_class": class}));
        } else {
            let listed: serde_json::Map<String, Value> =
                added.iter().map(|(id, token)| (id.to_string(), serde_json::to_value(token).unwrap())).collect();
            write("tokenizer_config.json", json!({"tokenizer_class": class, "eos_token": "<|endoftext|>", "added_tokens_decoder": listed}));
        }
        let mut pair = Pair::of_folder(library, folder.path());
        let mut numbers = Numbers(9);
        let texts: Vec<String> = (0..2_000).map(|_| generated(&mut numbers, OWN)).collect();
        // added_tokens.json does not state which tokens match in normalized text: no token here is part of another.
        pair.check(TEXTS.into_iter().chain(texts.iter().map(String::as_str)));
    }
}

/// RoBERTa's BOS and EOS are written around a text although no file names them.
#[test]
fn older_files_of_roberta_have_its_special_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let library = trained("gpt2");
    library.get_model().save(folder.path(), None).unwrap();
    let count = library.get_vocab_size(false);
    let special: serde_json::Map<String, Value> = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        .iter()
        .enumerate()
        .map(|(at, name)| ((*name).to_owned(), (count + at).into()))
        .collect();
    std::fs::write(folder.path().join("added_tokens.json"), Value::Object(special).to_string()).unwrap();
    std::fs::write(folder.path().join("config.json"), r#"{"model_type": "roberta"}"#).unwrap();
    let tokenizer = tokenizer_json::open(folder.path()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((tokenizer.bos as usize, tokenizer.eos as usize), (count, count + 2));
    assert!(tokenizer.add_bos && tokenizer.add_eos);
    let mask = tokenizer.added.iter().find(|added| added.token as usize == count + 4).unwrap();
    assert!(mask.special && mask.lstrip && !mask.rstrip);
}

/// Older files that cannot be packed are refused with a message that names the file.
#[test]
fn older_files_that_cannot_be_packed_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    trained("gpt2").get_model().save(folder.path(), None).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let refusal = || tokenizer_json::open(folder.path()).expect_err("it was read").to_string();
    write("config.json", r#"{"model_type": "clip"}"#);
    assert!(refusal().contains("the tokenizer class clip is not supported"), "{}", refusal());
    write("config.json", r#"{"model_type": "gpt2"}"#);
    write("tokenizer_config.json", r#"{"add_prefix_space": true}"#);
    assert!(refusal().contains("unsupported pre_tokenizer; supported: those of GPT-2"), "{}", refusal());
    write("merges.txt", "#version: 0.2\na b\nab\n");
    assert!(refusal().contains("merges.txt: line 3 is not two pieces"), "{}", refusal());
    write("merges.txt", "#version: 0.2\na <none>\n");
    write("tokenizer_config.json", "{}");
    assert!(refusal().contains("which the vocabulary lacks"), "{}", refusal());
}

/// The time for a megabyte without a space is linear in its length; its first part becomes the library's tokens.
#[test]
fn byte_bpe_encodes_a_megabyte_without_a_space_in_seconds() {
    let mut pair = Pair::new(trained("qwen2"));
    for text in without_a_space(TEXTS[2]) {
        let took = seconds(&pair, &text);
        println!("{:?}: {} bytes in {took} s", text.chars().take(6).collect::<String>(), text.len());
        assert!(took < SECONDS_MAX, "{took} s");
        pair.check([&text[..text.floor_char_boundary(20_000)]].into_iter());
    }
}

/// Time to encode a text, seconds.
fn seconds(pair: &Pair, text: &str) -> f64 {
    let tokenizer = Tokenizer::new(&pair.section, pair.vocab).unwrap();
    let mut out = vec![0; tokenizer.max_tokens(text.len())];
    let start = std::time::Instant::now();
    tokenizer.encode(text, &mut out).unwrap();
    start.elapsed().as_secs_f64()
}

/// Truncation counts tokens, not characters, of which there are more.
#[test]
fn a_text_is_truncated_to_its_first_tokens() {
    let pair = Pair::new(trained("gpt2"));
    let tokenizer = Tokenizer::new(&pair.section, pair.vocab).unwrap();
    let text = "the importers of tokenizers and characters";
    let mut all = vec![0; tokenizer.max_tokens(text.len())];
    let count = tokenizer.encode_with_special_tokens(text, &mut all).unwrap().tokens;
    assert!(count < text.len() / 2, "{count} tokens");
    for room in 3..text.len() {
        let mut out = vec![0; room];
        let encoding = encode_truncated(&tokenizer, text, &mut out).unwrap();
        let kept = count.min(room);
        assert_eq!((encoding.tokens, encoding.truncated, &out[..kept]), (kept, count - kept, &all[..kept]), "room {room}");
    }
}
