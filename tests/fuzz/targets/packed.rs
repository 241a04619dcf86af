//! Packs a checkpoint in several formats and runs the images.

use attoformer::image::KvType;
use attoformer::{Image, Plan, Session, arena_bytes};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::import::Checkpoint;
use attoformer_tools::pack::{Options, pack};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;
use attoformer_tools::report::summary::ImageSummary;
use attoformer_tools::run::chat::Chat;
use attoformer_tools::run::chat::template::render;

/// Larger models are valid but slow.
pub const FLOATS_MAX: u64 = 20_000;
const ARENA_MAX: usize = 16 << 20;

/// Packs a checkpoint, if it is small, and runs the images.
pub fn run(checkpoint: &Checkpoint) {
    let config = &checkpoint.config;
    if arena_bytes(config, Plan::packed(config)) > ARENA_MAX || checkpoint.parameters() > FLOATS_MAX {
        return;
    }
    for (weights, kv) in [(Format::Int8, KvType::Int8), (Format::Int4 { group: 32 }, KvType::F16), (Format::F32, KvType::F32)] {
        if let Ok(packed) = pack(checkpoint, &Options { weights, kv, ..Options::reference() }, &Progress::silent()) {
            let image = Image::new(&packed.image).expect("a packed image opens");
            let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
            let mut session = Session::new(&image, &mut arena).expect("the arena has the stated size");
            session.self_test().expect("the packer computes the engine's bits");
            ImageSummary::of_image(&image).expect("a packed image has a summary");
            if let Ok(mut chat) = Chat::new(image, None, render) {
                let _ = chat.ask("the low");
            }
        }
    }
}

/// An empty folder of this process.
#[allow(dead_code, reason = "a GGUF file needs none")]
pub fn folder() -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("attoformer-fuzz-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    folder
}

/// Checks that the reason of a refusal is one short line.
pub fn check_refusal(sentence: &str) {
    assert!(!sentence.contains('\n') && sentence.chars().count() < 2000, "no sentence: {sentence}");
}
