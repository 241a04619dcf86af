//! Damaged images in this process, in large numbers: refused with an error, or sound enough to run to the end. Never a panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

use attoformer::image::header::KvType;
use attoformer::kernels::{self, Kernels};
use attoformer::{Error, Image, Limits, Plan, Sampler, Session, arena_bytes};
use attoformer_tests::hostile::{copies, damaged, dense_parts, made_plausible};
use attoformer_tests::random_model::{Numbers, RandomModel};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::quantize::Format;
use attoformer_tools::report::facts::Facts;

/// Copies of each image unless `ATTOFORMER_HOSTILE` says otherwise.
const COPIES: usize = 600;
/// Arenas beyond this are not allocated here: a sound image may ask for them, but not in a test.
const ARENA_MAX: usize = 64 << 20;

fn images() -> Vec<(&'static str, AlignedBytes)> {
    let mut images: Vec<(&str, AlignedBytes)> =
        RandomModel::family().into_iter().map(|(family, model)| (family, model.pack_mixed(KvType::Int8))).collect();
    images.push(("int4", RandomModel::small().pack(Format::Int4 { group: 32 }, KvType::F16)));
    images
}

/// Runs `work` on many damaged copies; a panic names the copy.
fn with_damaged(seed: u32, mut work: impl FnMut(&mut Numbers, Vec<u8>) -> Result<(), String>) {
    let mut numbers = Numbers(seed);
    for (name, image) in images() {
        let dense = dense_parts(&image);
        for index in 0..copies(COPIES) {
            let (what, copy) = damaged(&image, &dense, &mut numbers);
            let result = catch_unwind(AssertUnwindSafe(|| work(&mut numbers, copy)));
            let result = result.unwrap_or_else(|_| Err("it panicked".to_owned()));
            assert_eq!(result, Ok(()), "copy {index} of {name}: {what}");
        }
    }
}

#[test]
fn a_damaged_image_is_refused() {
    with_damaged(0x5eed, |_, copy| match Image::new(&AlignedBytes::copy_of(&copy)) {
        Ok(_) => Err("it was opened".to_owned()),
        Err(error) if error.to_string().contains('\n') => Err(format!("more than a sentence: {error}")),
        Err(_) => Ok(()),
    });
}

#[test]
fn a_damaged_image_with_right_checksums_is_refused_or_runs_to_the_end() {
    let (mut opened, mut refused, mut large) = (0, 0, 0);
    with_damaged(0xc0de, |numbers, mut copy| {
        made_plausible(&mut copy, numbers);
        let bytes = AlignedBytes::copy_of(&copy);
        let Ok(image) = Image::new(&bytes) else {
            refused += 1;
            return Ok(());
        };
        opened += 1;
        // Whatever it says, saying it must not fail in another way than by an error.
        let _ = Facts::of_image(&image);
        if arena_bytes(image.config(), Plan::packed(image.config())) > ARENA_MAX {
            large += 1;
            return Ok(());
        }
        let results: Vec<Vec<u32>> = kernels::all().map(|kernels| run(&image, kernels)).collect();
        if results.iter().all(|result| *result == results[0]) { Ok(()) } else { Err("the kernel sets differ".to_owned()) }
    });
    println!("{opened} were opened ({large} with an arena too large to try), {refused} refused");
    assert!(opened > refused / 20, "almost nothing got past the checks: the damage tests nothing behind them");
}

/// All that a session does, and the bits it gave. Errors are results, too.
fn run(image: &Image, kernels: &'static Kernels) -> Vec<u32> {
    let config = image.config();
    let plan = Plan::packed(config);
    let mut arena = AlignedBytes::zeroed(arena_bytes(config, plan));
    let mut session = Session::with_kernels(image, &mut arena, plan, kernels).expect("the arena has the stated size");
    let mut bits = Vec::new();
    let note = |result: Result<&[f32], Error>, bits: &mut Vec<u32>| match result {
        Ok(logits) => bits.extend(logits.iter().map(|x| x.to_bits())),
        Err(error) => bits.extend(error.to_string().bytes().map(u32::from)),
    };
    let tokens: Vec<u32> = (0..11).map(|index| index * 29 % config.vocab).collect();
    note(session.prefill(&tokens), &mut bits);
    note(session.step(config.vocab - 1), &mut bits);
    let sampler = Sampler::new(3).top_k(9).and_then(|sampler| sampler.top_p(0.9)).expect("both are in range");
    session.reset();
    if let Ok(mut generation) = session.generate("the low é \u{1f600}", sampler, Limits { tokens: 9, stops: &["an"] }) {
        while let Ok(Some(piece)) = generation.next() {
            bits.extend(piece.token);
            bits.extend(piece.to_string().bytes().map(u32::from));
        }
        bits.push(generation.output_hash());
    }
    if image.golden().is_ok_and(|golden| golden.generate < 64) {
        // A damaged weight is what it is there to find.
        bits.extend(session.self_test().err().map(|error| error.to_string().len() as u32));
    }
    bits
}
