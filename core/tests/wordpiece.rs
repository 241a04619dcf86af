//! WordPiece by its rules, and against malformed sections. `host-tools/tests/wordpiece.rs` compares it with the `tokenizers` crate.

#[path = "common/random.rs"]
mod random;

use attoformer::Error;
use attoformer::{Decoder, Encoding, Tokenizer};
use random::Random;

const UNK: u32 = 1;
const BOS: u32 = 2;
const EOS: u32 = 3;
const UNCASED: u32 = 15;
const PIECES: [&str; 24] = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "un",
    "##aff",
    "##able",
    "able",
    "a",
    "##a",
    "##b",
    "i",
    "##i",
    "ss",
    ".",
    "[",
    "]",
    "cls",
    "東",
    "\u{E9}",
    "ß",
    "##\u{302E}",
    "##\u{16FF0}",
    "i\u{307}",
];

/// A section as `docs/image.md` describes it.
fn section(pieces: &[&str], flags: u32) -> Vec<u8> {
    let longest = pieces.iter().map(|piece| piece.len()).max().unwrap_or(0) as u32;
    let mut words = vec![2, pieces.len() as u32, longest, flags, BOS, EOS, 100, UNK, 0];
    for piece in pieces {
        words.push(words[words.len() - 1] + piece.len() as u32);
    }
    let mut sorted: Vec<u32> = (0..pieces.len() as u32).collect();
    sorted.sort_by_key(|&id| pieces[id as usize]);
    words.extend(sorted);
    words.into_iter().flat_map(u32::to_le_bytes).chain(pieces.concat().into_bytes()).collect()
}

/// The pieces of the tokens of `text`.
fn split(text: &str, flags: u32) -> Vec<&'static str> {
    let section = section(&PIECES, flags);
    let tokenizer = Tokenizer::new(&section, PIECES.len() as u32).unwrap();
    let mut out = vec![0; text.len()];
    let count = tokenizer.encode(text, &mut out).expect("text.len() elements suffice");
    out[..count].iter().map(|&token| PIECES[token as usize]).collect()
}

#[test]
fn words_are_split_into_their_longest_pieces() {
    assert_eq!(split("unaffable", UNCASED), ["un", "##aff", "##able"]);
    assert_eq!(split("unaffableable un", UNCASED), ["un", "##aff", "##able", "##able", "un"]);
    // A word that cannot be split to its end is unknown as a whole; the words before and after it are not.
    assert_eq!(split("a unx a", UNCASED), ["a", "[UNK]", "a"]);
    assert_eq!(split("affable", UNCASED), ["[UNK]"]);
    assert_eq!(split("", UNCASED), [""; 0]);
    assert_eq!(split(" \u{3000}\t\r\n\u{2028} ", UNCASED), [""; 0]);
}

#[test]
fn a_word_has_at_most_a_hundred_characters() {
    assert_eq!(split(&"a".repeat(100), UNCASED).len(), 100);
    assert_eq!(split(&"a".repeat(101), UNCASED), ["[UNK]"]);
    // Characters are counted after normalization, without the accents.
    assert_eq!(split(&"a\u{301}".repeat(100), UNCASED).len(), 100);
    assert_eq!(split(&format!("{} a", "é".repeat(1 << 20)), UNCASED), ["[UNK]", "a"]);
}

#[test]
fn each_step_of_the_normalizer_has_its_flag() {
    assert_eq!(split("U\0n\u{200B}\u{FFFD}", UNCASED), ["un"]);
    assert_eq!(split("un\u{200B}", UNCASED & !1), ["[UNK]"]);
    assert_eq!(split("a東a", UNCASED), ["a", "東", "a"]);
    assert_eq!(split("a東a", UNCASED & !2), ["[UNK]"]);
    assert_eq!(split("À\u{301}", UNCASED), ["a"]);
    assert_eq!(split("É", UNCASED & !4), ["é"]);
    assert_eq!(split("A", UNCASED & !8), ["[UNK]"]);
    // The dotted capital I loses its dot with the accents, or becomes two characters; ß is already lower case.
    assert_eq!(split("İ ẞ ß", UNCASED), ["i", "ß", "ß"]);
    assert_eq!(split("İ", UNCASED & !4), ["i\u{307}"]);
}

