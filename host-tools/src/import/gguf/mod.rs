//! GGUF files: metadata that states an architecture and its sizes, tensors in many element types, a tokenizer. One file per architecture.

mod bert;
mod cursor;
mod error;
mod llama;
pub mod reader;
mod tokenizer;

use std::path::Path;

use attoformer::image::Config;

use super::checkpoint::Checkpoint;
use super::description::Description;
use super::limits;
use super::tensor_mapper::TensorMapper;
use crate::files::FileBytes;
use reader::Gguf;

pub use error::{ContainerError, GgufError};
pub use reader::MAGIC;

/// A supported architecture.
pub struct Architecture {
    /// Its name in `general.architecture`.
    pub name: &'static str,
    /// Models that have it.
    pub about: &'static str,
    describe: fn(&Gguf<'_>, &str) -> Result<Description, GgufError>,
}

/// All supported architectures.
pub const ARCHITECTURES: &[Architecture] = &[
    Architecture { name: "llama", about: "decoders: Llama 1 to 3.2, Mistral, SmolLM, TinyLlama", describe: llama::describe },
    Architecture { name: "qwen2", about: "decoders: Qwen 1.5 to 2.5", describe: llama::describe },
    Architecture { name: "qwen3", about: "decoders: Qwen 3", describe: llama::describe },
    Architecture { name: "bert", about: "sentence encoders: BERT, MiniLM, BGE, E5", describe: bert::describe },
];

/// Imports a model from the bytes of the file at `path`.
///
/// # Errors
/// [`GgufError`] with the first part that fails.
pub fn open(path: &Path, file: &FileBytes) -> Result<Checkpoint, GgufError> {
    let gguf = Gguf::read(file)?;
    let parts = gguf.size("split.count")?.unwrap_or(1);
    if parts > 1 {
        return Err(GgufError::Split(parts));
    }
    let key = "general.architecture";
    let name = gguf.text(key)?.ok_or_else(|| ContainerError::KeyMissing(key.to_owned()))?;
    let supported = || ARCHITECTURES.iter().map(|known| known.name).collect::<Vec<&str>>().join(", ");
    let architecture = ARCHITECTURES.iter().find(|known| known.name == name);
    let architecture = architecture.ok_or_else(|| GgufError::Architecture { name: name.to_owned(), supported: supported() })?;
    let description = (architecture.describe)(&gguf, name)?;
    let Description { config, rotary, labels, audio, pictures, generation_config, map_tensors } = description;
    limits::check(&config)?;
    let config = attoformer::config! { bos: token(&gguf, "bos", &config)?, eos: token(&gguf, "eos", &config)?, ..config };
    let stem = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let name = gguf.text("general.name")?.filter(|name| !name.is_empty()).map_or_else(stem, str::to_owned);
    let chat_template = gguf.text("tokenizer.chat_template")?.map(str::to_owned);

    let mut tokenizer = tokenizer::read(&gguf)?;
    if let Some(tokenizer) = &mut tokenizer {
        tokenizer.pad_to(config.vocab as usize);
        if tokenizer.pieces.len() != config.vocab as usize {
            return Err(GgufError::VocabularySize { tokens: tokenizer.pieces.len(), rows: config.vocab });
        }
    }
    let mut weights = gguf.into_weights()?;
    let mut mapper = TensorMapper::new(&mut weights, "");
    map_tensors(&config, &mut mapper)?;
    let tensors = mapper.tensors;
    weights.finish()?;
    Ok(Checkpoint {
        name,
        path: path.to_owned(),
        sha256: file.sha256(),
        config,
        rotary,
        tensors,
        tokenizer,
        labels,
        chat_template,
        audio,
        pictures,
        generation_config,
    })
}

/// A special token of the metadata; 0 if the file states none.
fn token(gguf: &Gguf<'_>, name: &str, config: &Config) -> Result<u32, GgufError> {
    let key = format!("tokenizer.ggml.{name}_token_id");
    match gguf.size(&key)? {
        Some(token) if token >= config.vocab => Err(GgufError::SpecialToken { key, token, vocab: config.vocab }),
        token => Ok(token.unwrap_or(0)),
    }
}
