//! The default model: `pack` reproduces its committed image, and its stories follow the grammar that it was trained on.

use attoformer::image::KvType;
use attoformer::image::Role;
use attoformer::{Image, Limits, Sampler, Session};
use attoformer_tests::models::pack_file;
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::import;
use attoformer_tools::pack::Calibration;
use attoformer_tools::pack::{Options, pack};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;
use xtask::process::root;

/// Samples to score; `ATTOFORMER_FULL` scores 200.
const SAMPLES: u64 = 40;

fn options() -> Options {
    Options { weights: Format::Int8, kv: KvType::Int8, ..Options::reference() }
}

fn committed() -> AlignedBytes {
    AlignedBytes::copy_of(&std::fs::read(root().join("models/tales/tales.atto")).expect("the image is in the repository"))
}

#[test]
fn the_committed_image_is_what_pack_makes() {
    let folder = root().join("models/tales");
    let packed = pack_file(&folder.join("model.bin"), &folder.join("tokenizer.bin"), &options());
    assert!(packed == committed().to_vec(), "run `cargo xtask train-default --pack-only` and commit the image");
}

/// Calibration scales the matrices of the layers without work for the engine, and a tied embedding table by `in_scale`: the logits stay as close to
/// those of f32 as without calibration.
#[test]
fn calibration_changes_no_product() {
    let folder = root().join("models/tales");
    let checkpoint = import::open(&folder.join("model.bin"), Some(&folder.join("tokenizer.bin"))).expect("the model is in the repository");
    let calibration = Calibration::OwnText;
    let logits = |options: Options| {
        let packed = pack(&checkpoint, &options, &Progress::silent()).expect("it can be packed");
        let image = Image::new(&packed.image).expect("a valid image");
        let scaled: Vec<Role> = image.entries().filter(|entry| entry.in_scale != 0).map(|entry| entry.role).collect();
        let mut arena = AlignedBytes::zeroed(Image::arena_bytes(&packed.image));
        let mut session = Session::new(&image, &mut arena).expect("a sufficient arena");
        session.self_test().expect("its golden vector");
        (session.prefill(&[1, 60, 200, 11, 90, 43]).expect("six tokens").to_vec(), scaled)
    };
    let (exact, none) = logits(Options::reference());
    let (plain, _) = logits(options());
    let (smoothed, scaled) = logits(Options { calibration, ..options() });
    // The factors of its tied head gain too little to be applied at run time.
    assert!(none.is_empty() && scaled.is_empty(), "{scaled:?}");
    let distance = |logits: &[f32]| logits.iter().zip(&exact).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt();
    let size = exact.iter().map(|x| x * x).sum::<f32>().sqrt();
    println!("plain {} smoothed {} of {size}", distance(&plain), distance(&smoothed));
    assert!(distance(&smoothed) < 0.02 * size, "{} of {size}", distance(&smoothed));
}

#[test]
fn its_sentences_parse_under_the_grammar() {
    let samples = if std::env::var_os("ATTOFORMER_FULL").is_some() { 200 } else { SAMPLES };
    let bytes = committed();
    let image = Image::new(&bytes).expect("a valid image");
    let mut arena = AlignedBytes::zeroed(Image::arena_bytes(&bytes));
    let mut session = Session::new(&image, &mut arena).expect("a sufficient arena");
    let (mut parsed, mut total) = (0, 0);
    for seed in 0..samples {
        session.reset();
        let sampler = Sampler::new(seed).with_temperature(0.7).expect("a temperature");
        let mut story = String::new();
        let mut generation = session.generate("", sampler, Limits::tokens(250)).expect("an empty prompt is one token");
        while let Some(piece) = generation.next_piece().expect("it runs") {
            story.push_str(&piece.to_string());
        }
        let (good, all) = attoformer_stories::score(&story);
        parsed += good;
        total += all;
    }
    println!("{parsed} of {total} sentences in {samples} samples parse");
    assert!(total >= 5 * samples as usize, "{total} sentences are too few for {samples} stories");
    assert!(parsed * 100 >= total * 95, "{parsed} of {total} sentences parse");
}