/// Spacing marks are sorted by their combining class (U+302E: 224, U+1D165: 216), but not across a character of class 0.
#[test]
fn marks_are_sorted_in_canonical_order() {
    let pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "##\u{302E}", "##\u{1D165}"];
    let section = section(&pieces, UNCASED);
    let tokenizer = Tokenizer::new(&section, pieces.len() as u32).unwrap();
    let mut out = [0; 64];
    let mut encode = |text: &str| tokenizer.encode(text, &mut out).map(|count| out[..count].to_vec()).unwrap();
    assert_eq!(encode("a\u{302E}\u{301}\u{1D165}\u{302E}"), [4, 6, 5, 5]);
    // U+0941 is a nonspacing mark of class 0: marks are not sorted across it.
    assert_eq!(encode("a\u{302E}\u{941}\u{1D165}"), [4, 5, 6]);
    assert_eq!(encode("a\u{1D165}\u{302E} a"), [4, 6, 5, 4]);
    assert_eq!(encode(&"\u{302E}\u{1D165}".repeat(1 << 16)), [UNK]);
}

/// Text cannot end a sequence, whatever it spells.
#[test]
fn text_never_becomes_a_special_token_of_wordpiece() {
    assert_eq!(split("[CLS]", UNCASED), ["[", "cls", "]"]);
    let pieces = ["pad", "unk", "cls", "sep", "c", "##l", "##s"];
    let section = section(&pieces, UNCASED);
    let tokenizer = Tokenizer::new(&section, pieces.len() as u32).unwrap();
    let mut out = [0; 8];
    assert_eq!(tokenizer.encode("cls sep pad", &mut out), Ok(5));
    assert_eq!(out[..5], [4, 5, 6, UNK, 0]);
}

#[test]
fn special_tokens_surround_the_text_and_truncated_tokens_are_counted() {
    let section = section(&PIECES, UNCASED);
    let tokenizer = Tokenizer::new(&section, PIECES.len() as u32).unwrap();
    assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.unk(), tokenizer.vocab()), (BOS, EOS, UNK, 24));
    for (room, expected, truncated) in
        [(6, vec![2, 4, 5, 6, 3], 0), (5, vec![2, 4, 5, 6, 3], 0), (4, vec![2, 4, 5, 3], 1), (2, vec![2, 3], 3)]
    {
        let mut out = vec![0; room];
        let encoding = tokenizer.encode_with_special_tokens("unaffable", &mut out).unwrap();
        assert_eq!(encoding, Encoding { tokens: expected.len(), truncated });
        assert_eq!(out[..encoding.tokens], expected);
    }
    assert_eq!(tokenizer.encode_with_special_tokens("", &mut [0; 2]), Ok(Encoding { tokens: 2, truncated: 0 }));
    assert_eq!(tokenizer.encode_with_special_tokens("", &mut [0; 1]), Err(Error::BufferTooSmall { need: 2, have: 1 }));
    assert_eq!(tokenizer.encode_with_special_tokens("", &mut []), Err(Error::BufferTooSmall { need: 1, have: 0 }));
    assert_eq!(tokenizer.encode("unaffable", &mut [0; 2]), Err(Error::BufferTooSmall { need: 3, have: 2 }));
    // A word whose first pieces fit and whose rest does not is still one unknown token.
    assert_eq!(tokenizer.encode_with_special_tokens("unx", &mut [0; 3]), Ok(Encoding { tokens: 3, truncated: 0 }));
}

