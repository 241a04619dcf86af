//! SentencePiece-style BPE against a slow encoder, and against malformed sections.

#[path = "common/random.rs"]
mod random;
#[path = "common/reference.rs"]
mod reference;
#[path = "common/vocabulary.rs"]
mod vocabulary;

use attoformer::Error;
use attoformer::{Decoder, Tokenizer};
use attoformer_needs::needs;
use random::Random;
use vocabulary::{Vocabulary, random_text};

fn encode(tokenizer: &Tokenizer<'_>, text: &str) -> Vec<u32> {
    let mut out = vec![0; text.len() + 1];
    let count = tokenizer.encode(text, &mut out).expect("text.len() + 1 elements suffice");
    out.truncate(count);
    out
}

fn decode(tokenizer: &Tokenizer<'_>, tokens: &[u32]) -> String {
    let mut decoder = Decoder::new();
    let mut text: String = tokens.iter().map(|&token| decoder.push(tokenizer, token).unwrap().to_string()).collect();
    text.push_str(decoder.finish());
    text
}

/// Encoding gives the tokens of the slow encoder, with a large buffer and with small ones, and decoding gives the text.
fn check(vocabulary: &Vocabulary, tokenizer: &Tokenizer<'_>, text: &str) {
    let expected = vocabulary.encode_slowly(text);
    assert_eq!(encode(tokenizer, text), expected, "{text:?}");
    assert_eq!(decode(tokenizer, &expected), text);
    // A large buffer has memory for a memo of pairs, a small one has none: the result is the same, or an error.
    let mut out = vec![0; 2 * text.len() + 10];
    let count = tokenizer.encode(text, &mut out).unwrap();
    assert_eq!(out[..count], expected);
    for room in [expected.len(), expected.len() + 1, expected.len() + 3, expected.len() * 3 / 2] {
        match tokenizer.encode(text, &mut out[..room]) {
            Ok(count) => assert_eq!(out[..count], expected),
            Err(error) => assert_eq!(error, Error::BufferTooSmall { need: room + 1, have: room }),
        }
    }
    if !expected.is_empty() {
        assert!(tokenizer.encode(text, &mut out[..expected.len() - 1]).is_err());
    }
}

#[test]
fn a_small_vocabulary_gives_the_tokens_of_the_slow_encoder() {
    let vocabulary = Vocabulary::small();
    let section = vocabulary.section();
    let tokenizer = Tokenizer::new(&section, vocabulary.vocab()).unwrap();
    for text in ["", " ", "the", " the", "  the", "abcabc", "aaaaaaa", "éaéa", "日本日本", "\0", "<s>", "\n<s>\n", "<0x41>"] {
        check(&vocabulary, &tokenizer, text);
    }
    let mut random = Random(1);
    for _ in 0..2000 {
        check(&vocabulary, &tokenizer, &random_text(&mut random, 12));
    }
}

#[test]
fn any_vocabulary_gives_the_tokens_of_the_slow_encoder() {
    let mut random = Random(2);
    for round in 0..300 {
        let mut vocabulary = Vocabulary::random(&mut random, round % 3);
        vocabulary.add_dummy_prefix = round % 4 != 0;
        let section = vocabulary.section();
        let tokenizer = Tokenizer::new(&section, vocabulary.vocab()).unwrap();
        for _ in 0..20 {
            check(&vocabulary, &tokenizer, &random_text(&mut random, 12));
            let letters = ["a", "b", "é", "日", " ", "\u{1F600}"];
            let text: String = (0..random.below(60)).map(|_| random.pick(&letters)).collect();
            check(&vocabulary, &tokenizer, &text);
        }
    }
}

