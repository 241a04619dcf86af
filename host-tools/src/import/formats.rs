//! List of the supported model formats.

use serde::Serialize;

use super::{gguf, huggingface};

/// A supported family or architecture of a file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ModelFormat {
    /// File format.
    pub format: &'static str,
    /// Name of the family in the files.
    pub name: &'static str,
    /// Models of the family.
    pub about: &'static str,
}

/// All supported families, by file format.
pub fn supported_formats() -> Vec<ModelFormat> {
    let directories =
        huggingface::FAMILIES.iter().map(|family| ModelFormat { format: "hugging-face", name: family.name, about: family.about });
    let ggufs = gguf::ARCHITECTURES.iter().map(|family| ModelFormat { format: "gguf", name: family.name, about: family.about });
    let llama2c =
        ModelFormat { format: "llama2.c", name: "version 0", about: "decoders: Karpathy's tinystories models, output of his export.py" };
    directories.chain(ggufs).chain([llama2c]).collect()
}
