//! NFC normalization before byte-level BPE, as Qwen's tokenizers have it, against the `tokenizers` crate.

use attoformer::Tokenizer;
use attoformer_tools::import::tokenizer::json as tokenizer_json;
use attoformer_tools::pack::sections;
use tokenizers::Tokenizer as Library;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, NormalizerWrapper};

mod common;
#[path = "common/texts.rs"]
mod texts;
use common::Numbers;
use texts::{generated, open_texts};

/// Characters that NFC decomposes and composes.
const OWN: &[&str] = &["e\u{301}", "o\u{302}\u{323}", "\u{1100}\u{1161}\u{11A8}", "\u{212B}"];

/// The library's tokenizer and the engine's, from its file.
struct Pair {
    library: Library,
    section: Vec<u8>,
    vocab: u32,
}

impl Pair {
    /// A vocabulary with every byte, trained on accented letters.
    fn new() -> Self {
        let mut library = Library::new(BPE::default());
        library.with_normalizer(Some(NormalizerWrapper::from(NFC))).unwrap();
        library.with_pre_tokenizer(Some(PreTokenizerWrapper::from(ByteLevel::new(false, true, true))));
        let mut trainer: TrainerWrapper = BpeTrainerBuilder::new()
            .vocab_size(400)
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens(vec![AddedToken::from("<|endoftext|>", true)])
            .build()
            .into();
        let lines =
            ["naïve café e\u{301}te\u{301} Ångström", "Tiếng Việt, các ngươi", "각국 한국어", "क़ख़ग़ क\u{93C}"].iter().cycle().take(40);
        library.train(&mut trainer, lines).unwrap();
        let folder = tempfile::tempdir().unwrap();
        library.save(folder.path().join("tokenizer.json"), false).unwrap();
        let packed = tokenizer_json::open(folder.path()).unwrap();
        let mut section = Vec::new();
        sections::tokenizer(&packed, &mut section);
        Pair { library, section, vocab: packed.pieces.len() as u32 }
    }

    /// Compares the two on each text. Every byte has a token, so other characters give other tokens.
    fn check<'t>(&self, texts: impl IntoIterator<Item = &'t str>) {
        let tokenizer = Tokenizer::new(&self.section, self.vocab).unwrap();
        let mut out = Vec::new();
        for text in texts {
            out.resize(tokenizer.max_tokens(text.len()), 0);
            let count = tokenizer.encode_parse_special(text, &mut out).expect("max_tokens() elements suffice");
            let expected = self.library.encode(text, false).unwrap();
            assert!(out[..count] == *expected.get_ids(), "{text:?}: {:?}, not {:?}", &out[..count], expected.get_ids());
        }
    }
}

/// Texts with the cases of normalization: reordering, blocking, composition exclusions, growth, Hangul syllables.
#[test]
fn chosen_texts_are_normalized_as_the_library_does() {
    let marks = "\u{301}\u{323}\u{302}\u{315}\u{345}\u{300}".repeat(50);
    Pair::new().check([
        "",
        "plain",
        "e\u{301}",
        "\u{301}e",
        "s\u{323}\u{307} s\u{307}\u{323}",
        "a\u{315}\u{300}\u{5AE}\u{62}",
        "\u{1100}\u{1161}\u{11A8} 가\u{11A8} \u{1100}\u{1161}\u{11A7}",
        "\u{958} \u{FB2C} \u{344} \u{2126} \u{212B} \u{2F81A} \u{F900}",
        "\u{1D160}\u{1D165}\u{1D15E}",
        "\u{9C7}\u{9BE} \u{9C7}\u{301}\u{9BE} \u{1B35}\u{1B05}",
        "\u{1109B}\u{110BA} \u{11131}\u{11127}",
        &"\u{1D160}".repeat(500),
        &format!("a{marks}b{marks}"),
        "x <|endoftext|> e\u{301}",
    ]);
}

#[test]
fn open_texts_are_normalized_as_the_library_does() {
    let pair = Pair::new();
    for (_, text) in open_texts() {
        assert!(text.len() > 10_000);
        pair.check(text.lines());
    }
}

fn check_generated(count: usize, seed: u64) {
    let mut numbers = Numbers(seed);
    let marks = |numbers: &mut Numbers| {
        let mut text = String::from(["a", "e", "", "Ω", "가", "क"][numbers.word() as usize % 6]);
        for _ in 0..numbers.word() % 30 {
            let marks = [(0x300, 0x34F), (0x591, 0x5C7), (0x1AB0, 0x1ABE), (0x93C, 0x94D), (0x1D165, 0x1D172)];
            let (from, to) = marks[numbers.word() as usize % marks.len()];
            text.extend(char::from_u32(from + numbers.word() as u32 % (to - from + 1)));
        }
        text
    };
    let texts: Vec<String> = (0..count)
        .map(|at| if at % 4 == 0 { marks(&mut numbers) + &generated(&mut numbers, OWN) } else { generated(&mut numbers, OWN) })
        .collect();
    Pair::new().check(texts.iter().map(String::as_str));
}

#[test]
fn generated_strings_are_normalized_as_the_library_does() {
    check_generated(2_000, 11);
}

#[test]
#[ignore = "needs a minute"]
fn a_hundred_thousand_generated_strings_are_normalized_as_the_library_does() {
    check_generated(100_000, 12);
}

/// Each character alone, and before and after characters that it composes or is reordered with.
#[test]
#[ignore = "needs a minute"]
fn every_character_is_normalized_as_the_library_does() {
    let texts = ('\0'..=char::MAX).map(|c| format!("{c}\u{301}a\u{301}{c}\u{323}b{c}\u{1161}\u{11A8}\u{1100}{c}\u{9C7}{c}{c}"));
    let texts: Vec<String> = texts.collect();
    Pair::new().check(texts.iter().map(String::as_str));
}

/// NFC and added tokens that match in normalized text cannot be packed together.
#[test]
fn an_added_token_after_nfc_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut library = Pair::new().library;
    library.add_tokens([AddedToken::from("é!", false)]).unwrap();
    library.save(folder.path().join("tokenizer.json"), false).unwrap();
    let error = tokenizer_json::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("tokenizer.json") && error.contains("after NFC normalization"), "{error}");
}
