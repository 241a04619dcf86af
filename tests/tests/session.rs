//! Promises of a session for every model: the same bits with any chunks and kernels, exactly the stated memory, typed errors that leave the session
//! unchanged.

use attoformer::kernels::{self, Kernels};
use attoformer::{Error, Image, Limits, OutputHash, Plan, Sampler, Session, arena_bytes};
use attoformer_tests::random_model::{FORMATS, KV_TYPES, Numbers, RandomModel};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::pack::seal;
use attoformer_tools::quantize::Format;

use attoformer::image::Role;
use attoformer::image::{Config, KvType, PositionKind};

/// Tokens from the whole vocabulary.
fn some_tokens(config: &Config, count: usize) -> Vec<u32> {
    let mut numbers = Numbers(77);
    (0..count).map(|_| numbers.below(config.vocab as usize) as u32).collect()
}

/// Bits of the logits after every token, fed in chunks of `chunk` tokens with blocks of `block`.
fn logits(image: &Image, plan: Plan, kernels: &'static Kernels, tokens: &[u32], chunk: usize) -> Vec<Vec<u32>> {
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), plan));
    let mut session = Session::with_kernels(image, &mut arena, plan, kernels).unwrap();
    let mut rows = Vec::new();
    for chunk in tokens.chunks(chunk) {
        let seen = session.prefill_each(chunk, |position, logits| {
            assert_eq!(position, rows.len());
            rows.push(logits.iter().map(|x| x.to_bits()).collect());
        });
        assert_eq!(seen, Ok(()));
        assert_eq!(session.logits().iter().map(|x| x.to_bits()).collect::<Vec<u32>>(), rows[rows.len() - 1]);
    }
    assert_eq!(session.tokens(), tokens);
    rows
}

/// Every image of one model: each format with each KV cache type, and a mixture.
fn images(model: &RandomModel) -> Vec<(String, AlignedBytes)> {
    let mut images = Vec::new();
    for kv in KV_TYPES {
        images.extend(FORMATS.map(|format| (format!("{format} with {kv:?} keys"), model.pack(format, kv))));
        images.push((format!("mixed with {kv:?} keys"), model.pack_mixed(kv)));
    }
    images
}

#[test]
fn chunks_blocks_and_kernels_never_change_a_bit() {
    for (family, model) in RandomModel::family() {
        for (name, image) in images(&model) {
            let image = Image::new(&image).unwrap();
            let tokens = some_tokens(image.config(), 23);
            let plan = Plan::packed(image.config());
            let one_by_one = logits(&image, plan.with_block(1), &kernels::SCALAR, &tokens, 1);
            for kernels in kernels::all() {
                for (chunk, block) in [(1, 8), (3, 2), (16, 5), (23, 8), (23, 40)] {
                    let together = logits(&image, plan.with_block(block), kernels, &tokens, chunk);
                    assert!(together == one_by_one, "{family}, {name}, {}: chunks of {chunk} in blocks of {block}", kernels.name());
                }
            }
        }
    }
}

#[test]
fn a_prefill_in_one_call_ends_in_the_same_logits() {
    let image = RandomModel::small().pack(Format::Int8, KvType::Int8);
    let image = Image::new(&image).unwrap();
    let tokens = some_tokens(image.config(), 23);
    let plan = Plan::packed(image.config());
    let rows = logits(&image, plan, &kernels::SCALAR, &tokens, 1);
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), plan));
    let mut session = Session::new(&image, &mut arena).unwrap();
    let last: Vec<u32> = session.prefill(&tokens).unwrap().iter().map(|x| x.to_bits()).collect();
    assert_eq!(last, rows[22]);
    session.reset();
    assert_eq!((session.position(), session.remaining(), session.tokens()), (0, 40, &[][..]));
    for (token, row) in tokens.iter().zip(&rows) {
        let again: Vec<u32> = session.step(*token).unwrap().iter().map(|x| x.to_bits()).collect();
        assert_eq!(&again, row, "the first sequence affects the second");
    }
}

