//! What is done with a checkpoint that was read: packed in several formats, and run.

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

/// Larger models are sound and slow.
pub const FLOATS_MAX: u64 = 20_000;
const ARENA_MAX: usize = 16 << 20;

/// Packs a checkpoint, where it is small, and runs what was packed.
pub fn run(checkpoint: &Checkpoint) {
    let config = &checkpoint.config;
    if arena_bytes(config, Plan::packed(config)) > ARENA_MAX || checkpoint.parameters() > FLOATS_MAX {
        return;
    }
    for (weights, kv) in [(Format::Int8, KvType::Int8), (Format::Int4 { group: 32 }, KvType::F16), (Format::F32, KvType::F32)] {
        if let Ok(packed) = pack(checkpoint, &Options { weights, kv, ..Options::reference() }, &Progress::silent()) {
            let image = Image::new(&packed.image).expect("what was packed can be opened");
            let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
            let mut session = Session::new(&image, &mut arena).expect("the arena has the stated size");
            session.self_test().expect("the packer's bits are the engine's");
            ImageSummary::of_image(&image).expect("what was packed can be described");
            if let Ok(mut chat) = Chat::new(image, None, render) {
                let _ = chat.ask("the low");
            }
        }
    }
}

/// A folder of this process, empty.
#[allow(dead_code, reason = "a GGUF file needs none")]
pub fn folder() -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("attoformer-fuzz-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
    folder
}

/// Why a file was refused is one line that names it.
pub fn check_refusal(sentence: &str) {
    assert!(!sentence.contains('\n') && sentence.chars().count() < 2000, "no sentence: {sentence}");
}