#[needs(file = "../shared/models/stories260K/tok512.bin", file = "../shared/data/tinystories_dev.txt")]
#[test]
fn the_stories_vocabulary_gives_the_tokens_of_the_slow_encoder() {
    let vocabulary = Vocabulary::stories();
    let section = vocabulary.section();
    let tokenizer = Tokenizer::new(&section, vocabulary.vocab()).unwrap();
    assert_eq!(encode(&tokenizer, "Once upon a time"), [403, 407, 261, 378]);
    let mut random = Random(3);
    for _ in 0..3000 {
        check(&vocabulary, &tokenizer, &random_text(&mut random, 12));
    }
    let stories = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/tinystories_dev.txt")).unwrap();
    stories.lines().for_each(|line| check(&vocabulary, &tokenizer, line));
    stories.split("<|endoftext|>").take(10).for_each(|story| check(&vocabulary, &tokenizer, story.trim()));
    // Encoding word by word gives the same tokens as the whole, so the slow encoder need not encode the whole file at once.
    let words = stories.split_inclusive(' ').scan(String::new(), |space, word| {
        let text = format!("{space}{}", word.strip_suffix(' ').unwrap_or(word));
        *space = " ".to_string();
        Some(text)
    });
    let mut plain = vocabulary.clone();
    plain.add_dummy_prefix = false;
    let expected: Vec<u32> =
        words.enumerate().flat_map(|(at, word)| if at == 0 { &vocabulary } else { &plain }.encode_slowly(&word)).collect();
    assert_eq!(encode(&tokenizer, &stories), expected);
}

/// The merges of the text `<s>` reach the piece of BOS only if that is matched against text.
#[test]
fn text_never_becomes_a_special_token_of_bpe() {
    let mut vocabulary = Vocabulary::new(&[("<", -1.0), ("s", -1.0), (">", -1.0), ("<s", -2.0), ("0", -1.0), ("<0", -2.0)]);
    vocabulary.pieces[0].0 = b"<0".to_vec();
    vocabulary.pieces[1].0 = b"<s>".to_vec();
    vocabulary.pieces[2].0 = b"s>".to_vec();
    vocabulary.pieces[3].0 = b"<0>".to_vec();
    vocabulary.add_dummy_prefix = false;
    let section = vocabulary.section();
    let tokenizer = Tokenizer::new(&section, vocabulary.vocab()).unwrap();
    assert_eq!(encode(&tokenizer, "<s>"), [262, 261]);
    assert_eq!(encode(&tokenizer, "<0>"), [264, 261]);
    assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.unk(), tokenizer.vocab()), (1, 2, 0, 265));
}

/// The piece that spells a byte token is not its text.
#[test]
fn byte_tokens_do_not_merge() {
    let vocabulary = Vocabulary::new(&[("x", -1.0), ("<0x41>x", -2.0), ("x<0x41>", -2.0), (" ", -3.0), ("xx", -4.0)]);
    let section = vocabulary.section();
    let tokenizer = Tokenizer::new(&section, vocabulary.vocab()).unwrap();
    assert_eq!(encode(&tokenizer, "xAx"), [262, 259, 3 + 0x41, 259]);
    check(&vocabulary, &tokenizer, "AxAxxA");
}

/// Of pairs with equal scores the leftmost merges first, also if one merge created both; a better pair comes before either.
#[test]
fn of_equal_scores_the_leftmost_pair_merges_first() {
    for (left, right, expected) in [(1.0, 1.0, ["abc", "d"]), (1.0, 2.0, ["a", "bcd"]), (2.0, 2.0, ["abc", "d"]), (0.5, 1.0, ["a", "bcd"])]
    {
        let letters = [("a", 0.0), ("bcd", right), ("abc", left), ("d", 0.0), ("b", 0.0), ("c", 0.0), ("bc", 1.0)];
        let mut vocabulary = Vocabulary::new(&letters);
        vocabulary.add_dummy_prefix = false;
        let section = vocabulary.section();
        let tokenizer = Tokenizer::new(&section, vocabulary.vocab()).unwrap();
        let pieces: Vec<&[u8]> = encode(&tokenizer, "abcd").iter().map(|&token| tokenizer.piece(token).unwrap()).collect();
        assert_eq!(pieces, expected.map(str::as_bytes), "{left} {right}");
        check(&vocabulary, &tokenizer, "abcdabcdbcdabc");
    }
}

