//! Text from a session: end of text, stop sequences, characters split over tokens, cancelling. The models generate a known text.

use attoformer::End;
use attoformer::image::KvType;
use attoformer::{Error, Image, Limits, Plan, Sampler, Session, arena_bytes};
use attoformer_tests::random_model::{BASE_TOKENS, FIRST_BYTE, PIECES, RandomModel, scripted};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::pack::{Options, pack};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;

/// Token of a piece.
fn piece(text: &str) -> u32 {
    BASE_TOKENS + PIECES.iter().position(|&piece| piece == text).unwrap() as u32
}

/// Token of a byte.
fn byte(byte: u8) -> u32 {
    FIRST_BYTE + byte as u32
}

/// An image that generates these tokens and EOS.
fn writes(script: &[u32]) -> AlignedBytes {
    pack(&scripted(script), &Options { weights: Format::Int8, kv: KvType::Int8, ..Options::reference() }, &Progress::silent())
        .unwrap()
        .image
}

/// All pieces, their tokens, the reason of the end, and the session's position.
fn written(image: &[u8], limits: Limits<'_>) -> (Vec<String>, Vec<u32>, End, usize) {
    let image = Image::new(image).unwrap();
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
    let mut session = Session::new(&image, &mut arena).unwrap();
    let mut generation = session.generate("", Sampler::greedy(), limits).unwrap();
    let (mut texts, mut tokens) = (Vec::new(), Vec::new());
    while let Some(piece) = generation.next_piece().unwrap() {
        texts.push(piece.to_string());
        tokens.extend(piece.token);
    }
    assert!(generation.next_piece().unwrap().is_none(), "an ended generation stays ended");
    let end = generation.end().unwrap();
    (texts, tokens, end, session.position())
}

const MANY: Limits<'static> = Limits::tokens(30);

#[test]
fn a_text_ends_at_the_end_token() {
    let script = [piece(" the"), piece(" and"), piece("low")];
    let (texts, tokens, end, position) = written(&writes(&script), MANY);
    // Decoding removes the space prefix that encoding adds.
    assert_eq!((texts.concat().as_str(), end), ("the andlow", End::EndOfText));
    assert_eq!(tokens, script);
    assert_eq!(position, 4, "the begin token and three more were fed");
}

#[test]
fn text_after_a_prompt_of_one_token_keeps_its_space_unless_that_token_is_bos() {
    let script = [piece(" the"), piece(" and"), piece("low")];
    let mut checkpoint = scripted(&script);
    checkpoint.tokenizer.as_mut().unwrap().add_bos = false;
    let image = pack(&checkpoint, &Options::reference(), &Progress::silent()).unwrap().image;
    let image = Image::new(&image).unwrap();
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
    let mut session = Session::new(&image, &mut arena).unwrap();
    let text = |session: &mut Session, prompt: Option<&str>| {
        let mut generation = match prompt {
            Some(prompt) => session.generate(prompt, Sampler::greedy(), MANY).unwrap(),
            None => session.continue_generation(Sampler::greedy(), MANY).unwrap(),
        };
        let mut text = String::new();
        while let Some(piece) = generation.next_piece().unwrap() {
            text += &piece.to_string();
        }
        text
    };
    // The prompt is the one token " the".
    assert_eq!(text(&mut session, Some("the")), " andlow");
    assert_eq!(session.tokens()[0], script[0]);
    session.reset();
    session.prefill(&[image.config().bos]).unwrap();
    assert_eq!(text(&mut session, None), "the andlow");
}

#[test]
fn a_character_in_several_tokens_comes_whole() {
    let script = [piece("a"), byte(0xe2), byte(0x82), byte(0xac), byte(0xf0), byte(0x9f), byte(0x98), byte(0x80), piece("é")];
    let (texts, _, end, _) = written(&writes(&script), MANY);
    assert_eq!(texts, ["a", "", "", "€", "", "", "", "😀", "é", ""]);
    assert_eq!(end, End::EndOfText);
}

#[test]
fn a_broken_character_becomes_a_mark() {
    let (texts, ..) = written(&writes(&[byte(0xe2), byte(0x82)]), MANY);
    assert_eq!(texts, ["", "", "\u{fffd}"], "broken off by the end");
    let (texts, ..) = written(&writes(&[byte(0xe2), byte(0x82), piece("a")]), MANY);
    assert_eq!(texts.concat(), "\u{fffd}a", "broken off by a piece");
}

