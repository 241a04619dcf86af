//! Parts that need no model agree with an independent implementation: functions, sampling, a vocabulary, checksums, positions.

use attoformer::image::checksum;
use attoformer::internals::numeric::{elu_plus_one, exp_neg_q30, gelu_erf, gelu_tanh, sigmoid, silu, sin_cos, squared_relu, tanh};
use attoformer::{Image, OutputHash, Sampler};
use attoformer_tests::golden::{golden, list, number, whole};
use attoformer_tests::random_model::RandomModel;
use attoformer_tests::random_model::llama2c::base_pieces;
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::import::{Piece, Scheme, SentencePieceSpaces, SpecialIds, Tokenizer};
use attoformer_tools::pack::{Options, pack};
use attoformer_tools::report::progress::Progress;

#[test]
fn functions_agree_with_the_system_s_mathematics() {
    let golden = golden();
    let check = |name: &str, bound: f64, function: &dyn Fn(f32) -> f64| {
        let pairs = list(&golden["functions"][name]);
        assert!(pairs.len() > 50);
        for pair in pairs {
            let (x, want) = (number(&pair[0]), number(&pair[1]));
            let have = function(x as f32);
            assert!((have - want).abs() <= bound * x.abs().max(1.0), "{name}({x}) is {have}, not {want}");
        }
    };
    let unit = (1u32 << 30) as f64;
    check("exp", 2f64.powi(-22), &|x| exp_neg_q30(x) as f64 / unit);
    check("sigmoid", 2f64.powi(-22), &|x| sigmoid(x) as f64);
    check("silu", 2f64.powi(-22), &|x| silu(x) as f64);
    check("gelu_tanh", 2f64.powi(-21), &|x| gelu_tanh(x) as f64);
    check("gelu_erf", 2f64.powi(-22), &|x| gelu_erf(x) as f64);
    check("tanh", 2f64.powi(-21), &|x| tanh(x) as f64);
    check("elu_plus_one", 2f64.powi(-22), &|x| elu_plus_one(x) as f64);
    check("squared_relu", 2f64.powi(-18), &|x| squared_relu(x) as f64);
    for pair in list(&golden["functions"]["exp"]) {
        // The relative error is checked down to e^-9; below that, the last of the 30 bits exceeds it.
        let (x, want) = (number(&pair[0]), number(&pair[1]));
        let relative = (exp_neg_q30(x as f32) as f64 / unit / want - 1.0).abs();
        assert!(x < -4.0 || relative < 2f64.powi(-22), "exp({x}): {relative}");
    }
    for turn in list(&golden["functions"]["sin_cos"]) {
        let (sin, cos) = sin_cos(whole(&turn[0]));
        let worst = (sin as f64 - number(&turn[1])).abs().max((cos as f64 - number(&turn[2])).abs());
        assert!(worst <= 2f64.powi(-24), "{turn}: {worst}");
    }
}

#[test]
fn a_seed_draws_the_reference_s_tokens() {
    let golden = golden();
    for case in list(&golden["sampling"]) {
        let logits: Vec<f32> = list(&case["logits"]).iter().map(|x| number(x) as f32).collect();
        let draws = list(&case["draws"]);
        assert!(draws.len() > 30);
        for draw in draws {
            let sampler = Sampler::new(draw[0].as_u64().unwrap()).with_temperature(number(&case["temperature"]) as f32).unwrap();
            let mut sampler = sampler.with_top_k(whole(&case["top_k"])).unwrap().with_top_p(number(&case["top_p"]) as f32).unwrap();
            assert_eq!(sampler.sample(&mut logits.clone(), &[]), whole(&draw[1]), "seed {} of {}", draw[0], case["temperature"]);
        }
    }
}

/// An image whose vocabulary is the base tokens and `pieces`; an earlier piece has a better merge rank.
fn image_with_pieces(pieces: &[&str]) -> AlignedBytes {
    let small = RandomModel::small();
    let vocab = 259 + pieces.len() as u32;
    let mut checkpoint = RandomModel { config: attoformer::config! { vocab, ..small.config }, ..small }.checkpoint();
    let texts = base_pieces().chain(pieces.iter().map(|&piece| piece.to_owned()));
    let pieces = texts.enumerate().map(|(id, text)| Piece { bytes: text.into_bytes(), score: -(id as f32) }).collect();
    let scheme = Scheme::SentencePiece { first_byte: 3, spaces: SentencePieceSpaces::LLAMA2C };
    checkpoint.tokenizer = Some(Tokenizer::new(pieces, SpecialIds { bos: 1, eos: 2, unk: 0 }, scheme));
    pack(&checkpoint, &Options::reference(), &Progress::silent()).unwrap().image
}

#[test]
fn texts_become_the_reference_s_tokens_and_texts_again() {
    let golden = golden();
    let pieces: Vec<&str> = list(&golden["tokenizer"]["pieces"]).iter().map(|piece| piece.as_str().unwrap()).collect();
    let image = image_with_pieces(&pieces);
    let tokenizer = Image::new(&image).unwrap().tokenizer().unwrap();
    let encode = |text: &str| {
        let mut tokens = vec![0; text.len() + 2];
        let count = tokenizer.encode(text, &mut tokens).unwrap();
        tokens.truncate(count);
        tokens
    };
    for case in list(&golden["tokenizer"]["texts"]) {
        let text = case["text"].as_str().unwrap();
        let want: Vec<u32> = list(&case["tokens"]).iter().map(whole).collect();
        assert_eq!(encode(text), want, "{text}");
        let mut decoder = attoformer::Decoder::new();
        let mut again: String = want.iter().map(|&token| decoder.push(&tokenizer, token).unwrap().to_owned()).collect();
        again += decoder.finish();
        assert_eq!(again, text);
    }
    // By hand: " lower" is ' ','l','o','w','e','r'; "lo" is the best pair, then "low", then "er" before " low", then no piece joins
    // " low" and "er".
    let id = |piece: &str| 259 + pieces.iter().position(|&other| other == piece).unwrap() as u32;
    assert_eq!(encode("lower"), [id(" low"), id("er")]);
}

#[test]
fn checksums_and_hashes_are_the_published_ones() {
    let golden = golden();
    let checks = &golden["checks"];
    // The published check value of CRC-32/ISO-HDLC.
    assert_eq!(checksum(&[b"123456789"]), 0xcbf4_3926);
    assert_eq!(whole(&checks["crc_of_digits"]), 0xcbf4_3926);
    let pattern: Vec<u8> = (0..1000u32).map(|i| (7 * i + i / 5) as u8).collect();
    assert_eq!(checksum(&[&pattern]), whole(&checks["crc_of_pattern"]));
    let logits: Vec<f32> = list(&checks["hash_logits"]).iter().map(|x| number(x) as f32).collect();
    let mut hash = OutputHash::new();
    hash.logits(&logits);
    hash.token(whole(&checks["hash_token"]));
    assert_eq!(hash.value(), whole(&checks["output_hash"]));
}
