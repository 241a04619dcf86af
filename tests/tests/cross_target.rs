//! Every target computes the bits of this CPU's scalar kernels from one image.
//!
//! `ATTOFORMER_FULL=1` runs stories260K with five prompts of 32 tokens instead of a short run of the default model.

use attoformer::OutputHash;
use attoformer::kernels::{SCALAR, all};
use attoformer_needs::needs;
use attoformer_replay::{Job, Source};
use attoformer_tests::models::{FORMATS, TestModel, cross_target_model};
use attoformer_tests::precision;
use attoformer_tests::targets::{Wasm, on_aarch64, on_board, on_this_cpu};
use attoformer_tools::quantize::Format;
use std::io::Write;
use xtask::machines;

/// Prefill chunk sizes, used in turn; the last exceeds every prompt.
const CHUNKS: [usize; 4] = [1, 3, 16, 1000];

/// An image with the hashes that all targets must compute.
struct Case {
    format: &'static str,
    image: Vec<u8>,
    file: tempfile::NamedTempFile,
    expected: Vec<u32>,
}

fn cases(subject: &TestModel) -> Vec<Case> {
    FORMATS.iter().map(|&(name, format)| case(subject, name, format)).collect()
}

fn case(subject: &TestModel, format: &'static str, weights: Format) -> Case {
    let image = subject.pack(weights);
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&image).expect("space for the image");
    let hash = |prompt: &Vec<u32>| on_this_cpu(&image, &SCALAR, job(subject, prompt, 1)).expect("the scalar kernels run it");
    let expected = subject.prompts.iter().map(hash).collect();
    Case { format, image, file, expected }
}

fn job<'j>(subject: &TestModel, prompt: &'j [u32], chunk: usize) -> Job<'j> {
    Job { source: Source::Nothing, prompt, generate: subject.generate, chunk }
}

#[test]
fn every_kernel_set_and_chunk_agrees_on_this_cpu() {
    let subject = cross_target_model();
    for case in cases(&subject) {
        for kernels in all() {
            for chunk in CHUNKS {
                for (prompt, expected) in subject.prompts.iter().zip(&case.expected) {
                    let hash = on_this_cpu(&case.image, kernels, job(&subject, prompt, chunk)).expect("it runs");
                    assert_eq!(hash, *expected, "{} weights, {} kernels, chunks of {chunk}", case.format, kernels.name());
                }
            }
        }
    }
    println!("kernel sets on this CPU: {:?}", all().map(|kernels| kernels.name()).collect::<Vec<_>>());
}

/// Each prompt uses another chunk size, so that all sizes are tested without running everything four times.
fn board_agrees(name: &str) {
    let machine = machines::find(name).expect("the machine is in the table");
    let subject = cross_target_model();
    for case in cases(&subject) {
        for ((prompt, expected), chunk) in subject.prompts.iter().zip(&case.expected).zip(CHUNKS.into_iter().cycle()) {
            let report = on_board(&machine, case.file.path(), job(&subject, prompt, chunk), None).expect("the board runs it");
            assert_eq!(report.output_hash, format!("{expected:08x}"), "{name}, {} weights, chunks of {chunk}", case.format);
            assert!(report.self_test, "{name} replayed the golden vector");
        }
    }
    for ((what, image), chunk) in precision::images().into_iter().zip(CHUNKS.into_iter().cycle()) {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(&image).expect("space for the image");
        let prompt: Vec<u32> = (0..19).map(|index| 1 + index * 37 % 290).collect();
        let job = |chunk| Job { source: Source::Nothing, prompt: &prompt, generate: 4, chunk };
        let expected = on_this_cpu(&image, &SCALAR, job(1)).expect("the scalar kernels run it");
        let report = on_board(&machine, file.path(), job(chunk), None).expect("the board runs it");
        assert_eq!(report.output_hash, format!("{expected:08x}"), "{name}, {what}, chunks of {chunk}");
        assert!(report.self_test, "{name} replayed the golden vector of {what}");
    }
}

#[needs(program = "qemu-system-arm")]
#[test]
fn cortex_m0_agrees() {
    board_agrees("mps2-an385-m0");
}

#[needs(program = "qemu-system-arm")]
#[test]
fn cortex_m3_agrees() {
    board_agrees("mps2-an385");
}

#[needs(program = "qemu-system-arm")]
#[test]
fn cortex_m4f_agrees() {
    board_agrees("mps2-an386");
}

#[needs(program = "qemu-system-arm")]
#[test]
fn cortex_m7_agrees() {
    board_agrees("mps2-an500");
}

#[needs(program = "qemu-system-arm")]
#[test]
fn cortex_m33_agrees() {
    board_agrees("mps2-an505");
}

#[needs(program = "qemu-system-arm")]
#[test]
fn cortex_m55_agrees() {
    board_agrees("mps3-an547");
}

#[needs(program = "qemu-system-riscv32")]
#[test]
fn riscv32_agrees() {
    board_agrees("riscv32-virt");
}

#[needs(program = "qemu-system-riscv32")]
#[test]
fn riscv32_without_atomics_agrees() {
    board_agrees("riscv32imc-virt");
}

#[needs(program = "qemu-system-riscv32")]
#[test]
fn riscv32_with_an_fpu_agrees() {
    board_agrees("riscv32imafc-virt");
}

#[test]
fn wasm_agrees() {
    let subject = cross_target_model();
    for case in cases(&subject) {
        let mut wasm = Wasm::new(&case.image).expect("the module builds and starts");
        for ((prompt, expected), chunk) in subject.prompts.iter().zip(&case.expected).zip(CHUNKS.into_iter().cycle()) {
            let hash = wasm.hash(job(&subject, prompt, chunk)).expect("it runs");
            assert_eq!(hash, *expected, "wasm32, {} weights, chunks of {chunk}", case.format);
        }
    }
}

#[needs(program = "qemu-aarch64", program = "aarch64-linux-gnu-gcc")]
#[test]
fn aarch64_agrees() {
    let subject = cross_target_model();
    for case in cases(&subject) {
        for chunk in CHUNKS {
            let hashes = on_aarch64(case.file.path(), &subject.prompts, subject.generate, chunk).expect("it runs");
            assert_eq!(hashes, case.expected, "aarch64, {} weights, chunks of {chunk}", case.format);
        }
    }
}

/// The comparison of hashes detects the smallest possible difference.
#[test]
fn one_flipped_bit_in_one_logit_changes_the_hash_on_another_target() {
    let logits: Vec<f32> = (0..512).map(|index| (index as f32 - 200.0) / 7.0).collect();
    let hash = |logits: &[f32]| {
        let mut hash = OutputHash::new();
        hash.logits(logits);
        hash.token(5);
        hash.value()
    };
    let expected = hash(&logits);
    for index in [0, 1, 255, 511] {
        for bit in 0..32 {
            let mut flipped = logits.clone();
            flipped[index] = f32::from_bits(flipped[index].to_bits() ^ 1 << bit);
            assert_ne!(hash(&flipped), expected, "bit {bit} of logit {index}");
        }
    }
}
