//! Importers: trained models in their publishers' file formats, read into one in-memory [`Checkpoint`]. One module per source format.

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
mod tensor_mapper;
pub mod tokenizer;
mod weights;

use std::path::Path;

use sha2::{Digest, Sha256};

pub use checkpoint::{Checkpoint, GenerationConfig, SourceRole, Tensor};
pub use formats::{ModelFormat, supported_formats};
pub use rope::rotary_frequencies;
pub use tokenizer::{Piece, Scheme, SentencePieceSpaces, Tokenizer, UnigramSpaces};

use crate::error::Error;
use crate::files;

/// Reads a model, whose format is told by its content. A folder is a Hugging Face directory, or stands for the `model.bin` in it.
/// `tokenizer` names the tokenizer's file where it is apart; without it the usual names beside the model are tried.
///
/// # Errors
/// One sentence that names the file and what is wrong with it.
pub fn open(path: &Path, tokenizer: Option<&Path>) -> Result<Checkpoint, Error> {
    let file = if path.is_dir() { path.join("model.bin") } else { path.to_owned() };
    if path.is_dir() && !file.exists() {
        if path.join(huggingface::file_names::CONFIG).exists() {
            return match tokenizer {
                None => huggingface::open(path),
                Some(_) => Err(Error::file(path)("it brings its own tokenizer: leave --tokenizer out".to_owned())),
            };
        }
        return Err(Error::file(path)("it is a directory without a model.bin or a config.json: no model directory".to_owned()));
    }
    let bytes = files::map(&file)?;
    if bytes.starts_with(&gguf::MAGIC) {
        return match tokenizer {
            None => gguf::open(&file, &bytes).map_err(Error::file(&file)),
            Some(_) => Err(Error::file(&file)("it brings its own tokenizer: leave --tokenizer out".to_owned())),
        };
    }
    refuse_other_formats(&bytes).map_err(Error::file(&file))?;
    let (config, tensors) = llama2c::model(&bytes).map_err(Error::file(&file))?;
    let tokenizer = match tokenizer.map(Path::to_owned).or_else(|| llama2c::tokenizer_beside(&file, config.vocab)) {
        None => None,
        Some(file) => Some(llama2c::tokenizer(&files::map(&file)?, config.vocab).map_err(Error::file(&file))?),
    };
    Ok(Checkpoint {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        path: file,
        sha256: Sha256::digest(&bytes[..]).into(),
        config,
        rotary: rotary_frequencies(llama2c::ROTARY_BASE, config.head_dim),
        tensors,
        tokenizer,
        labels: Vec::new(),
        chat_template: None,
        audio: None,
        pictures: None,
        generation_config: None,
    })
}

fn refuse_other_formats(bytes: &[u8]) -> Result<(), String> {
    match bytes {
        [b'A', b'T', b'T', b'O', ..] => Err("it is a packed image already: give the checkpoint that it was made from".to_owned()),
        _ => Ok(()),
    }
}
