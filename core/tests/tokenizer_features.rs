//! A Cargo feature decides which kinds of tokenizer section can be opened.

use attoformer::internals::tokenizer::flags;
use attoformer::{Error, Tokenizer};

/// A section of two tokens whose tables have the sizes that `kind` implies, and contents that no kind accepts.
fn section(kind: u32) -> Vec<u8> {
    let header = [kind, 2, 0, 0, 9, 9, 0, 9];
    header.into_iter().flat_map(u32::to_le_bytes).chain([0; 2048]).collect()
}

#[test]
fn a_kind_that_is_not_built_in_is_refused_by_the_name_of_its_feature() {
    let kinds = [
        (flags::KIND_BPE, "bpe", cfg!(feature = "bpe")),
        (flags::KIND_WORDPIECE, "wordpiece", cfg!(feature = "wordpiece")),
        (flags::KIND_BYTE_BPE, "byte-bpe", cfg!(feature = "byte-bpe")),
        (flags::KIND_UNIGRAM, "unigram", cfg!(feature = "unigram")),
    ];
    for (kind, feature, is_built_in) in kinds {
        match Tokenizer::new(&section(kind), 2) {
            Err(Error::NotBuiltIn { feature: named }) => assert!(!is_built_in && named == feature, "{feature}: {named}"),
            Err(Error::Tokenizer { .. }) => assert!(is_built_in, "{feature}"),
            other => panic!("{feature}: {other:?}"),
        }
    }
    assert!(matches!(Tokenizer::new(&section(5), 2), Err(Error::Tokenizer { what }) if what.contains("kind")));
}