#[test]
fn a_stop_text_ends_it_and_is_not_shown() {
    let image = writes(&[piece("a"), piece("th"), piece("er"), piece("b"), piece("c")]);
    let stops = |stops| Limits::tokens(30).with_stops(stops);
    let (texts, tokens, end, _) = written(&image, stops(&["he"]));
    assert_eq!((texts.concat().as_str(), tokens.len(), end), ("at", 3, End::Stop), "in the middle of two pieces");
    let (texts, _, end, _) = written(&image, stops(&["zzz", "bc"]));
    assert_eq!((texts.concat().as_str(), end), ("ather", End::Stop));
    let (texts, _, end, _) = written(&image, stops(&["therbx"]));
    assert_eq!((texts.concat().as_str(), end), ("atherbc", End::EndOfText), "a text that was held back is released");
    let (texts, _, end, _) = written(&image, stops(&["bcd"]));
    assert_eq!((texts.concat().as_str(), end), ("atherbc", End::EndOfText), "a start of a stop text at the end is released");
}

#[test]
fn a_limit_and_a_full_context_end_it() {
    let image = writes(&[piece("a"), piece("b"), piece("c")]);
    let (texts, tokens, end, position) = written(&image, Limits::tokens(2));
    assert_eq!((texts.concat().as_str(), tokens.len(), end, position), ("ab", 2, End::Limit, 2));
    let (texts, tokens, end, position) = written(&image, Limits::tokens(0));
    assert_eq!((texts.concat().as_str(), tokens.len(), end, position), ("", 0, End::Limit, 1));

    let image = Image::new(&image).unwrap();
    let plan = Plan::packed(image.config()).with_context(2);
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), plan));
    let mut session = Session::with_plan(&image, &mut arena, plan).unwrap();
    let mut generation = session.generate("", Sampler::greedy(), MANY).unwrap();
    let mut text = String::new();
    while let Some(piece) = generation.next_piece().unwrap() {
        text += &piece.to_string();
    }
    // Two tokens are fed; the token sampled after the second is returned although the context is full.
    assert_eq!((text.as_str(), generation.end()), ("ab", Some(End::ContextFull)));
}

#[test]
fn dropping_cancels_and_the_session_goes_on() {
    let image = writes(&[piece("a"), piece("b"), piece("c"), piece("d")]);
    let image = Image::new(&image).unwrap();
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
    let mut session = Session::new(&image, &mut arena).unwrap();
    let mut generation = session.generate("", Sampler::greedy(), MANY).unwrap();
    assert_eq!(generation.next_piece().unwrap().unwrap().to_string(), "a");
    assert_eq!(generation.next_piece().unwrap().unwrap().to_string(), "b");
    drop(generation);
    // "b" was returned but not fed: the session is at the position after "a" and can continue with another prompt.
    assert_eq!(session.tokens(), [1, piece("a")]);
    let mut generation = session.generate("c", Sampler::greedy(), MANY).unwrap();
    assert_eq!(generation.next_piece().unwrap().unwrap().to_string(), "d");
    assert!(generation.next_piece().unwrap().is_some_and(|piece| piece.token.is_none()));
    assert_eq!(generation.end(), Some(End::EndOfText));
}

#[test]
fn a_repeated_generation_is_the_same_and_another_seed_another() {
    let image = RandomModel::small().pack(Format::Int8, KvType::Int8);
    let image = Image::new(&image).unwrap();
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
    let mut session = Session::new(&image, &mut arena).unwrap();
    let mut run = |seed| {
        session.reset();
        let sampler = Sampler::new(seed).with_top_k(20).unwrap().with_top_p(0.9).unwrap().with_repetition_penalty(1.2).unwrap();
        let mut generation = session.generate("the an", sampler, Limits::tokens(20)).unwrap();
        while generation.next_piece().unwrap().is_some() {}
        generation.output_hash()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn an_image_without_a_tokenizer_says_so() {
    let mut checkpoint = RandomModel::small().checkpoint();
    checkpoint.tokenizer = None;
    let image = pack(&checkpoint, &Options::reference(), &Progress::silent()).unwrap().image;
    let image = Image::new(&image).unwrap();
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
    let mut session = Session::new(&image, &mut arena).unwrap();
    assert_eq!(session.generate("a", Sampler::greedy(), MANY).map(|_| ()).unwrap_err(), Error::NoTokenizer);
    assert!(session.step(1).is_ok());
}
