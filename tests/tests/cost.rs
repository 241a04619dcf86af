//! What a token costs: instructions and memory on an emulated Cortex-M4F, and what AVX2 saves on a PC.

use attoformer::kernels::{Kernels, SCALAR, by_name};
use attoformer::{Image, Plan, Session};
use attoformer_replay::{Job, Source};
use attoformer_tests::models::{OpenImage, stories260k, tales};
use attoformer_tests::targets::on_board;
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::quantize::Format;
use std::io::Write;
use std::time::{Duration, Instant};
use xtask::answer::Report;
use xtask::machines;
use xtask::process::is_installed;

/// A Cortex-M4F part as its users have it.
const RAM_BYTES: u32 = 256 * 1024;

/// Greedy tokens after `prompt` on an M4F, or `None` (said) without the emulator.
fn on_m4f(subject: &OpenImage, prompt: &[u32], generate: u32, less_arena: u32) -> Option<anyhow::Result<Report>> {
    let machine = machines::find("mps2-an386").expect("the machine is in the table");
    if !is_installed(machine.emulator) {
        println!("skipped: {} is not installed (cargo xtask setup)", machine.emulator);
        return None;
    }
    let image = subject.pack(Format::Int8);
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&image).expect("room for the image");
    let arena = AlignedBytes::copy_of(&image);
    let arena = (less_arena > 0).then(|| Image::arena_bytes(&arena) as u32 - less_arena);
    Some(on_board(&machine, file.path(), Job { source: Source::Nothing, prompt, generate, chunk: prompt.len() }, arena))
}

fn dearest(report: &Report) -> u64 {
    report.instructions_per_token.iter().take(24).copied().max().expect("tokens were generated")
}

fn fits_the_part(report: &Report) {
    let ram = report.ram_bytes_arena + report.ram_bytes_static + report.stack_high_water;
    assert!(ram <= RAM_BYTES, "{ram} bytes of RAM: {report:?}");
    let (stated, used) = (u64::from(report.ram_bytes_arena), u64::from(report.arena_high_water));
    assert!(used <= stated && used * 100 >= stated * 99, "{used} of {stated} arena bytes were touched");
}

#[test]
fn tales_on_a_cortex_m4f() {
    let Some(report) = on_m4f(&tales(), &[1], 24, 0) else { return };
    let report = report.expect("it runs");
    println!("dearest of {} tokens: {} instructions", report.tokens.len(), dearest(&report));
    assert!(dearest(&report) <= 350_000, "{} instructions", dearest(&report));
    fits_the_part(&report);
}

#[test]
fn stories260k_on_a_cortex_m4f() {
    let Some(subject) = stories260k() else {
        println!("skipped: there is no ../shared/models/stories260K");
        return;
    };
    let Some(report) = on_m4f(&subject, &[1], 24, 0) else { return };
    let report = report.expect("it runs");
    println!("dearest of {} tokens: {} instructions", report.tokens.len(), dearest(&report));
    assert!(dearest(&report) <= 700_000, "{} instructions", dearest(&report));

    // All 512 places of the context: a prompt of 511 tokens and the one that follows.
    let prompt: Vec<u32> = (0..511).map(|index| 1 + index * 37 % 500).collect();
    let Some(report) = on_m4f(&subject, &prompt, 1, 0) else { return };
    let report = report.expect("it runs");
    assert_eq!((report.prompt_tokens, report.tokens.len()), (511, 1));
    fits_the_part(&report);
}

#[test]
fn one_arena_byte_less_than_stated_is_refused_on_a_cortex_m4f() {
    let Some(report) = on_m4f(&tales(), &[1], 1, 1) else { return };
    let refusal = report.expect_err("the arena is too small").to_string();
    assert!(refusal.contains("the plan needs"), "{refusal}");
}

/// Time for 60 tokens one by one.
fn decode(image: &Image<'_>, kernels: &'static Kernels) -> Duration {
    let plan = Plan::packed(image.config());
    let mut arena = AlignedBytes::zeroed(Image::arena_bytes(image.bytes()));
    let mut session = Session::with_kernels(image, &mut arena, plan, kernels).expect("room enough");
    let start = Instant::now();
    for token in 1..=60 {
        session.step(token).expect("it runs");
    }
    start.elapsed()
}

/// The two take turns, and the best round of each counts, so that a busy machine slows both alike.
#[test]
fn avx2_decodes_at_least_twice_as_fast_as_scalar() {
    let Some(avx2) = by_name("avx2") else {
        println!("skipped: this CPU has no AVX2");
        return;
    };
    let bytes = AlignedBytes::copy_of(&tales().pack(Format::Int8));
    let image = Image::new(&bytes).expect("a sound image");
    let best = |times: &[Duration]| times.iter().min().copied().unwrap_or_default();
    let rounds: Vec<_> = (0..20).map(|_| (decode(&image, &SCALAR), decode(&image, avx2))).collect();
    let (scalar, avx2): (Vec<_>, Vec<_>) = rounds.into_iter().unzip();
    let (scalar, avx2) = (best(&scalar), best(&avx2));
    println!("60 tokens: scalar {scalar:?}, avx2 {avx2:?}");
    assert!(scalar >= avx2 * 2, "scalar {scalar:?}, avx2 {avx2:?}");
}
