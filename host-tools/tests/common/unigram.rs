//! A trained Unigram as the library's file, and the library's tokenizer to compare the engine's with.

#![allow(dead_code, reason = "each test file is a crate of its own and uses a part of this")]

use attoformer::Tokenizer;
use attoformer_tools::import::Tokenizer as Packed;
use attoformer_tools::import::tokenizer::json as tokenizer_json;
use attoformer_tools::pack::sections;
use serde_json::Value;
use std::path::Path;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::{AddedToken, Tokenizer as Library};

/// Training texts: this project's own.
pub const TEXTS: [&str; 3] = [include_str!("../unigram.rs"), include_str!("texts.rs"), include_str!("sentences.txt")];

/// A trained vocabulary as the library's file.
pub fn trained() -> Value {
    let mut library = Library::new(Unigram::default());
    library.with_pre_tokenizer(Some(PreTokenizerWrapper::from(Metaspace::new('▁', PrependScheme::Always, true))));
    let special = ["<pad>", "<unk>", "<s>", "</s>", "<mask>"].map(|name| AddedToken::from(name, true));
    let mut trainer: TrainerWrapper = UnigramTrainer::builder()
        .vocab_size(700)
        .show_progress(false)
        .unk_token(Some("<unk>".to_owned()))
        .special_tokens(special.to_vec())
        .build()
        .unwrap()
        .into();
    library.train(&mut trainer, TEXTS.iter().flat_map(|text| text.lines())).unwrap();
    serde_json::from_str(&library.to_string(false).unwrap()).unwrap()
}

/// Compares the two tokenizers on each text with each file.
pub fn check_all(files: Vec<Value>, texts: &[String]) {
    for file in files {
        Pair::new(&file).check(texts.iter().map(String::as_str));
    }
}

/// The library's tokenizer and the engine's, from one file.
pub struct Pair {
    pub library: Library,
    pub section: Vec<u8>,
    pub vocab: u32,
}

impl Pair {
    pub fn new(file: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), file.to_string()).unwrap();
        Pair::open(folder.path())
    }

    pub fn open(folder: &Path) -> Self {
        let packed = tokenizer_json::open(folder).unwrap_or_else(|error| panic!("{error}"));
        Pair::with(Library::from_file(folder.join("tokenizer.json")).unwrap(), &packed)
    }

    /// The library's tokenizer of `file`, and the engine's of `packed`.
    pub fn of(file: &Value, packed: &Packed) -> Self {
        Pair::with(file.to_string().parse().unwrap(), packed)
    }

    fn with(library: Library, packed: &Packed) -> Self {
        let mut section = Vec::new();
        sections::tokenizer(packed, &mut section);
        Pair { library, section, vocab: packed.pieces.len() as u32 }
    }

    pub fn ours(&self) -> Tokenizer<'_> {
        Tokenizer::new(&self.section, self.vocab).unwrap()
    }

    /// Compares the two on each text; returns the number of tokens.
    pub fn check<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> usize {
        let tokenizer = self.ours();
        let mut out = Vec::new();
        let mut all = 0;
        for text in texts {
            out.resize(tokenizer.max_tokens(text.len()), 0);
            let count = tokenizer.encode_parse_special(text, &mut out).expect("max_tokens() elements suffice");
            let expected = self.library.encode(text, false).unwrap();
            assert!(out[..count] == *expected.get_ids(), "{text:?}: {:?}, not {:?}", &out[..count], expected.get_ids());
            all += count;
        }
        all
    }
}
