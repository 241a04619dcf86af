//! Cost of a token on an emulated Cortex-M4F: instruction count, arena, statics and stack size.

use attoformer::Image;
use attoformer_needs::needs;
use attoformer_replay::{Job, Source};
use attoformer_tests::models::{TestModel, stories260k, tales};
use attoformer_tests::targets::on_board;
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::quantize::Format;
use std::io::Write;
use xtask::answer::Report;
use xtask::machines;

/// RAM of a common Cortex-M4F part.
const RAM_BYTES: u32 = 256 * 1024;

/// Instructions that the most expensive of the first 24 tokens of stories260K may need, by layout.
const STORIES260K: [(&str, u64); 2] = [("portable", 538_240), ("cortex-m-dsp", 449_800)];

/// Greedy tokens after `prompt` on an M4F, with an arena that is `less_arena` bytes too small.
fn on_m4f(model: &TestModel, prompt: &[u32], generate: u32, less_arena: u32) -> anyhow::Result<Report> {
    image_on_m4f(&model.pack(Format::Int8), prompt, generate, less_arena)
}

fn image_on_m4f(image: &[u8], prompt: &[u32], generate: u32, less_arena: u32) -> anyhow::Result<Report> {
    let machine = machines::find("mps2-an386").expect("the machine is in the table");
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(image).expect("space for the image");
    let arena = AlignedBytes::copy_of(image);
    let arena = (less_arena > 0).then(|| Image::arena_bytes(&arena) as u32 - less_arena);
    on_board(&machine, file.path(), Job { source: Source::Nothing, prompt, generate, chunk: prompt.len() }, arena)
}

/// Instructions of the most expensive of the first 24 tokens.
fn most_expensive(report: &Report) -> u64 {
    report.instructions_per_token.iter().take(24).copied().max().expect("tokens were generated")
}

fn assert_fits_in_ram(report: &Report) {
    let ram = report.ram_bytes_arena + report.ram_bytes_static + report.stack_high_water;
    assert!(ram <= RAM_BYTES, "{ram} bytes of RAM: {report:?}");
    let (stated, used) = (u64::from(report.ram_bytes_arena), u64::from(report.arena_high_water));
    assert!(used <= stated && used * 100 >= stated * 99, "{used} of {stated} arena bytes were used");
}

#[needs(program = "qemu-system-arm")]
#[test]
fn tales_stays_within_its_instructions_on_a_cortex_m4f() {
    let report = on_m4f(&tales(), &[1], 24, 0).expect("it runs");
    let most = most_expensive(&report);
    println!("most expensive of {} tokens: {most} instructions", report.tokens.len());
    assert!(most <= 350_000, "{most} instructions");
    assert_fits_in_ram(&report);
}

#[needs(program = "qemu-system-arm", file = "../shared/models/stories260K")]
#[test]
fn stories260k_stays_within_its_instructions_and_memory_on_a_cortex_m4f() {
    let model = stories260k();
    for (layout, limit) in STORIES260K {
        let report = image_on_m4f(&model.pack_for(layout, Format::Int8), &[1], 24, 0).expect("it runs");
        let most = most_expensive(&report);
        println!("{layout}: most expensive of {} tokens: {most} instructions", report.tokens.len());
        assert!(most <= limit, "{layout}: {most} instructions, the limit is {limit}");
    }

    // The whole context of 512: a prompt of 511 tokens and the one after it.
    let prompt: Vec<u32> = (0..511).map(|index| 1 + index * 37 % 500).collect();
    let report = on_m4f(&model, &prompt, 1, 0).expect("it runs");
    assert_eq!((report.prompt_tokens, report.tokens.len()), (511, 1));
    assert_fits_in_ram(&report);
}

#[needs(program = "qemu-system-arm")]
#[test]
fn one_arena_byte_less_than_stated_is_refused_on_a_cortex_m4f() {
    let refusal = on_m4f(&tales(), &[1], 1, 1).expect_err("the arena is too small").to_string();
    assert!(refusal.contains("the plan needs"), "{refusal}");
}
