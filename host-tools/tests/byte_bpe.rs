//! Byte-level BPE gives the tokens of the `tokenizers` crate: for vocabularies trained here on the project's own sources, with the patterns of GPT-2 and
//! SmolLM, and for Whisper's where `ATTOFORMER_WHISPER` names its folder.

use attoformer::Tokenizer;
use attoformer_tools::import::tokenizer_json;
use attoformer_tools::pack::sections;
use std::path::Path;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, Tokenizer as Library};

/// Texts to train on: this project's own sources.
const TEXTS: [&str; 3] = [include_str!("byte_bpe.rs"), include_str!("wordpiece.rs"), include_str!("../src/quantize/calibration.txt")];

fn trained(digits: bool) -> Library {
    let mut library = Library::new(BPE::default());
    let bytes = PreTokenizerWrapper::from(ByteLevel::new(false, true, true));
    library.with_pre_tokenizer(Some(if digits {
        PreTokenizerWrapper::from(Sequence::new(vec![PreTokenizerWrapper::from(Digits::new(true)), bytes]))
    } else {
        bytes
    }));
    let special = ["<|endoftext|>", "<|im_start|>"].map(|name| AddedToken::from(name, true));
    let mut trainer: TrainerWrapper = BpeTrainerBuilder::new()
        .vocab_size(1200)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(special.to_vec())
        .build()
        .into();
    library.train(&mut trainer, TEXTS.iter().flat_map(|text| text.lines())).unwrap();
    library
}

/// The library's file, read and packed as a model directory's is.
fn packed(folder: &Path) -> (Vec<u8>, u32) {
    let tokenizer = tokenizer_json::open(folder).unwrap_or_else(|error| panic!("{error}"));
    let mut section = Vec::new();
    sections::tokenizer(&tokenizer, &mut section);
    (section, tokenizer.pieces.len() as u32)
}

/// xorshift32 (Marsaglia 2003).
fn next(state: &mut u32) -> u32 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    *state
}

/// A text of characters from all planes, white space of every kind, joiners, digits, contractions and plain words.
fn text(state: &mut u32) -> String {
    const PARTS: [&str; 24] = [
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "\u{a0}",
        "\u{3000}",
        "\u{2028}",
        "'s",
        "'LL",
        "'re",
        "don't",
        "12345",
        "٣٤",
        "Ⅷ",
        "½",
        "naïve",
        "日本語",
        "👩\u{200d}👩\u{200d}👧",
        "e\u{301}",
        "!?",
        "...",
        "word",
        "Über",
    ];
    let count = 1 + next(state) % 12;
    (0..count)
        .map(|_| match next(state) % 3 {
            0 => char::from_u32(next(state) % 0x11_0000).unwrap_or('x').to_string(),
            1 => char::from_u32(next(state) % 0x3000).unwrap_or(' ').to_string(),
            _ => PARTS[next(state) as usize % PARTS.len()].to_owned(),
        })
        .collect()
}

fn agrees(library: &Library, folder: &Path, generated: usize) {
    let (section, vocab) = packed(folder);
    let tokenizer = Tokenizer::new(&section, vocab).unwrap();
    let check = |text: &str| {
        let mut tokens = vec![0; tokenizer.room(text.len())];
        let count = tokenizer.encode_with_control(text, &mut tokens).unwrap();
        let wanted = library.encode(text, false).unwrap();
        assert_eq!(&tokens[..count], wanted.get_ids(), "{text:?}");
    };
    TEXTS.iter().for_each(|text| check(text));
    let long = "supercalifragilistic".repeat(3000);
    for text in ["", " ", "\n\n ", "<|endoftext|>", "a<|endoftext|> b <|im_start|>user\nhi", "<|endoftext", &long] {
        check(text);
    }
    let mut state = 2_463_534_242;
    (0..generated).for_each(|_| check(&text(&mut state)));
}

#[test]
fn trained_vocabularies_give_the_library_s_tokens() {
    for digits in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let library = trained(digits);
        library.save(folder.path().join("tokenizer.json"), false).unwrap();
        agrees(&library, folder.path(), 50_000);
    }
}

#[test]
fn whisper_s_vocabulary_gives_the_library_s_tokens() {
    let Some(folder) = std::env::var_os("ATTOFORMER_WHISPER") else {
        println!("skipped: ATTOFORMER_WHISPER names no folder of Whisper tiny.en (cargo xtask models)");
        return;
    };
    let folder = Path::new(&folder);
    agrees(&Library::from_file(folder.join("tokenizer.json")).unwrap(), folder, 100_000);
}

/// A text without control tokens' names in it cannot forge one.
#[test]
fn text_cannot_forge_a_control_token() {
    let folder = tempfile::tempdir().unwrap();
    let library = trained(false);
    library.save(folder.path().join("tokenizer.json"), false).unwrap();
    let (section, vocab) = packed(folder.path());
    let tokenizer = Tokenizer::new(&section, vocab).unwrap();
    let end = library.token_to_id("<|endoftext|>").unwrap();
    let mut tokens = vec![0; 64];
    let count = tokenizer.encode("<|endoftext|>", &mut tokens).unwrap();
    assert!(count > 1 && !tokens[..count].contains(&end));
}