/// A megabyte without a space takes little time, with a small buffer and with a large one.
#[test]
fn a_very_long_word_takes_linear_time() {
    let vocabulary = Vocabulary::small();
    let section = vocabulary.section();
    let tokenizer = Tokenizer::new(&section, vocabulary.vocab()).unwrap();
    let mut random = Random(4);
    let long: String = (0..1 << 20).map(|_| random.pick(&['a', 'b', 'c', 'h', 'e', 't', 'x'])).collect();
    assert_eq!(tokenizer.encode(&long, &mut [0; 4096]), Err(Error::BufferTooSmall { need: 4097, have: 4096 }));
    let mut out = vec![0; long.len() + 1];
    let count = tokenizer.encode(&long, &mut out).unwrap();
    assert_eq!(decode(&tokenizer, &out[..count]), long);
    let run = "a".repeat(1 << 20);
    let count = tokenizer.encode(&run, &mut out).unwrap();
    assert_eq!(count, (1 << 18) + 1);
}

#[test]
fn every_token_has_its_piece_and_ids_out_of_range_are_errors() {
    let vocabulary = Vocabulary::small();
    let section = vocabulary.section();
    let tokenizer = Tokenizer::new(&section, vocabulary.vocab()).unwrap();
    for byte in 0..=255 {
        assert_eq!(tokenizer.piece(3 + u32::from(byte)), Ok(&[byte][..]));
    }
    for (token, (piece, _)) in (0..).zip(&vocabulary.pieces).filter(|(token, _)| !(3..259).contains(token)) {
        assert_eq!(tokenizer.piece(token), Ok(&piece[..]));
    }
    for token in [vocabulary.vocab(), u32::MAX - 1, u32::MAX] {
        assert_eq!(tokenizer.piece(token), Err(Error::TokenOutOfRange { token, vocab: vocabulary.vocab() }));
    }
}

/// Does everything that a caller can do with a tokenizer: nothing may panic, whatever the section says.
fn exercise(tokenizer: &Tokenizer<'_>) {
    let mut out = [0; 64];
    for text in ["the abc aaaa", "日本 éa \u{1F600} <s>", ""] {
        if let Ok(count) = tokenizer.encode(text, &mut out) {
            let mut decoder = Decoder::new();
            for &token in &out[..count] {
                assert!(token != tokenizer.bos() && token != tokenizer.eos());
                decoder.push(tokenizer, token).unwrap();
            }
            decoder.finish();
        }
    }
    let _ = tokenizer.encode("the", &mut [0; 2]);
    let mut decoder = Decoder::mid_text();
    for token in (0..tokenizer.vocab().saturating_add(2)).chain([u32::MAX]) {
        assert_eq!(decoder.push(tokenizer, token).is_ok(), tokenizer.piece(token).is_ok());
    }
}

#[test]
fn damaged_bpe_sections_never_panic() {
    let vocabulary = Vocabulary::small();
    let section = vocabulary.section();
    for end in 0..section.len() {
        assert!(matches!(Tokenizer::new(&section[..end], vocabulary.vocab()), Err(Error::Tokenizer { .. })), "cut at {end}");
    }
    let mut longer = section.clone();
    longer.push(b'x');
    assert!(Tokenizer::new(&longer, vocabulary.vocab()).is_err());
    for vocab in [0, 1, vocabulary.vocab() - 1, vocabulary.vocab() + 1, u32::MAX] {
        assert!(Tokenizer::new(&section, vocab).is_err());
        let mut stated = section.clone();
        stated[4..8].copy_from_slice(&vocab.to_le_bytes());
        assert!(Tokenizer::new(&stated, vocab).is_err());
    }
    let mut random = Random(5);
    let mut accepted = 0;
    for at in 0..section.len() {
        for _ in 0..4 {
            let mut altered = section.clone();
            altered[at] = random.pick(&[0, 1, 0x20, 0x7f, 0x80, 0xff, section[at] ^ 1, section[at].wrapping_add(1), random.0 as u8]);
            if let Ok(tokenizer) = Tokenizer::new(&altered, vocabulary.vocab()) {
                accepted += 1;
                exercise(&tokenizer);
            }
        }
    }
    assert!(accepted > 100, "{accepted} altered scores or pieces should have passed");
}

