//! The model that the repository carries: its image is what `pack` makes of it, and its stories are ones the grammar could have told.

use attoformer::image::header::KvType;
use attoformer::{Image, Limits, Sampler, Session};
use attoformer_tests::models::pack_file;
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::pack::Options;
use attoformer_tools::quantize::Format;
use xtask::process::root;

/// Samples to judge unless `ATTOFORMER_FULL` asks for all 200.
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

#[test]
fn its_sentences_parse_under_the_grammar() {
    let samples = if std::env::var_os("ATTOFORMER_FULL").is_some() { 200 } else { SAMPLES };
    let bytes = committed();
    let image = Image::new(&bytes).expect("a sound image");
    let mut arena = AlignedBytes::zeroed(Image::arena_bytes(&bytes));
    let mut session = Session::new(&image, &mut arena).expect("room enough");
    let (mut parsed, mut total) = (0, 0);
    for seed in 0..samples {
        session.reset();
        let sampler = Sampler::new(seed).temperature(0.7).expect("a temperature");
        let mut story = String::new();
        let mut generation = session.generate("", sampler, Limits::tokens(250)).expect("an empty prompt is one token");
        while let Some(piece) = generation.next().expect("it runs") {
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
