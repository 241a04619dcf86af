//! The models that the whole-system tests run: the project's own, and stories260K where it lies beside the checkout.

use attoformer::image::KvType;
use attoformer_tools::import;
use attoformer_tools::pack::{self, Options};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;
use std::path::{Path, PathBuf};
use xtask::process::root;

/// A checkpoint and the prompts it is tested with.
#[derive(Clone, Debug)]
pub struct OpenImage {
    /// A llama2.c checkpoint.
    pub model: PathBuf,
    /// Its tokenizer.
    pub tokenizer: PathBuf,
    /// Token lists to feed.
    pub prompts: Vec<Vec<u32>>,
    /// Tokens to generate after each.
    pub generate: u32,
}

/// The formats in which every target is tried.
pub const FORMATS: [(&str, Format); 3] = [("int8", Format::Int8), ("int4", Format::Int4 { group: 32 }), ("f16", Format::F16)];

/// What the tests of all targets run: a short run of the project's own model, or with `ATTOFORMER_FULL=1` five prompts of 32 tokens
/// of stories260K.
///
/// # Panics
/// When `ATTOFORMER_FULL` is set and stories260K is not beside the checkout.
pub fn subject() -> OpenImage {
    if std::env::var_os("ATTOFORMER_FULL").is_some() {
        return stories260k().expect("ATTOFORMER_FULL=1 wants stories260K in ../shared/models");
    }
    OpenImage { prompts: prompts().into_iter().take(2).collect(), generate: 6, ..tales() }
}

/// The project's own model.
pub fn tales() -> OpenImage {
    let folder = root().join("models/tales");
    OpenImage { model: folder.join("model.bin"), tokenizer: folder.join("tokenizer.bin"), prompts: prompts(), generate: 32 }
}

/// stories260K, when it lies beside the checkout.
pub fn stories260k() -> Option<OpenImage> {
    let folder = shared("models/stories260K")?;
    Some(OpenImage { model: folder.join("stories260K.bin"), tokenizer: folder.join("tok512.bin"), prompts: prompts(), generate: 32 })
}

/// Five prompts: the begin token alone, short ones, one that is longer than a prefill block, and byte tokens.
fn prompts() -> Vec<Vec<u32>> {
    vec![
        vec![1, 300, 290, 261, 310],
        (0..23).map(|index| 1 + index * 11 % 300).collect(),
        vec![1],
        vec![1, 270, 262],
        vec![1, 3 + b'a' as u32, 3 + b'\n' as u32, 3 + 200],
    ]
}

/// A file or folder of `../shared`, when it is there.
pub fn shared(path: &str) -> Option<PathBuf> {
    Some(root().join("../shared").join(path)).filter(|path| path.exists())
}

impl OpenImage {
    /// Packs the checkpoint with these weights and an int8 cache.
    ///
    /// # Panics
    /// When it cannot be packed.
    pub fn pack(&self, weights: Format) -> Vec<u8> {
        let options = Options { weights, kv: KvType::Int8, ..Options::reference() };
        pack_file(&self.model, &self.tokenizer, &options)
    }
}

/// Packs a llama2.c checkpoint.
///
/// # Panics
/// When it cannot be packed.
pub fn pack_file(model: &Path, tokenizer: &Path, options: &Options) -> Vec<u8> {
    let checkpoint = import::open(model, Some(tokenizer)).unwrap_or_else(|error| panic!("{error}"));
    pack::pack(&checkpoint, options, &Progress::silent()).unwrap_or_else(|error| panic!("{error}")).image.to_vec()
}