/// Breaks each rule of the section alone.
#[test]
fn each_contradiction_of_a_bpe_section_is_named() {
    let vocabulary = Vocabulary::small();
    let section = vocabulary.section();
    let vocab = vocabulary.vocab() as usize;
    let (scores, sorted) = (32 + 4 * (vocab + 1), 32 + 4 * (2 * vocab + 1));
    let what = |alter: &dyn Fn(&mut Vec<u8>)| {
        let mut altered = section.clone();
        alter(&mut altered);
        match Tokenizer::new(&altered, vocabulary.vocab()) {
            Err(Error::Tokenizer { what }) => what,
            other => panic!("{other:?}"),
        }
    };
    let put = |at: usize, value: u32| what(&|bytes| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes()));
    assert!(put(0, 5).contains("kind"));
    assert!(put(4, 7).contains("vocabulary"));
    assert!(put(8, 7).contains("longest") && put(8, 5).contains("longest"));
    assert!(put(12, 128).contains("flag"));
    for at in [16, 20, 28] {
        assert!(put(at, vocab as u32).contains("not in the vocabulary"));
    }
    assert!(put(24, vocab as u32 - 255).contains("byte tokens") && put(24, u32::MAX).contains("byte tokens"));
    assert!(put(16, 3).contains("is a byte token") && put(20, 258).contains("is a byte token"));
    assert!(put(32, 1).contains("ascend") && put(36, 0xffff_ffff).contains("ascend"));
    for score in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert!(put(scores, score.to_bits()).contains("finite"));
    }
    assert!(put(sorted, vocab as u32).contains("sorted id"));
    assert!(what(&|bytes| bytes.copy_within(sorted..sorted + 4, sorted + 4)).contains("order"));
    assert!(what(&|bytes| *bytes.last_mut().unwrap() = 0xff).contains("UTF-8"));
    let mut spaced = Vocabulary::new(&[("a b", -1.0)]).section();
    spaced[12] |= 2;
    assert!(matches!(Tokenizer::new(&spaced, 260), Err(Error::Tokenizer { what }) if what.contains("flag 2")));
    // An empty piece is useless but valid.
    assert!(Tokenizer::new(&Vocabulary::new(&[("", 0.0)]).section(), 260).is_ok());
    // A piece of 255 bytes is valid, one more byte is not.
    let piece = "x".repeat(256);
    assert!(Tokenizer::new(&Vocabulary::new(&[(&piece[1..], 0.0)]).section(), 260).is_ok());
    assert!(Tokenizer::new(&Vocabulary::new(&[(&piece, 0.0)]).section(), 260).is_err());
}

/// Flags for models of the `tokenizers` crate: U+2581 is a space, no dummy prefix after an added token or before a space; and pieces that no
/// two tokens merge to.
#[test]
fn space_flags_apply_and_unmergeable_pieces_are_never_made() {
    let vocabulary = Vocabulary::small();
    let with_flags = |flags: u32, text: &str| {
        let mut section = vocabulary.section();
        let stated = u32::from_le_bytes(section[12..16].try_into().unwrap()) | flags;
        section[12..16].copy_from_slice(&stated.to_le_bytes());
        let tokenizer = Tokenizer::new(&section, vocabulary.vocab()).unwrap();
        encode(&tokenizer, text)
    };
    assert_eq!(with_flags(16, "a\u{2581}the\u{2581}"), with_flags(0, "a the "));
    assert_eq!(with_flags(0, "\u{2581}").len(), 4);
    assert_eq!(with_flags(16, "\u{2581}").len(), 2);
    assert_eq!(with_flags(64, " the"), with_flags(0, "the"));
    assert_eq!(with_flags(16 | 64, "\u{2581}the"), with_flags(0, "the"));
    assert_eq!(with_flags(32, "the"), with_flags(0, "the"));

    let mut never = vocabulary.clone();
    let the = never.pieces.iter().position(|(piece, _)| piece == b" the").unwrap();
    never.pieces[the].1 = f32::MIN;
    let section = never.section();
    let tokenizer = Tokenizer::new(&section, never.vocab()).unwrap();
    assert_eq!(encode(&tokenizer, "the"), [the as u32 - 2, the as u32 - 1]);
}
