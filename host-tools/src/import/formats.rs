//! What can be read, for listings.

use serde::Serialize;

use super::{gguf, huggingface};

/// A kind of model that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ModelFormat {
    /// The files' format.
    pub format: &'static str,
    /// What the files name it.
    pub name: &'static str,
    /// What belongs to it.
    pub about: &'static str,
}

/// All that can be read, format by format.
pub fn supported_formats() -> Vec<ModelFormat> {
    let directories =
        huggingface::FAMILIES.iter().map(|family| ModelFormat { format: "hugging-face", name: family.name, about: family.about });
    let files = gguf::ARCHITECTURES.iter().map(|known| ModelFormat { format: "gguf", name: known.name, about: known.about });
    let own = ModelFormat { format: "llama2.c", name: "version 0", about: "decoders: Karpathy's stories, and what his export.py writes" };
    directories.chain(files).chain([own]).collect()
}