#[test]
fn a_smaller_context_takes_less_memory_and_gives_the_same_bits() {
    for (family, model) in RandomModel::family() {
        let image = model.pack(Format::Int8, KvType::Int8);
        let image = Image::new(&image).unwrap();
        let tokens = some_tokens(image.config(), 11);
        let plan = Plan::packed(image.config());
        let small = plan.with_context(11);
        assert!(arena_bytes(image.config(), small) < arena_bytes(image.config(), plan));
        let full = logits(&image, plan, kernels::best(), &tokens, 11);
        assert_eq!(logits(&image, small, kernels::best(), &tokens, 11), full, "{family}");
        let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), small));
        let mut session = Session::with_plan(&image, &mut arena, small).unwrap();
        session.prefill(&tokens).unwrap();
        assert_eq!(session.step(0).unwrap_err(), Error::ContextFull { tokens: 12, context: 11 });
    }
}

#[test]
fn a_context_below_the_default_block_opens_as_any_other() {
    let small = RandomModel::small();
    for context in 1..9 {
        let model = RandomModel { config: attoformer::config! { context, ..small.config }, ..small };
        let image = model.pack(Format::Int8, KvType::Int8);
        let image = Image::new(&image).unwrap();
        let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
        let mut session = Session::new(&image, &mut arena).unwrap();
        session.prefill(&some_tokens(image.config(), context as usize)).unwrap();
        assert_eq!(session.remaining(), 0);
    }
}

#[test]
fn memory_is_what_was_stated_and_not_a_byte_less() {
    for (family, model) in RandomModel::family() {
        for (name, image) in images(&model) {
            let image = Image::new(&image).unwrap();
            let plan = Plan::packed(image.config());
            let need = arena_bytes(image.config(), plan);
            let mut arena = AlignedBytes::zeroed(need);
            assert!(Session::new(&image, &mut arena).is_ok(), "{family}, {name}");
            let refused = Session::new(&image, &mut arena[..need - 1]).unwrap_err();
            assert_eq!(refused, Error::ArenaTooSmall { need, have: need - 1 }, "{family}, {name}");
            // Bytes skipped to reach an aligned address are added.
            let mut unaligned = AlignedBytes::zeroed(need + 16);
            assert!(Session::new(&image, &mut unaligned[1..]).is_ok(), "{family}, {name}");
            let refused = Session::new(&image, &mut unaligned[1..need + 15]).unwrap_err();
            assert_eq!(refused, Error::ArenaTooSmall { need: need + 15, have: need + 14 }, "{family}, {name}");
        }
    }
}

/// Runs a full context in an arena painted with `paint`, with the kernels whose quantized rows determine the buffer size: other kernels may
/// use bytes.
fn painted_run(image: &Image, paint: u8) -> Vec<u8> {
    let plan = Plan::packed(image.config());
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), plan));
    arena.fill(paint);
    let mut session = Session::with_kernels(image, &mut arena, plan, &kernels::SCALAR).unwrap();
    let tokens = some_tokens(image.config(), image.config().context as usize);
    session.prefill(&tokens).unwrap();
    arena.to_vec()
}

/// A byte is unused if it keeps the paint with two different paints. int8 uses every part of the arena; the other formats do not use the
/// scratch buffer of its quantization.
#[test]
fn the_high_water_mark_is_within_a_hundredth_of_what_was_stated() {
    for (family, model) in RandomModel::family() {
        let longer = RandomModel { config: attoformer::config! { context: 256, ..model.config }, ..model };
        for (format, kv) in [(Format::Int8, KvType::Int8), (Format::F32, KvType::F32), (Format::F16, KvType::F16)] {
            let image = longer.pack(format, kv);
            let image = Image::new(&image).unwrap();
            let (first, second) = (painted_run(&image, 0xa5), painted_run(&image, 0x5a));
            let touched: Vec<usize> = (0..first.len()).filter(|&at| (first[at], second[at]) != (0xa5, 0x5a)).collect();
            let mark = touched.last().unwrap() + 1;
            assert!(mark * 100 >= first.len() * 99, "{family}, {format}: highest byte {mark} of {}", first.len());
            println!("{family}, {format}: {} of {} bytes", touched.len(), first.len());
            // A sliding window does not use the scores beyond it, and key rows of two values are padded to four.
            if format == Format::Int8 && !["mistral", "odd"].contains(&family) {
                assert!(touched.len() * 100 >= first.len() * 99, "{family}: {} bytes of {} used", touched.len(), first.len());
            }
        }
    }
}

