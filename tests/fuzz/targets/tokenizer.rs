//! Any tokenizer section with any text: encoding and decoding return the text, decoding tokens returns the lossy text of their bytes, and stop
//! sequences are found wherever the stream is split. Sections that drop parts of a text (WordPiece, added tokens, missing bytes) give
//! tokens that are in range and do not depend on the buffer size.
//!
//! Input: one byte for the kind of the rest, the text's length in two bytes, the text, then a section (0) or the pieces of one (1).
#![no_main]

use attoformer::Tokenizer;
use attoformer::{Decoder, StopMatcher};
use libfuzzer_sys::{Corpus, fuzz_target};

/// Section kinds: pieces with scores and byte fallback, whose tokens represent the whole text, and words.
const SENTENCE_PIECE: u8 = 1;
const WORD_PIECE: u8 = 2;
/// Flag of a section with added tokens, in the second byte of its flags.
const ADDED: u8 = 1;
/// Longer texts find no more faults and are slow with a hostile vocabulary.
const TEXT_MAX: usize = 300;

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((&[kind, low, high], rest)) = data.split_first_chunk() else { return Corpus::Reject };
    let length = usize::from(u16::from_le_bytes([low, high])).min(TEXT_MAX).min(rest.len());
    let (text, rest) = rest.split_at(length);
    let text = String::from_utf8_lossy(text);
    let section = if kind & 1 == 0 { rest.to_vec() } else { section_of(rest) };
    let vocab = section.get(4..8).map_or(0, |word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    match Tokenizer::new(&section, vocab) {
        Ok(tokenizer) if section.first() == Some(&WORD_PIECE) => words(&tokenizer, &text, rest),
        Ok(tokenizer) => {
            let whole = section[0] == SENTENCE_PIECE && section[13] & ADDED == 0;
            encode_and_decode(&tokenizer, &text, whole);
            with_control(&tokenizer, &text);
            decode(&tokenizer, rest, whole);
        }
        // Generated pieces always form a valid section.
        Err(error) => assert_eq!(kind & 1, 0, "{error}"),
    }
    stop(&text, rest);
    Corpus::Keep
});

/// A section of the base tokens and the pieces in `bytes`: a length, a score, then that many bytes each.
fn section_of(bytes: &[u8]) -> Vec<u8> {
    let mut pieces: Vec<(Vec<u8>, f32)> = ["<unk>", "\n<s>\n", "\n</s>\n"].map(|mark| (mark.into(), 0.0)).to_vec();
    pieces.extend((0..256).map(|byte| (format!("<0x{byte:02X}>").into_bytes(), 0.0)));
    let mut rest = bytes;
    while let Some((&[length, score], after)) = rest.split_first_chunk() {
        let (piece, after) = after.split_at(usize::from(length % 12).min(after.len()));
        pieces.push((String::from_utf8_lossy(piece).into_owned().into_bytes(), f32::from(score as i8)));
        rest = after;
    }
    let mut sorted: Vec<u32> = (0..pieces.len() as u32).collect();
    sorted.sort_by_key(|&id| (&pieces[id as usize].0, id));
    let longest = pieces.iter().map(|(piece, _)| piece.len()).max().unwrap_or(0) as u32;
    let space_after = pieces.iter().any(|(piece, _)| piece.iter().skip(1).any(|&byte| byte == b' '));
    let flags = u32::from(bytes.len() % 2 == 0) + 2 * u32::from(!space_after && bytes.len() % 3 == 0);
    let ends = pieces.iter().scan(0, |end, (piece, _)| {
        *end += piece.len() as u32;
        Some(*end)
    });
    let words = [1, pieces.len() as u32, longest, flags, 1, 2, 3, 0].into_iter().chain([0]).chain(ends);
    let words = words.chain(pieces.iter().map(|(_, score)| score.to_bits())).chain(sorted);
    words.flat_map(u32::to_le_bytes).chain(pieces.iter().flat_map(|(piece, _)| piece.iter().copied())).collect()
}

