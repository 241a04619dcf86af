//! A damaged image, its checksums made right again, is refused or runs to the end, with the same bits on every kernel set.
//!
//! Input: the image, then one byte of flags: 1 makes the stated size right, 2 the stated arena.
#![no_main]

use attoformer::image::header::{Config, HEADER_BYTES};
use attoformer::kernels::{self, Kernels};
use attoformer::{Error, Image, Limits, Plan, Sampler, Session, arena_bytes};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::pack::seal;
use attoformer_tools::report::facts::Facts;
use libfuzzer_sys::{Corpus, fuzz_target};

const TOTAL_AT: usize = 12;
const ARENA_AT: usize = 24;
/// Larger arenas are sound and slow.
const ARENA_MAX: usize = 64 << 20;
/// Tokens fed before text is generated, and tokens generated.
const TOKENS: u32 = 11;

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((&flags, bytes)) = data.split_last() else { return Corpus::Reject };
    if bytes.len() < HEADER_BYTES {
        return Corpus::Reject;
    }
    let mut bytes = AlignedBytes::copy_of(bytes);
    make_plausible(&mut bytes, flags);
    let Ok(image) = Image::new(&bytes) else { return Corpus::Keep };
    let _ = Facts::of_image(&image);
    if arena_bytes(image.config(), Plan::packed(image.config())) > ARENA_MAX {
        return Corpus::Keep;
    }
    let mut runs = kernels::all().map(|kernels| run(&image, kernels));
    let first = runs.next();
    assert!(runs.all(|run| Some(&run) == first.as_ref()), "the kernel sets differ");
    Corpus::Keep
});

fn make_plausible(bytes: &mut [u8], flags: u8) {
    if flags & 1 != 0 {
        let total = bytes.len() as u32;
        bytes[TOTAL_AT..TOTAL_AT + 4].copy_from_slice(&total.to_le_bytes());
    }
    if let (1.., Ok(config)) = (flags & 2, Config::read(bytes)) {
        let arena = u32::try_from(arena_bytes(&config, Plan::packed(&config))).unwrap_or(u32::MAX);
        bytes[ARENA_AT..ARENA_AT + 4].copy_from_slice(&arena.to_le_bytes());
    }
    seal(bytes);
}

/// All that a session does, and the bits it gave; an error is a result, too.
fn run(image: &Image, kernels: &'static Kernels) -> Vec<u32> {
    let config = image.config();
    let plan = Plan::packed(config);
    let mut arena = AlignedBytes::zeroed(arena_bytes(config, plan));
    let mut session = Session::with_kernels(image, &mut arena, plan, kernels).expect("the arena has the stated size");
    let mut bits = Vec::new();
    let tokens: Vec<u32> = (0..TOKENS).map(|index| index * 29 % config.vocab).collect();
    note(session.prefill(&tokens), &mut bits);
    note(session.step(config.vocab - 1), &mut bits);
    session.reset();
    note(session.encode(&tokens), &mut bits);
    session.reset();
    let sampler = Sampler::new(3).top_k(9).and_then(|sampler| sampler.repetition_penalty(1.3)).expect("both are in range");
    if let Ok(mut generation) = session.generate("the low é", sampler, Limits { tokens: 5, stops: &["an"] }) {
        while let Ok(Some(piece)) = generation.next() {
            bits.extend(piece.token);
            bits.extend(piece.to_string().bytes().map(u32::from));
        }
        bits.push(generation.output_hash());
    }
    if image.golden().is_ok_and(|golden| golden.tokens.len() as u32 + golden.generate < 3 * TOKENS) {
        bits.push(session.self_test().is_ok() as u32);
    }
    bits
}

fn note(result: Result<&[f32], Error>, bits: &mut Vec<u32>) {
    match result {
        Ok(logits) => bits.extend(logits.iter().map(|x| x.to_bits())),
        Err(error) => bits.extend(error.to_string().bytes().map(u32::from)),
    }
}