#[test]
fn decoding_joins_words_with_spaces() {
    let section = section(&PIECES, UNCASED);
    let tokenizer = Tokenizer::new(&section, PIECES.len() as u32).unwrap();
    let decode = |mut decoder: Decoder, tokens: &[u32]| {
        let text: String = tokens.iter().map(|&token| decoder.push(&tokenizer, token).unwrap().to_owned()).collect();
        text + decoder.finish()
    };
    assert_eq!(decode(Decoder::new(), &[BOS, 4, 5, 6, 18, 1, 14, EOS, 8, 9]), "unaffable 東 [UNK] . aa");
    assert_eq!(decode(Decoder::new(), &[EOS, 5, 6, BOS, 8]), "##affablea");
    assert_eq!(decode(Decoder::mid_text(), &[4, 5]), " unaff");
    assert_eq!(decode(Decoder::mid_text(), &[5, 4]), "aff un");
    assert_eq!(tokenizer.piece(5), Ok(&b"##aff"[..]));
    assert_eq!(tokenizer.piece(24), Err(Error::TokenOutOfRange { token: 24, vocab: 24 }));
}

/// The longest piece with the space before it fits the decoder.
#[test]
fn a_piece_of_255_bytes_is_decoded() {
    let long = "é".repeat(127) + "x";
    let pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", &long];
    let section = section(&pieces, UNCASED);
    let tokenizer = Tokenizer::new(&section, pieces.len() as u32).unwrap();
    let mut decoder = Decoder::new();
    decoder.push(&tokenizer, 4).unwrap();
    assert_eq!(decoder.push(&tokenizer, 4), Ok(format!(" {long}").as_str()));
}

/// Breaks each rule of the section alone.
#[test]
fn each_contradiction_of_a_wordpiece_section_is_named() {
    let good = section(&PIECES, UNCASED);
    let vocab = PIECES.len();
    let sorted = 32 + 4 * (vocab + 1);
    let put = |at: usize, value: u32| {
        let mut altered = good.clone();
        altered[at..at + 4].copy_from_slice(&value.to_le_bytes());
        match Tokenizer::new(&altered, vocab as u32) {
            Err(Error::Tokenizer { what }) => what,
            other => panic!("{other:?}"),
        }
    };
    assert!(put(4, 7).contains("vocabulary"));
    assert!(put(8, 9).contains("longest"));
    assert!(put(12, 16).contains("flag") && put(12, u32::MAX).contains("flag"));
    for at in [16, 20, 28] {
        assert!(put(at, vocab as u32).contains("not in the vocabulary"));
    }
    assert!(put(24, 0).contains("longest word") && put(24, 101).contains("longest word"));
    assert!(put(32, 1).contains("ascend"));
    assert!(put(sorted, vocab as u32).contains("sorted id"));
    let twice = section(&["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "a"], UNCASED);
    assert!(matches!(Tokenizer::new(&twice, 6), Err(Error::Tokenizer { what }) if what.contains("twice")));
}

#[test]
fn damaged_wordpiece_sections_never_panic() {
    let good = section(&PIECES, UNCASED);
    let vocab = PIECES.len() as u32;
    for end in 0..good.len() {
        assert!(matches!(Tokenizer::new(&good[..end], vocab), Err(Error::Tokenizer { .. })), "cut at {end}");
    }
    let mut random = Random(21);
    let mut accepted = 0;
    for at in 0..good.len() {
        for _ in 0..8 {
            let mut altered = good.clone();
            altered[at] = random.pick(&[0, 1, 0x20, 0x23, 0x7f, 0x80, 0xff, good[at] ^ 1, good[at].wrapping_add(1), random.0 as u8]);
            let Ok(tokenizer) = Tokenizer::new(&altered, vocab) else { continue };
            accepted += 1;
            let mut out = [0; 64];
            for text in ["unaffable [CLS] 東é İ.", "a\u{302E}\u{1D165} \u{1D1C0}각", ""] {
                let encoding = tokenizer.encode_with_special_tokens(text, &mut out).unwrap();
                let mut decoder = Decoder::new();
                out[..encoding.tokens].iter().for_each(|&token| assert!(decoder.push(&tokenizer, token).is_ok()));
            }
        }
    }
    assert!(accepted > 100, "{accepted} altered flags or pieces should have passed");
}