#[test]
fn a_refused_call_is_named_and_changes_nothing() {
    let image = RandomModel::small().pack(Format::Int8, KvType::Int8);
    let image = Image::new(&image).unwrap();
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
    let mut session = Session::new(&image, &mut arena).unwrap();
    let tokens = some_tokens(image.config(), 30);
    session.prefill(&tokens).unwrap();
    let before: Vec<u32> = session.logits().iter().map(|x| x.to_bits()).collect();

    let long_stop = "s".repeat(65);
    let limits = |stops| Limits::tokens(1).with_stops(stops);
    let greedy = Sampler::greedy();
    assert_eq!(session.prefill(&[]).unwrap_err(), Error::EmptyPrompt);
    assert_eq!(session.prefill(&[0; 11]).unwrap_err(), Error::ContextFull { tokens: 41, context: 40 });
    assert_eq!(session.prefill(&[5, 293, 6]).unwrap_err(), Error::TokenOutOfRange { token: 293, vocab: 293 });
    assert_eq!(session.step(u32::MAX).unwrap_err(), Error::TokenOutOfRange { token: u32::MAX, vocab: 293 });
    assert_eq!(session.prefill_each(&[0, 300], |_, _| panic!()).unwrap_err(), Error::TokenOutOfRange { token: 300, vocab: 293 });
    assert_eq!(session.generate("", greedy, limits(&[])).map(|_| ()).unwrap_err(), Error::EmptyPrompt);
    let too_long = session.generate("xyz xyz xyz xyz xyz", greedy, limits(&[])).map(|_| ()).unwrap_err();
    assert!(matches!(too_long, Error::ContextFull { context: 40, .. }), "{too_long}");
    let stops = [long_stop.as_str()];
    let refused = session.generate("and", greedy, limits(&stops)).map(|_| ()).unwrap_err();
    assert_eq!(refused, Error::BufferTooSmall { need: 65, have: 64 });

    assert_eq!((session.position(), session.tokens()), (30, &tokens[..]));
    assert_eq!(session.logits().iter().map(|x| x.to_bits()).collect::<Vec<u32>>(), before);
    // The KV cache is unchanged too: the next token's logits equal those of a session without the refused call.
    let next: Vec<u32> = session.step(9).unwrap().iter().map(|x| x.to_bits()).collect();
    let untouched = logits(&image, Plan::packed(image.config()), kernels::best(), &[&tokens[..], &[9]].concat(), 31);
    assert_eq!(next, untouched[30]);
}

#[test]
fn impossible_parameters_are_named() {
    let sampler = Sampler::new(1);
    for temperature in [f32::NAN, -0.5, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(sampler.with_temperature(temperature).unwrap_err(), Error::Sampling { name: "temperature" });
    }
    for top_p in [f32::NAN, 0.0, -0.1, 1.5, f32::INFINITY] {
        assert_eq!(sampler.with_top_p(top_p).unwrap_err(), Error::Sampling { name: "top_p" });
    }
    assert_eq!(sampler.with_top_k(0).unwrap_err(), Error::Sampling { name: "top_k" });
    for penalty in [f32::NAN, 0.0, -1.0, f32::INFINITY] {
        assert_eq!(sampler.with_repetition_penalty(penalty).unwrap_err(), Error::Sampling { name: "repetition_penalty" });
    }
    let image = RandomModel::small().pack(Format::Int8, KvType::Int8);
    let image = Image::new(&image).unwrap();
    let packed = Plan::packed(image.config());
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), packed.with_block(40)));
    let plans = [(packed.with_context(0), 0), (packed.with_context(41), 41), (packed.with_block(0), 0), (packed.with_block(41), 41)];
    for (plan, asked) in plans {
        let refused = Session::with_plan(&image, &mut arena, plan).unwrap_err();
        assert_eq!(refused, Error::Context { asked, packed: 40 });
    }
}