fn encode_and_decode(tokenizer: &Tokenizer, text: &str, whole: bool) {
    let mut tokens = vec![0; tokenizer.max_tokens(text.len())];
    let count = tokenizer.encode(text, &mut tokens).expect("a sufficient number of tokens");
    tokens.truncate(count);
    assert!(tokens.iter().all(|&token| token < tokenizer.vocab()));
    // The order of merges, and so the tokens, do not depend on the buffer size.
    let mut roomy = vec![0; 2 * tokenizer.max_tokens(text.len()) + 8];
    assert_eq!(tokenizer.encode(text, &mut roomy).map(|count| &roomy[..count]), Ok(&tokens[..]));
    for room in [0, 1, count / 2, count] {
        if let Ok(count) = tokenizer.encode(text, &mut roomy[..room]) {
            assert_eq!(roomy[..count], tokens);
        }
    }
    let mut decoder = Decoder::new();
    let mut again: String = tokens.iter().map(|&token| decoder.push(tokenizer, token).expect("a token in range").to_owned()).collect();
    again += decoder.finish();
    assert!(!whole || again == text, "{again:?} of {text:?}");
}

/// Text of a chat template: tokens in range, and at most the stated maximum.
fn with_control(tokenizer: &Tokenizer, text: &str) {
    let mut tokens = vec![0; tokenizer.max_tokens(text.len())];
    let count = tokenizer.encode_parse_special(text, &mut tokens).expect("a sufficient number of tokens");
    assert!(tokens[..count].iter().all(|&token| token < tokenizer.vocab()));
}

/// WordPiece: tokens are in range, match the text's length, and a shorter input gives a prefix of them; any token can be decoded.
fn words(tokenizer: &Tokenizer, text: &str, bytes: &[u8]) {
    let mut tokens = vec![0; text.len()];
    let count = tokenizer.encode(text, &mut tokens).expect("a sufficient number of tokens");
    tokens.truncate(count);
    assert!(tokens.iter().all(|&token| token < tokenizer.vocab()));
    for room in [2, 3, count + 1, count + 2, count + 5] {
        let mut input = vec![0; room];
        let encoding = tokenizer.encode_with_special_tokens(text, &mut input).expect("space for the special tokens");
        let kept = encoding.tokens - 2;
        assert_eq!((kept + encoding.truncated, &input[1..=kept]), (count, &tokens[..kept]));
    }
    let mut decoder = Decoder::new();
    for token in tokens.into_iter().chain(bytes.iter().map(|&byte| u32::from(byte))) {
        assert_eq!(decoder.push(tokenizer, token).is_ok(), token < tokenizer.vocab());
    }
    decoder.finish();
}

/// Decodes arbitrary tokens.
fn decode(tokenizer: &Tokenizer, bytes: &[u8], whole: bool) {
    let (mut decoder, mut text, mut all) = (Decoder::mid_text(), String::new(), Vec::new());
    for pair in bytes.chunks_exact(2).take(TEXT_MAX) {
        let token = u32::from(u16::from_le_bytes([pair[0], pair[1]]));
        match decoder.push(tokenizer, token) {
            Ok(_) if token == tokenizer.bos() || token == tokenizer.eos() => return,
            Ok(piece) => {
                text += piece;
                all.extend(tokenizer.piece(token).expect("a token in range"));
            }
            Err(_) => assert!(token >= tokenizer.vocab()),
        }
    }
    text += decoder.finish();
    assert!(!whole || text == String::from_utf8_lossy(&all), "{text:?}");
}

/// Output of a stop matcher with two stop sequences for a text in parts of `step` characters.
fn shown(text: &str, stops: &[&str], step: usize) -> Option<(String, bool)> {
    let mut matcher = StopMatcher::new(stops).ok()?;
    let mut shown = String::new();
    let characters: Vec<char> = text.chars().collect();
    for piece in characters.chunks(step) {
        let piece: String = piece.iter().collect();
        matcher.push(&piece).iter().for_each(|part| shown.push_str(part));
    }
    let stopped = matcher.stopped();
    shown += matcher.finish();
    Some((shown, stopped))
}

fn stop(text: &str, bytes: &[u8]) {
    let at = usize::from(bytes.first().copied().unwrap_or(0)) % (text.len() + 1);
    let long = text.get(at..).unwrap_or("").chars().take(5).collect::<String>();
    let short = text.chars().rev().take(2).collect::<String>();
    let stops = [long.as_str(), short.as_str()];
    let Some((whole, stopped)) = shown(text, &stops, text.len().max(1)) else { return };
    assert!(text.starts_with(&whole));
    assert_eq!(stopped, stops.iter().any(|stop| !stop.is_empty() && text.contains(stop)));
    for step in [1, 2, 7] {
        assert_eq!(shown(text, &stops, step), Some((whole.clone(), stopped)), "in pieces of {step}");
    }
}
