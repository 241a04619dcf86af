//! Every architecture family: all kernel sets of this CPU and emulated Cortex-M4F and RISC-V boards compute the bits of the scalar kernels.

use attoformer::image::{Config, InputStem, KvType};
use attoformer::kernels::{SCALAR, all};
use attoformer_needs::needs;
use attoformer_replay::{Job, Source};
use attoformer_tests::random_model::{RandomModel, families, feature_rows};
use attoformer_tests::targets::{on_board, on_this_cpu};
use std::io::Write;
use xtask::machines;

/// Tokens that a decoder generates.
const GENERATED: u32 = 5;
/// Input rows of an encoder: more than a block, and not a multiple of four.
const SOURCE: usize = 19;

/// Input of a family: nothing, tokens or features for its encoder, and a prompt for its decoder.
struct Input {
    source: Vec<u32>,
    features: Vec<f32>,
    prompt: Vec<u32>,
}

impl Input {
    fn of(config: &Config) -> Self {
        let tokens = |count: usize| (0..count as u32).map(|index| 3 + index * 37 % (config.vocab - 3)).collect::<Vec<u32>>();
        let reads_tokens = config.has_encoder() && config.input_stem == InputStem::Tokens;
        let reads_features = config.input_stem != InputStem::Tokens;
        Input {
            source: if reads_tokens { tokens(SOURCE) } else { Vec::new() },
            features: if reads_features { feature_rows(config, SOURCE, 5) } else { Vec::new() },
            prompt: if config.output_dim(1) == u64::from(config.vocab) { tokens(11) } else { Vec::new() },
        }
    }

    fn job(&self, chunk: usize) -> Job<'_> {
        let source = match (&self.source[..], &self.features[..]) {
            ([], []) => Source::Nothing,
            ([], features) => Source::Features(features),
            (tokens, _) => Source::Tokens(tokens),
        };
        Job { source, prompt: &self.prompt, generate: GENERATED, chunk }
    }
}

/// Every family's image, its input, and the hash that all targets must compute.
fn cases() -> impl Iterator<Item = (&'static str, RandomModel, Vec<u8>, u32)> {
    families().into_iter().map(|(name, model)| {
        let image = model.pack_mixed(KvType::Int8).to_vec();
        let expected = on_this_cpu(&image, &SCALAR, Input::of(&model.config).job(1000)).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, model, image, expected)
    })
}

#[test]
fn every_family_has_one_answer_on_this_cpu() {
    for (name, model, image, expected) in cases() {
        let input = Input::of(&model.config);
        for kernels in all() {
            for chunk in [1, 3, 16] {
                let found = on_this_cpu(&image, kernels, input.job(chunk)).unwrap();
                assert_eq!(found, expected, "{name}, {} kernels, chunks of {chunk}", kernels.name());
            }
        }
        println!("{name:16} {expected:08x} {}", all().map(|kernels| kernels.name()).collect::<Vec<_>>().join(" = "));
    }
}

fn board_agrees(name: &str) {
    let machine = machines::find(name).expect("the machine is in the table");
    for ((family, model, image, expected), chunk) in cases().zip([1, 3, 16].into_iter().cycle()) {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(&image).expect("space for the image");
        let report =
            on_board(&machine, file.path(), Input::of(&model.config).job(chunk), None).unwrap_or_else(|error| panic!("{family}: {error}"));
        assert_eq!(report.output_hash, format!("{expected:08x}"), "{family} on {name}, chunks of {chunk}");
        assert!(report.self_test, "{name} replayed the golden vector of {family}");
        println!("{family:16} {expected:08x} scalar = {name}");
    }
}

#[needs(program = "qemu-system-arm")]
#[test]
fn every_family_has_the_same_answer_on_a_cortex_m4f() {
    board_agrees("mps2-an386");
}

#[needs(program = "qemu-system-riscv32")]
#[test]
fn every_family_has_the_same_answer_on_riscv32() {
    board_agrees("riscv32-virt");
}
