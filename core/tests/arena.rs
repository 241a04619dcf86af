//! One buffer for everything that changes, and a whole session in it. Small enough for Miri, which watches every pointer here; the models
//! are the seeds of the fuzz targets.

use attoformer::image::{Config, MaskKind, PositionKind};
use attoformer::kernels::{self, Kernels, SCALAR};
use attoformer::{Arena, Error, Image, Limits, Plan, Sampler, Session, arena_bytes};

/// Bytes at the alignment that images and arenas want.
#[repr(C, align(16))]
struct Aligned<T: ?Sized>(T);

macro_rules! seed {
    ($name:literal) => {{
        static SEED: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!("../../tests/fuzz/seeds/image_step/", $name)));
        ($name, &SEED.0)
    }};
}

/// Images of the whole family in every format. Behind each lies a byte that is not its own, as in a flash region.
fn seeds() -> Vec<(&'static str, &'static [u8])> {
    vec![
        seed!("llama-mixed"),
        seed!("mistral-mixed"),
        seed!("vaswani-mixed"),
        seed!("gpt-2-mixed"),
        seed!("odd-mixed"),
        seed!("f32"),
        seed!("f16"),
        seed!("with-tokenizer"),
    ]
}

/// `len` bytes that start `shift` bytes after a multiple of 16.
fn buffer(len: usize, shift: usize) -> (Vec<u128>, std::ops::Range<usize>) {
    (vec![0; (len + shift).div_ceil(16)], shift..shift + len)
}

fn bytes(words: &mut [u128]) -> &mut [u8] {
    zerocopy::IntoBytes::as_mut_bytes(words)
}

/// Bits of the logits after every token, fed in blocks.
fn run(image: &Image, kernels: &'static Kernels, plan: Plan, tokens: &[u32]) -> Vec<u32> {
    let (mut words, range) = buffer(arena_bytes(image.config(), plan), 0);
    let mut session = Session::with_kernels(image, &mut bytes(&mut words)[range], plan, kernels).unwrap();
    let mut bits = Vec::new();
    session.prefill_each(tokens, |_, logits| bits.extend(logits.iter().map(|x| x.to_bits()))).unwrap();
    bits
}

#[test]
fn a_session_in_an_arena_of_the_exact_size_gives_the_same_bits_in_any_blocks() {
    // Miri takes a second for a token.
    let length = if cfg!(miri) { 3 } else { 8 };
    for (name, seed) in seeds() {
        let image = Image::new(seed).unwrap();
        let plan = Plan::packed(image.config()).with_context(8);
        let tokens: Vec<u32> = (0..length).map(|index| index * 5 % image.config().vocab).collect();
        let one_by_one = run(&image, &SCALAR, plan.with_block(1), &tokens);
        for kernels in kernels::all() {
            let together = run(&image, kernels, plan.with_block(2), &tokens);
            assert_eq!(together, one_by_one, "{name}, {}", kernels.name());
        }
    }
}

#[test]
fn the_compiler_sizes_an_arena() {
    static SEED: &Aligned<[u8]> = &Aligned(*include_bytes!("../../tests/fuzz/seeds/image_step/llama-mixed"));
    const CONFIG: Config = match Config::parse(include_bytes!("../../tests/fuzz/seeds/image_step/llama-mixed")) {
        Ok(config) => config,
        Err(_) => panic!(),
    };
    const BYTES: usize = arena_bytes(&CONFIG, Plan::packed(&CONFIG));
    let mut arena = Arena::<BYTES>::new();
    let image = Image::new(&SEED.0).unwrap();
    let mut session = Session::new(&image, arena.bytes()).unwrap();
    assert_eq!(session.self_test(), Ok(()));
    let mut smaller = Arena::<{ BYTES - 1 }>::new();
    // The type's own padding makes up for the missing byte; what counts is what the session is given.
    let refused = Session::new(&image, &mut smaller.bytes()[..BYTES - 1]).unwrap_err();
    assert_eq!(refused, Error::ArenaTooSmall { need: BYTES, have: BYTES - 1 });
}

