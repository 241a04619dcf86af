//! Values from outside the engine: `tests/golden/golden.json`, made by decoders and encoders that were written from the papers in another language and
//! another precision.

use attoformer::image::CRC;
use attoformer::image::header::{Activation, Architecture, Config, KvType, MaskKind, NormKind, NormPlacement, Pooling, PositionKind};
use attoformer::numeric::{exp_q30, gelu_erf, gelu_tanh, sigmoid, silu, sin_cos};
use attoformer::{Image, OutputHash, Plan, Sampler, Session, arena_bytes};
use attoformer_tests::random_model::RandomModel;
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::import::{Piece, Scheme, Tokenizer};
use attoformer_tools::pack::{Options, pack};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/golden.json")).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn whole(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

/// The model of one of `reference.py`'s shapes.
fn model(shape: &Value) -> RandomModel {
    let size = |name: &str| whole(&shape[name]);
    let flag = |name: &str| shape[name].as_bool().unwrap();
    let kind = |name: &str| shape[name].as_str().unwrap();
    let config = Config {
        norm: if kind("norm") == "rms" { NormKind::Rms } else { NormKind::Layer },
        placement: if kind("placement") == "pre" { NormPlacement::Pre } else { NormPlacement::Post },
        activation: match kind("activation") {
            "relu" => Activation::Relu,
            "gelu_tanh" => Activation::GeluTanh,
            "gelu_erf" => Activation::GeluErf,
            _ => Activation::Silu,
        },
        gated: flag("gated"),
        positions: match kind("positions") {
            "none" => PositionKind::None,
            "learned" => PositionKind::Learned,
            _ => PositionKind::Rotary,
        },
        mask: if size("window") == 0 { MaskKind::Causal } else { MaskKind::Window },
        window: size("window"),
        d_model: size("d_model"),
        d_hidden: size("d_hidden"),
        layers: size("layers"),
        heads: size("heads"),
        kv_heads: size("kv_heads"),
        head_dim: size("head_dim"),
        vocab: size("vocab"),
        context: size("context"),
        norm_eps: number(&shape["norm_eps"]) as f32,
        tied_head: flag("tied"),
        final_norm: flag("final_norm"),
        ..RandomModel::small().config
    };
    let pooling = match shape["pooling"].as_str() {
        None => return RandomModel { config, bias: flag("bias"), seed: size("seed") },
        Some("mean") => Pooling::Mean,
        Some(_) => Pooling::First,
    };
    let config = Config {
        architecture: Architecture::Encoder,
        mask: MaskKind::Bidirectional,
        embedding_norm: flag("embedding_norm"),
        pooling,
        normalized: flag("normalized"),
        ..config
    };
    RandomModel { config, bias: flag("bias"), seed: size("seed") }
}

/// The largest difference between an image's logits and the golden ones, as a part of the root mean square of the row they belong to;
/// the lengths of the whole rows count as well.
fn worst_difference(image: &[u8], case: &Value) -> f64 {
    let image = Image::new(image).unwrap();
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
    let mut session = Session::new(&image, &mut arena).unwrap();
    let tokens: Vec<u32> = list(&case["tokens"]).iter().map(whole).collect();
    let mut worst = 0.0f64;
    let mut compared = 0;
    let fed = session.prefill_each(&tokens, |position, logits| {
        let length = number(&case["lengths"][position]);
        let scale = length / (logits.len() as f64).sqrt();
        let squares: f64 = logits.iter().map(|&x| x as f64 * x as f64).sum();
        worst = worst.max((squares.sqrt() - length).abs() / length);
        for (&logit, want) in logits[position % 6..].iter().step_by(6).zip(list(&case["some_logits"][position])) {
            worst = worst.max((logit as f64 - number(want)).abs() / scale);
            compared += 1;
        }
    });
    assert_eq!(fed, Ok(()));
    assert_eq!(compared, list(&case["some_logits"]).iter().map(|row| list(row).len()).sum::<usize>());
    worst
}

/// f32 weights with f32 keys are the model itself: what remains is rounding, and the fixed-point exponential's 2^-22.
#[test]
fn every_shape_agrees_with_the_reference_decoder() {
    let golden = golden();
    let cases = list(&golden["decoders"]);
    assert_eq!(cases.len(), 7);
    for case in cases {
        let difference = worst_difference(&model(&case["shape"]).pack(Format::F32, KvType::F32), case);
        println!("{}: {difference:.2e}", case["shape"]["name"]);
        assert!(difference < 1e-5, "{}: {difference}", case["shape"]["name"]);
    }
}

/// Narrow formats stay near it: f16 has eleven bits of mantissa, int8 eight bits a value; these models are tiny, so that little averages
/// out. The lower bounds say that the narrow formats are at work at all.
#[test]
fn narrow_formats_stay_near_the_reference_decoder() {
    let golden = golden();
    for case in list(&golden["decoders"]) {
        let (model, name) = (model(&case["shape"]), &case["shape"]["name"]);
        for (format, kv, bounds) in [(Format::F16, KvType::F16, 1e-5..0.01), (Format::Int8, KvType::Int8, 1e-3..0.15)] {
            let difference = worst_difference(&model.pack(format, kv), case);
            println!("{name}, {format}: {difference:.2e}");
            assert!(bounds.contains(&difference), "{name}, {format}: {difference} is outside {bounds:?}");
        }
    }
}