#[test]
fn entries_are_found_by_role_and_layer_or_not_at_all() {
    let image = RandomModel::small().pack(Format::Int8, KvType::Int8);
    let image = Image::new(&image).unwrap();
    let qkv = image.entry(Role::Qkv, 1).unwrap();
    assert_eq!((qkv.role, qkv.layer, qkv.rows, qkv.columns), (Role::Qkv, Some(1), 48, 24));
    assert_eq!(image.entry(Role::FinalNorm, 0).unwrap().role, Role::FinalNorm);
    assert_ne!(image.config().positions, PositionKind::LearnedAbsolute);
    for (role, layer) in [(Role::Positions, 0), (Role::Head, 0), (Role::Qkv, 2), (Role::MlpDown, u32::MAX)] {
        assert_eq!(image.entry(role, layer), None, "{role:?} of layer {layer}");
    }
}

#[test]
fn every_image_passes_its_self_test_with_every_kernel_set() {
    for (family, model) in RandomModel::family() {
        for (name, image) in images(&model) {
            let image = Image::new(&image).unwrap();
            let plan = Plan::packed(image.config());
            let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), plan));
            for kernels in kernels::all() {
                let mut session = Session::with_kernels(&image, &mut arena, plan, kernels).unwrap();
                assert_eq!(session.self_test(), Ok(()), "{family}, {name}, {}", kernels.name());
                assert_eq!(session.position(), 0);
            }
        }
    }
}

/// The self-test of an image with one altered byte of a tensor and correct checksums.
fn self_test_of_damaged(image: &[u8], role: Role, layer: u32, byte: usize, flip: u8) -> Result<(), Error> {
    let mut damaged = AlignedBytes::copy_of(image);
    let entry = Image::new(image).unwrap().entry(role, layer).unwrap();
    damaged[entry.values as usize + byte] ^= flip;
    seal(&mut damaged);
    let image = Image::new(&damaged).unwrap();
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
    Session::new(&image, &mut arena).unwrap().self_test()
}

#[test]
fn the_self_test_fails_when_one_byte_of_a_weight_is_altered() {
    for format in [Format::F32, Format::Int8, Format::Int4 { group: 32 }] {
        let image = RandomModel::small().pack(format, KvType::Int8);
        let tensors =
            [(Role::Embedding, 0), (Role::Qkv, 0), (Role::AttnOut, 0), (Role::MlpUp, 0), (Role::MlpDown, 1), (Role::FinalNorm, 0)];
        for (role, layer) in tensors {
            // The second most significant byte of a float, or any integer: a change far above rounding.
            let failed = self_test_of_damaged(&image, role, layer, 2, 0x40);
            assert!(matches!(failed, Err(Error::SelfTest { expected, found }) if expected != found), "{format}: {role:?}: {failed:?}");
        }
    }
}

#[test]
fn one_flipped_bit_in_one_logit_changes_the_hash() {
    let mut numbers = Numbers(5);
    let logits: Vec<f32> = (0..61).map(|_| numbers.fraction()).collect();
    let hash = |logits: &[f32], token| {
        let mut hash = OutputHash::new();
        hash.logits(logits);
        hash.token(token);
        hash.value()
    };
    let right = hash(&logits, 7);
    for at in 0..logits.len() {
        for bit in 0..32 {
            let mut flipped = logits.clone();
            flipped[at] = f32::from_bits(flipped[at].to_bits() ^ 1 << bit);
            assert_ne!(hash(&flipped, 7), right, "logit {at}, bit {bit}");
        }
    }
    assert!((0..61).filter(|&token| token != 7).all(|token| hash(&logits, token) != right));
}
