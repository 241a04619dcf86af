//! Importers: trained models in their publishers' file formats, read into one kind of [`Checkpoint`]. One module per file format.

mod checkpoint;
mod decoder;
mod description;
pub mod elements;
mod encoder;
mod formats;
pub mod gguf;
pub mod huggingface;
mod json_file;
mod limits;
pub mod llama2c;
pub mod preprocess;
mod rope;
mod tensor_data;
mod tensor_mapper;
pub mod tokenizer;
mod weights;

use std::path::Path;

pub use checkpoint::{Checkpoint, GenerationConfig, SourceRole, Tensor};
pub use formats::{ModelFormat, supported_formats};
pub use rope::rotary_frequencies;
pub use tensor_data::TensorData;
pub use tokenizer::{Piece, Scheme, SentencePieceSpaces, SpecialIds, Tokenizer, UnigramSpaces};

use crate::error::Error;
use crate::files;

/// Reason why a path is not a model that can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// A folder of another kind.
    #[error("not a model directory: it has neither a model.bin nor a config.json")]
    NotAModelDirectory,
    /// `--tokenizer` for a format with a tokenizer of its own.
    #[error("the model has a tokenizer of its own; leave --tokenizer out")]
    OwnTokenizer,
    /// An image instead of a checkpoint.
    #[error("the file is a packed image already; name the checkpoint that it was packed from")]
    PackedImage,
}

/// Imports a model. Its format follows from its content; a folder is a Hugging Face model directory, or contains llama2.c's `model.bin`.
/// `tokenizer` names the tokenizer's file of a llama2.c checkpoint; without it the usual names beside the model are tried.
///
/// # Errors
/// [`Error::Io`], or [`Error::File`] with the error of the format, such as [`gguf::GgufError`].
pub fn open(path: &Path, tokenizer: Option<&Path>) -> Result<Checkpoint, Error> {
    let refuse = |path: &Path, error: SourceError| Err(Error::file(path)(error));
    let file = if path.is_dir() { path.join("model.bin") } else { path.to_owned() };
    if path.is_dir() && !file.exists() {
        if !path.join(huggingface::file_names::CONFIG).exists() {
            return refuse(path, SourceError::NotAModelDirectory);
        }
        return if tokenizer.is_none() { huggingface::open(path) } else { refuse(path, SourceError::OwnTokenizer) };
    }
    let bytes = files::FileBytes::open(&file)?;
    if bytes.starts_with(gguf::MAGIC) {
        let own = || gguf::open(&file, &bytes).map_err(Error::file(&file));
        return if tokenizer.is_none() { own() } else { refuse(&file, SourceError::OwnTokenizer) };
    }
    if bytes.starts_with(b"ATTO") {
        return refuse(&file, SourceError::PackedImage);
    }
    let (config, tensors) = llama2c::model(&bytes).map_err(Error::file(&file))?;
    let tokenizer = match tokenizer.map(Path::to_owned).or_else(|| llama2c::tokenizer_beside(&file, config.vocab)) {
        None => None,
        Some(file) => Some(llama2c::tokenizer(&files::map(&file)?, config.vocab).map_err(Error::file(&file))?),
    };
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    Ok(Checkpoint {
        path: file,
        sha256: bytes.sha256(),
        rotary: rotary_frequencies(llama2c::ROTARY_BASE, config.head_dim),
        tokenizer,
        ..Checkpoint::new(&name, config, tensors)
    })
}
