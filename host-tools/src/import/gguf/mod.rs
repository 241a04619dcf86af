//! GGUF files: metadata that names an architecture and its sizes, tensors in many element types, a tokenizer. One file per architecture.

mod bert;
mod llama;
pub mod reader;
mod tokenizer;

use std::path::Path;

use attoformer::image::Config;
use sha2::{Digest, Sha256};

use super::checkpoint::Checkpoint;
use super::description::Description;
use super::limits;
use super::tensor_mapper::TensorMapper;
use reader::Gguf;

/// What a file begins with.
pub const MAGIC: [u8; 4] = *b"GGUF";

/// An architecture that can be read.
pub struct Architecture {
    /// Its name in `general.architecture`.
    pub name: &'static str,
    /// What has it.
    pub about: &'static str,
    read: fn(&Gguf<'_>, &str) -> Result<Description, String>,
}

/// All that can be read.
pub const ARCHITECTURES: &[Architecture] = &[
    Architecture { name: "llama", about: "decoders: Llama 1 to 3.2, Mistral, SmolLM, TinyLlama", read: llama::read },
    Architecture { name: "qwen2", about: "decoders: Qwen 1.5 to 2.5", read: llama::read },
    Architecture { name: "qwen3", about: "decoders: Qwen 3", read: llama::read },
    Architecture { name: "bert", about: "sentence encoders: BERT, MiniLM, BGE, E5", read: bert::read },
];

/// Reads a model from a file's bytes.
///
/// # Errors
/// A sentence's end: what is wrong with the file.
pub fn open(path: &Path, bytes: &[u8]) -> Result<Checkpoint, String> {
    let gguf = Gguf::read(bytes)?;
    let parts = gguf.size("split.count")?.unwrap_or(1);
    if parts > 1 {
        return Err(format!("it is one of {parts} parts of a model; merge them with gguf-split --merge"));
    }
    let name = gguf.text("general.architecture")?.ok_or("its metadata lacks general.architecture")?;
    let known = || ARCHITECTURES.iter().map(|known| known.name).collect::<Vec<&str>>().join(", ");
    let architecture = ARCHITECTURES.iter().find(|known| known.name == name);
    let architecture =
        architecture.ok_or_else(|| format!("its architecture is {name}, which cannot be read yet; what can is {}", known()))?;
    let Description { config, rotary, labels, audio, pictures, generation_config, tensors } = (architecture.read)(&gguf, name)?;
    limits::check(&config)?;
    let config = attoformer::config! { bos: token(&gguf, "bos", &config)?, eos: token(&gguf, "eos", &config)?, ..config };
    let stem = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let name = gguf.text("general.name")?.filter(|name| !name.is_empty()).map_or_else(stem, str::to_owned);
    let chat_template = gguf.text("tokenizer.chat_template")?.map(str::to_owned);

    let mut tokenizer = tokenizer::read(&gguf)?;
    if let Some(tokenizer) = &mut tokenizer {
        tokenizer.pad_to(config.vocab as usize);
        if tokenizer.pieces.len() != config.vocab as usize {
            return Err(format!("its tokenizer has {} tokens, its table {}", tokenizer.pieces.len(), config.vocab));
        }
    }
    let mut weights = gguf.into_weights()?;
    let mut mapper = TensorMapper::new(&mut weights, "");
    tensors(&config, &mut mapper)?;
    let tensors = mapper.tensors;
    weights.finish()?;
    Ok(Checkpoint {
        name,
        path: path.to_owned(),
        sha256: Sha256::digest(bytes).into(),
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

/// A token that the metadata names; 0 where it does not.
fn token(gguf: &Gguf<'_>, name: &str, config: &Config) -> Result<u32, String> {
    let key = format!("tokenizer.ggml.{name}_token_id");
    match gguf.size(&key)? {
        Some(token) if token >= config.vocab => Err(format!("its {key} is {token}, beyond its vocabulary of {}", config.vocab)),
        token => Ok(token.unwrap_or(0)),
    }
}
