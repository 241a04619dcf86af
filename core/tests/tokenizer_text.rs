//! Tokens to text, and stop sequences, in streams divided anywhere.

#[path = "common/random.rs"]
mod random;
#[path = "common/vocabulary.rs"]
mod vocabulary;

use attoformer::Error;
use attoformer::{Decoder, MAX_STOP_BYTES, StopMatcher, Tokenizer};
use random::Random;
use vocabulary::{Vocabulary, random_text};

/// The text of all tokens at once: their bytes joined, then decoded.
fn decode_at_once(vocabulary: &Vocabulary, tokens: &[u32], mut at_start: bool) -> String {
    let mut bytes = Vec::new();
    for &token in tokens {
        let piece = match token.checked_sub(vocabulary.first_byte) {
            Some(byte @ 0..=255) => vec![byte as u8],
            _ if token == vocabulary.bos || token == vocabulary.eos => Vec::new(),
            _ => vocabulary.pieces[token as usize].0.clone(),
        };
        let strip = at_start && vocabulary.add_dummy_prefix && piece.first() == Some(&b' ');
        bytes.extend(&piece[usize::from(strip)..]);
        at_start = token == vocabulary.bos;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn any_tokens_decode_as_if_all_at_once() {
    let mut random = Random(11);
    // Bytes that start, continue, or can never be in a character.
    let bytes = [0x00, 0x20, 0x41, 0x80, 0x9f, 0xa0, 0xbf, 0xc0, 0xc3, 0xe0, 0xe6, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff];
    for round in 0..6000 {
        let mut vocabulary = Vocabulary::random(&mut random, 2);
        vocabulary.add_dummy_prefix = round % 5 != 0;
        let section = vocabulary.section();
        let tokenizer = Tokenizer::new(&section, vocabulary.vocab()).unwrap();
        let tokens: Vec<u32> = (0..random.below(30))
            .map(|_| match random.below(6) {
                0 => random.below(vocabulary.vocab() as usize) as u32,
                1 => random.below(3) as u32,
                2 => 259 + random.below(vocabulary.vocab() as usize - 259) as u32,
                _ => 3 + random.pick(&bytes),
            })
            .collect();
        let at_start = round % 2 == 0;
        let mut decoder = if at_start { Decoder::new() } else { Decoder::mid_text() };
        let mut text = String::new();
        for (at, &token) in tokens.iter().enumerate() {
            text.push_str(decoder.push(&tokenizer, token).unwrap());
            // Nothing is held back but one unfinished character.
            let so_far = decode_at_once(&vocabulary, &tokens[..=at], at_start);
            assert!(so_far == text || so_far.strip_suffix('\u{FFFD}') == Some(&text), "{so_far:?} {text:?}");
        }
        text.push_str(decoder.finish());
        assert_eq!(text, decode_at_once(&vocabulary, &tokens, at_start), "{tokens:?}");
        assert_eq!(decoder.finish(), "");
    }
}

#[test]
fn a_character_comes_with_its_last_byte() {
    let vocabulary = Vocabulary::small();
    let section = vocabulary.section();
    let tokenizer = Tokenizer::new(&section, vocabulary.vocab()).unwrap();
    let mut decoder = Decoder::mid_text();
    let mut push = |token: u32| decoder.push(&tokenizer, token).unwrap().to_string();
    assert_eq!([0xf0, 0x9f, 0x98, 0x80].map(|byte| push(3 + byte)), ["", "", "", "\u{1F600}"]);
    assert_eq!([0xf0, 0x9f, 0x41].map(|byte| push(3 + byte)), ["", "", "\u{FFFD}A"]);
    assert_eq!([0xe6, 0xff, 0xc3].map(|byte| push(3 + byte)), ["", "\u{FFFD}\u{FFFD}", ""]);
    assert_eq!(push(tokenizer.eos()), "");
    assert_eq!(push(259), "\u{FFFD} t");
    assert_eq!(push(tokenizer.bos()), "");
    assert_eq!(push(259), "t");
    assert_eq!(push(259), " t");
    let vocab = vocabulary.vocab();
    assert_eq!(decoder.push(&tokenizer, vocab), Err(Error::TokenOutOfRange { token: vocab, vocab }));
}

/// The longest text that one token can complete.
#[test]
fn the_longest_piece_after_a_broken_character_fits_the_decoder() {
    let longest = "x".repeat(255);
    let vocabulary = Vocabulary::new(&[(&longest, 0.0)]);
    let section = vocabulary.section();
    let tokenizer = Tokenizer::new(&section, vocabulary.vocab()).unwrap();
    let mut decoder = Decoder::default();
    assert_eq!([0xf0, 0x9f, 0x98].map(|byte| decoder.push(&tokenizer, 3 + byte).unwrap().len()), [0, 0, 0]);
    assert_eq!(decoder.push(&tokenizer, 259).unwrap(), format!("\u{FFFD}{longest}"));
    assert!(size_of::<Decoder>() <= 300, "{} bytes", size_of::<Decoder>());
}

/// The text before the stop sequence that ends first (the longest of those that end together), and whether one was found.
fn before_stop<'t>(text: &'t str, stops: &[&str]) -> (&'t str, bool) {
    for end in (0..=text.len()).filter(|&end| text.is_char_boundary(end)) {
        let found = stops.iter().filter(|stop| !stop.is_empty() && text[..end].ends_with(**stop)).map(|stop| stop.len()).max();
        if let Some(length) = found {
            return (&text[..end - length], true);
        }
    }
    (text, false)
}

#[test]
fn stop_sequences_are_found_in_any_stream() {
    let mut random = Random(12);
    let letters = ['a', 'b', 'é', '\u{1F600}'];
    let mut stopped_count = 0;
    for _ in 0..20_000 {
        let mut word = |limit: usize| -> String { (0..random.below(limit)).map(|_| random.pick(&letters)).collect() };
        let stops = [word(5), word(7), word(9)];
        let text = word(30);
        let stops: Vec<&str> = stops[..random.below(4)].iter().map(|stop| stop.as_str()).collect();
        let (expected, found) = before_stop(&text, &stops);
        let mut matcher = StopMatcher::new(&stops).unwrap();
        let mut passed = String::new();
        let mut rest = &text[..];
        while !rest.is_empty() {
            let mut cut = random.below(rest.len() + 1);
            while !rest.is_char_boundary(cut) {
                cut += 1;
            }
            let (part, tail) = rest.split_at(cut);
            passed.extend(matcher.push(part));
            rest = tail;
            // Only a prefix of a stop sequence is held back.
            let seen = &text[..text.len() - rest.len()];
            let held = &seen[passed.len()..];
            assert!(matcher.stopped() || stops.iter().any(|stop| stop.starts_with(held)) || held.is_empty(), "{held:?} of {stops:?}");
        }
        assert_eq!(matcher.stopped(), found, "{text:?} {stops:?}");
        stopped_count += usize::from(found);
        if found {
            assert_eq!(matcher.push("more"), ["", ""]);
        }
        passed.push_str(matcher.finish());
        assert_eq!(passed, expected, "{text:?} {stops:?}");
        assert!(!matcher.stopped());
    }
    assert!((1000..19_000).contains(&stopped_count));
}

#[test]
fn stop_sequences_have_at_most_64_bytes() {
    let long = "x".repeat(MAX_STOP_BYTES + 1);
    assert_eq!(StopMatcher::new(&[&long]).err(), Some(Error::BufferTooSmall { need: MAX_STOP_BYTES + 1, have: MAX_STOP_BYTES }));
    let stops = [&long[1..]];
    let mut matcher = StopMatcher::new(&stops).unwrap();
    assert_eq!(matcher.push(&long[2..]), ["", ""]);
    assert_eq!(matcher.push("y"), [&long[2..], "y"]);
    assert_eq!(matcher.push(&format!("a{long}")), ["", "a"]);
    assert!(matcher.stopped());
    let mut none = StopMatcher::new(&["", ""]).unwrap();
    assert_eq!((none.push("text"), none.finish(), none.stopped()), (["", "text"], "", false));
}

/// Text to tokens to text, up to a stop sequence.
#[test]
fn decoded_text_ends_at_a_stop_sequence() {
    let vocabulary = Vocabulary::small();
    let section = vocabulary.section();
    let tokenizer = Tokenizer::new(&section, vocabulary.vocab()).unwrap();
    let mut random = Random(13);
    for _ in 0..500 {
        let text = random_text(&mut random, 10);
        let mut tokens = vec![0; text.len() + 1];
        let count = tokenizer.encode(&text, &mut tokens).unwrap();
        let stops = ["the", "\u{200D}\u{1F467}", "aaaaaaa"];
        let (mut decoder, mut matcher) = (Decoder::new(), StopMatcher::new(&stops).unwrap());
        let mut passed = String::new();
        for &token in &tokens[..count] {
            passed.extend(matcher.push(decoder.push(&tokenizer, token).unwrap()));
        }
        passed.extend(matcher.push(decoder.finish()));
        passed.push_str(matcher.finish());
        assert_eq!(passed, before_stop(&text, &stops).0);
    }
}