/// The largest difference between an encoder's embeddings and the golden ones, as a part of their root mean square.
fn worst_embedding(image: &[u8], case: &Value) -> f64 {
    let image = Image::new(image).unwrap();
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
    let mut session = Session::new(&image, &mut arena).unwrap();
    let mut worst = 0.0f64;
    for text in list(&case["texts"]) {
        let tokens: Vec<u32> = list(&text["tokens"]).iter().map(whole).collect();
        let found = session.encode(&tokens).unwrap();
        let wanted: Vec<f64> = list(&text["embedding"]).iter().map(number).collect();
        assert_eq!(found.len(), wanted.len());
        let scale = (wanted.iter().map(|x| x * x).sum::<f64>() / wanted.len() as f64).sqrt();
        worst = found.iter().zip(&wanted).fold(worst, |worst, (&x, want)| worst.max((x as f64 - want).abs() / scale));
    }
    worst
}

#[test]
fn every_encoder_agrees_with_the_reference() {
    let golden = golden();
    let cases = list(&golden["encoders"]);
    assert_eq!(cases.len(), 4);
    let formats = [(Format::F32, KvType::F32, 0.0..1e-5), (Format::F16, KvType::F16, 1e-5..0.01), (Format::Int8, KvType::Int8, 1e-3..0.15)];
    for (case, (format, kv, bounds)) in cases.iter().flat_map(|case| formats.clone().map(|format| (case, format))) {
        let difference = worst_embedding(&model(&case["shape"]).pack(format, kv), case);
        println!("{}, {format}: {difference:.2e}", case["shape"]["name"]);
        assert!(bounds.contains(&difference), "{}, {format}: {difference} is outside {bounds:?}", case["shape"]["name"]);
    }
}

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
    check("exp", 2f64.powi(-22), &|x| exp_q30(x) as f64 / unit);
    check("sigmoid", 2f64.powi(-22), &|x| sigmoid(x) as f64);
    check("silu", 2f64.powi(-22), &|x| silu(x) as f64);
    check("gelu_tanh", 2f64.powi(-21), &|x| gelu_tanh(x) as f64);
    check("gelu_erf", 2f64.powi(-22), &|x| gelu_erf(x) as f64);
    for pair in list(&golden["functions"]["exp"]) {
        // Down to e^-9 the relative error counts too: below, the last of the 30 bits is more than it.
        let (x, want) = (number(&pair[0]), number(&pair[1]));
        let relative = (exp_q30(x as f32) as f64 / unit / want - 1.0).abs();
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
            let sampler = Sampler::new(draw[0].as_u64().unwrap()).temperature(number(&case["temperature"]) as f32).unwrap();
            let mut sampler = sampler.top_k(whole(&case["top_k"])).unwrap().top_p(number(&case["top_p"]) as f32).unwrap();
            assert_eq!(sampler.sample(&mut logits.clone(), &[]), whole(&draw[1]), "seed {} of {}", draw[0], case["temperature"]);
        }
    }
}

/// An image whose vocabulary is the base tokens and `pieces`, the earlier of which merge first.
fn image_with_pieces(pieces: &[&str]) -> AlignedBytes {
    let small = RandomModel::small();
    let vocab = 259 + pieces.len() as u32;
    let mut checkpoint = RandomModel { config: Config { vocab, ..small.config }, ..small }.checkpoint();
    let marks = ["<unk>", "\n<s>\n", "\n</s>\n"].map(str::to_owned);
    let texts = marks.into_iter().chain((0..256).map(|byte| format!("<0x{byte:02X}>"))).chain(pieces.iter().map(|&piece| piece.to_owned()));
    let pieces = texts.enumerate().map(|(id, text)| Piece { bytes: text.into_bytes(), score: -(id as f32) }).collect();
    let scheme = Scheme::SentencePiece { first_byte: 3, space_prefix: true };
    checkpoint.tokenizer = Some(Tokenizer { pieces, begin: 1, end: 2, unknown: 0, scheme });
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
        let mut decoder = attoformer::tokenizer::Decoder::new();
        let mut again: String = want.iter().map(|&token| decoder.push(&tokenizer, token).unwrap().to_owned()).collect();
        again += decoder.finish();
        assert_eq!(again, text);
    }
    // By hand: " lower" is ' ','l','o','w','e','r'; "lo" is the best pair, then "low", then "er" before " low", then nothing joins
    // " low" and "er".
    let id = |piece: &str| 259 + pieces.iter().position(|&other| other == piece).unwrap() as u32;
    assert_eq!(encode("lower"), [id(" low"), id("er")]);
}

#[test]
fn checksums_and_hashes_are_the_published_ones() {
    let golden = golden();
    let checks = &golden["checks"];
    // The check value of CRC-32/ISO-HDLC in every catalogue.
    assert_eq!(CRC.checksum(b"123456789"), 0xcbf4_3926);
    assert_eq!(whole(&checks["crc_of_digits"]), 0xcbf4_3926);
    let pattern: Vec<u8> = (0..1000u32).map(|i| (7 * i + i / 5) as u8).collect();
    assert_eq!(CRC.checksum(&pattern), whole(&checks["crc_of_pattern"]));
    let logits: Vec<f32> = list(&checks["hash_logits"]).iter().map(|x| number(x) as f32).collect();
    let mut hash = OutputHash::new();
    hash.logits(&logits);
    hash.token(whole(&checks["hash_token"]));
    assert_eq!(hash.value(), whole(&checks["output_hash"]));
}
