//! Models of the whole-system tests: the default model, and stories260K if `../shared` contains it.

use attoformer::image::KvType;
use attoformer_tools::import;
use attoformer_tools::pack::{self, Options};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;
use std::path::{Path, PathBuf};
use xtask::process::root;

/// A checkpoint and its test prompts.
#[derive(Clone, Debug)]
pub struct TestModel {
    /// A llama2.c checkpoint.
    pub model: PathBuf,
    /// Tokenizer file.
    pub tokenizer: PathBuf,
    /// Token lists to feed.
    pub prompts: Vec<Vec<u32>>,
    /// Tokens to generate after each prompt.
    pub generate: u32,
}

/// Weight formats that every target is tested with.
pub const FORMATS: [(&str, Format); 3] = [("int8", Format::Int8), ("int4", Format::Int4 { group: 32 }), ("f16", Format::F16)];

/// The model for the tests of all targets: a short run of the default model, or with `ATTOFORMER_FULL=1` five prompts of 32 tokens of stories260K.
///
/// # Panics
/// If `ATTOFORMER_FULL` is set and `../shared/models/stories260K` does not exist.
pub fn cross_target_model() -> TestModel {
    if std::env::var_os("ATTOFORMER_FULL").is_some() {
        return stories260k();
    }
    TestModel { prompts: prompts().into_iter().take(2).collect(), generate: 6, ..tales() }
}

/// The default model.
pub fn tales() -> TestModel {
    let folder = root().join("models/tales");
    TestModel { model: folder.join("model.bin"), tokenizer: folder.join("tokenizer.bin"), prompts: prompts(), generate: 32 }
}

/// stories260K of `../shared`.
///
/// # Panics
/// If it does not exist.
pub fn stories260k() -> TestModel {
    let folder = shared("models/stories260K");
    TestModel { model: folder.join("stories260K.bin"), tokenizer: folder.join("tok512.bin"), prompts: prompts(), generate: 32 }
}

/// Five prompts: BOS alone, short ones, one longer than a prefill block, and byte tokens.
fn prompts() -> Vec<Vec<u32>> {
    vec![
        vec![1, 300, 290, 261, 310],
        (0..23).map(|index| 1 + index * 11 % 300).collect(),
        vec![1],
        vec![1, 270, 262],
        vec![1, 3 + b'a' as u32, 3 + b'\n' as u32, 3 + 200],
    ]
}

/// A file or folder of `../shared`. A test that uses it is marked with `#[needs(file = "../shared/...")]`.
///
/// # Panics
/// If it does not exist.
pub fn shared(path: &str) -> PathBuf {
    let path = root().join("../shared").join(path);
    assert!(path.exists(), "{} does not exist", path.display());
    path
}

impl TestModel {
    /// Packs the checkpoint with these weights and an int8 cache.
    ///
    /// # Panics
    /// If it cannot be packed.
    pub fn pack(&self, weights: Format) -> Vec<u8> {
        self.pack_for("portable", weights)
    }

    /// Packs the checkpoint like [`TestModel::pack`], in this layout.
    ///
    /// # Panics
    /// If it cannot be packed.
    pub fn pack_for(&self, layout: &str, weights: Format) -> Vec<u8> {
        let target = layout.parse().unwrap_or_else(|error| panic!("{layout}: {error}"));
        let options = Options { weights, kv: KvType::Int8, target, ..Options::reference() };
        pack_file(&self.model, &self.tokenizer, &options)
    }
}

/// Packs a llama2.c checkpoint.
///
/// # Panics
/// If it cannot be packed.
pub fn pack_file(model: &Path, tokenizer: &Path, options: &Options) -> Vec<u8> {
    let checkpoint = import::open(model, Some(tokenizer)).unwrap_or_else(|error| panic!("{error}"));
    pack::pack(&checkpoint, options, &Progress::silent()).unwrap_or_else(|error| panic!("{error}")).image.to_vec()
}