#[test]
fn an_arena_may_start_anywhere_if_it_is_longer_by_what_is_skipped() {
    let (_, seed) = seeds()[0];
    let image = Image::new(seed).unwrap();
    let plan = Plan::packed(image.config());
    let need = arena_bytes(image.config(), plan);
    for shift in (0..16).step_by(if cfg!(miri) { 5 } else { 1 }) {
        let skipped = (16 - shift) % 16;
        let (mut words, range) = buffer(need + skipped, shift);
        let arena = &mut bytes(&mut words)[range];
        let mut session = Session::new(&image, arena).unwrap();
        assert!(session.step(1).is_ok(), "shifted by {shift}");
        let short = arena.len() - 1;
        let refused = Session::new(&image, &mut arena[..short]).unwrap_err();
        assert_eq!(refused, Error::ArenaTooSmall { need: need + skipped, have: short }, "shifted by {shift}");
    }
    let refused = Session::new(&image, &mut []).unwrap_err();
    assert!(matches!(refused, Error::ArenaTooSmall { have: 0, .. }), "{refused}");
}

#[test]
fn text_comes_from_a_whole_session() {
    let (_, seed) = seeds()[7];
    let image = Image::new(seed).unwrap();
    let plan = Plan::packed(image.config());
    let (mut words, range) = buffer(arena_bytes(image.config(), plan), 0);
    let mut session = Session::new(&image, &mut bytes(&mut words)[range]).unwrap();
    assert_eq!(session.self_test(), Ok(()));
    let mut texts = Vec::new();
    for _ in 0..if cfg!(miri) { 1 } else { 2 } {
        session.reset();
        let sampler = Sampler::new(5).with_top_k(9).and_then(|s| s.with_top_p(0.9)).and_then(|s| s.with_repetition_penalty(1.2)).unwrap();
        let mut generation = session.generate("a bé", sampler, Limits::tokens(6).with_stops(&["zz", "ab"])).unwrap();
        let mut text = String::new();
        while let Some(piece) = generation.next_piece().unwrap() {
            text += &piece.to_string();
        }
        assert!(generation.end().is_some());
        texts.push(text);
    }
    assert!(texts.iter().all(|text| *text == texts[0]));
}

#[test]
fn an_image_with_a_wrong_checksum_is_refused() {
    let (_, seed) = seeds()[0];
    let step = if cfg!(miri) { 211 } else { 1 };
    let (mut words, range) = buffer(seed.len() - 1, 0);
    let copy = &mut bytes(&mut words)[range];
    copy.copy_from_slice(&seed[..seed.len() - 1]);
    for at in (0..copy.len()).step_by(step) {
        copy[at] ^= 0x11;
        assert!(Image::new(copy).is_err(), "byte {at} altered");
        copy[at] ^= 0x11;
        assert!(Image::new(&copy[..at]).is_err(), "cut to {at} bytes");
    }
    assert!(Image::new(copy).is_ok());
    assert_eq!(Image::new(&copy[1..]).unwrap_err(), Error::Misaligned);
}

/// A header may ask for more than a target can address; then its size is one that no buffer has, instead of what is left of it in 32 bits.
#[test]
fn sizes_beyond_the_address_space_are_no_small_sizes() {
    let (_, seed) = seeds()[5];
    let config = *Image::new(seed).unwrap().config();
    let huge = attoformer::config! {
        layers: 1024,
        heads: 1024,
        kv_heads: 1024,
        head_dim: 512,
        context: 1 << 20,
        d_model: 131_072,
        d_hidden: 131_072,
        vocab: 1 << 24,
        positions: PositionKind::None,
        mask: MaskKind::Causal,
        ..config
    };
    let keys_and_values: u64 = 1024 * (1 << 20) * (1024 * 512) * 8;
    let bytes = arena_bytes(&huge, Plan::packed(&huge));
    if usize::BITS == 32 {
        assert_eq!(bytes, usize::MAX);
    } else {
        assert!(bytes as u64 > keys_and_values && (bytes as u64) < keys_and_values + (1 << 34), "{bytes}");
    }
    // A context that grows by a token never takes less memory.
    let sizes: Vec<usize> =
        (1..64).map(|context| arena_bytes(&config, Plan::packed(&config).with_context(context).with_block(1))).collect();
    assert!(sizes.is_sorted());
}
