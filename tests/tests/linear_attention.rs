//! Linear attention in whole models: the same bits with any chunks, blocks and kernels, an empty state for each new sequence, and a trained model.

use attoformer::image::{Architecture, AttentionKind, KvType, MaskKind, Pooling};
use attoformer::kernels::{self, Kernels};
use attoformer::{Image, Limits, Plan, Sampler, Session, arena_bytes};
use attoformer_tests::models::pack_file;
use attoformer_tests::random_model::{FORMATS, Numbers, RandomModel};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::pack::Options;
use attoformer_tools::quantize::Format;
use xtask::process::root;

/// Samples to score; `ATTOFORMER_FULL` scores 200.
const SAMPLES: u64 = 40;

fn decoder() -> RandomModel {
    let small = RandomModel::small();
    RandomModel { config: attoformer::config! { attention: AttentionKind::Linear, ..small.config }, ..small }
}

fn encoder() -> RandomModel {
    let decoder = decoder();
    let config = attoformer::config! {
        architecture: Architecture::Encoder,
        mask: MaskKind::Bidirectional,
        pooling: Pooling::First,
        tied_head: false,
        ..decoder.config
    };
    RandomModel { config, ..decoder }
}

fn some_tokens(count: usize) -> Vec<u32> {
    let mut numbers = Numbers(99);
    (0..count).map(|_| numbers.below(290) as u32).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// Logits after every token, fed in chunks of `chunk` tokens.
fn logits(image: &Image, plan: Plan, kernels: &'static Kernels, tokens: &[u32], chunk: usize) -> Vec<Vec<u32>> {
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), plan));
    let mut session = Session::with_kernels(image, &mut arena, plan, kernels).unwrap();
    let mut rows = Vec::new();
    for chunk in tokens.chunks(chunk) {
        session.prefill_each(chunk, |_, logits| rows.push(bits(logits))).unwrap();
    }
    rows
}

#[test]
fn chunks_blocks_and_kernels_never_change_a_bit_of_linear_attention() {
    for format in FORMATS {
        let image = decoder().pack(format, KvType::Int8);
        let image = Image::new(&image).unwrap();
        let tokens = some_tokens(23);
        let plan = Plan::packed(image.config());
        let one_by_one = logits(&image, plan.with_block(1), &kernels::SCALAR, &tokens, 1);
        for kernels in kernels::all() {
            for (chunk, block) in [(1, 8), (3, 2), (16, 5), (23, 8), (23, 40)] {
                let together = logits(&image, plan.with_block(block), kernels, &tokens, chunk);
                assert!(together == one_by_one, "{format}, {}: chunks of {chunk} in blocks of {block}", kernels.name());
            }
        }
        assert_eq!(logits(&image, plan.with_context(23), kernels::best(), &tokens, 23), one_by_one, "a context no longer than the text");
    }
}

/// The second sequence of a decoder and of an encoder equals that of a new session: the state keeps nothing of the first.
#[test]
fn a_new_sequence_finds_an_empty_state() {
    let (first, second) = (some_tokens(30), some_tokens(17));
    let image = decoder().pack(Format::Int8, KvType::Int8);
    let image = Image::new(&image).unwrap();
    let plan = Plan::packed(image.config());
    let fresh = logits(&image, plan, kernels::best(), &second, 17);
    let mut arena = AlignedBytes::copy_of(&vec![0xff; arena_bytes(image.config(), plan)]);
    let mut session = Session::new(&image, &mut arena).unwrap();
    for _ in 0..2 {
        session.prefill(&first).unwrap();
        session.reset();
        assert_eq!(bits(session.prefill(&second).unwrap()), fresh[16]);
        session.reset();
    }

    let image = encoder().pack(Format::Int8, KvType::Int8);
    let image = Image::new(&image).unwrap();
    let mut arenas = [0, 1].map(|_| AlignedBytes::zeroed(arena_bytes(image.config(), plan)));
    let [mut used, mut fresh] = arenas.each_mut().map(|arena| Session::new(&image, arena).unwrap());
    used.encode(&first).unwrap();
    let expected = bits(fresh.encode(&second).unwrap());
    assert_eq!(bits(used.encode(&second).unwrap()), expected);
    let (together, mut seen) = ([&second[..], &first[..], &second[..]].concat(), Vec::new());
    used.encode_batch(&together, &[17, 30, 17], |_, embedding| seen.push(bits(embedding))).unwrap();
    assert_eq!((&seen[0], &seen[2], seen[1] == seen[0]), (&expected, &expected, false));
}

/// The first row of an encoder, its output, depends on the last token.
#[test]
fn an_encoder_sees_the_whole_sequence() {
    let image = encoder().pack(Format::F32, KvType::F32);
    let image = Image::new(&image).unwrap();
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
    let mut session = Session::new(&image, &mut arena).unwrap();
    let mut tokens = some_tokens(20);
    let before = session.encode(&tokens).unwrap().to_vec();
    let last = tokens.len() - 1;
    tokens[last] += 1;
    let after = session.encode(&tokens).unwrap();
    assert!(before.iter().zip(after).all(|(before, after)| before != after), "the last token shows in every column");
}

fn tales_linear() -> AlignedBytes {
    let folder = root().join("models/tales-linear");
    let options = Options { weights: Format::Int8, kv: KvType::Int8, ..Options::reference() };
    AlignedBytes::copy_of(&pack_file(&folder.join("model.bin"), &folder.join("tokenizer.bin"), &options))
}

#[test]
fn the_trained_models_sentences_parse_under_the_grammar() {
    let samples = if std::env::var_os("ATTOFORMER_FULL").is_some() { 200 } else { SAMPLES };
    let bytes = tales_linear();
    let image = Image::new(&bytes).expect("a valid image");
    assert_eq!(image.config().attention, AttentionKind::Linear);
    let mut arena = AlignedBytes::zeroed(Image::arena_bytes(&bytes));
    let mut session = Session::new(&image, &mut arena).expect("a sufficient arena");
    let (mut parsed, mut total, mut whole) = (0, 0, 0);
    for seed in 0..samples {
        session.reset();
        let sampler = Sampler::new(seed).with_temperature(0.7).expect("a temperature");
        let mut story = String::new();
        let mut generation = session.generate("", sampler, Limits::tokens(250)).expect("an empty prompt is one token");
        while let Some(piece) = generation.next_piece().expect("it runs") {
            story.push_str(&piece.to_string());
        }
        let (good, all) = attoformer_stories::score(&story);
        (parsed, total) = (parsed + good, total + all);
        whole += u64::from(attoformer_stories::parse_story(story.trim()).is_ok());
    }
    println!("{parsed} of {total} sentences in {samples} samples parse, {whole} are whole stories");
    assert!(total >= 5 * samples as usize, "{total} sentences are too few for {samples} stories");
    assert!(parsed * 100 >= total * 95, "{parsed} of {total} sentences parse");
}

/// A longer context costs the trained model only its list of tokens: the state keeps its size.
#[test]
fn the_trained_models_memory_does_not_grow_but_for_its_tokens() {
    let bytes = tales_linear();
    let image = Image::new(&bytes).expect("a valid image");
    let plan = Plan::packed(image.config());
    let bytes_at = |context: u32| arena_bytes(image.config(), plan.with_context(context));
    for context in [64, 128, 192] {
        assert_eq!(bytes_at(256) - bytes_at(context), 4 * (256 - context as usize));
    }
}
