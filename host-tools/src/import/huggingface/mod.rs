//! Hugging Face model directories: `config.json` for the shape, `model.safetensors` (or several files with an index) for the weights, a tokenizer
//! beside them. One file per family.

mod activation;
mod bert;
mod classifier;
mod defaults;
mod directory;
mod distilbert;
mod error;
pub mod file_names;
mod gpt2;
mod gpt_neox;
mod gptj;
mod kwt;
mod llama;
mod marian;
mod pooling;
mod roberta;
mod rope;
mod t5;
mod token_ids;
mod vit;
mod weight_files;
mod whisper;

use std::path::Path;

use attoformer::image::Config;
use serde_json::Value;

use super::checkpoint::Checkpoint;
use super::description::Description;
use super::json_file::read_json;
use super::limits;
use super::tensor_mapper::TensorMapper;
use super::tokenizer::json as tokenizer_json;
use super::tokenizer::model::Tokenizer;
use crate::error::Error;
use directory::Directory;
use file_names::CONFIG;
use weight_files::WeightFiles;

pub use error::ConfigError;

/// A supported family.
pub struct Family {
    /// Its name in the `model_type` of config.json.
    pub name: &'static str,
    /// Models that belong to it.
    pub about: &'static str,
    describe: fn(&Directory) -> Result<Description, ConfigError>,
}

const fn family(name: &'static str, about: &'static str, describe: fn(&Directory) -> Result<Description, ConfigError>) -> Family {
    Family { name, about, describe }
}

/// All supported families.
pub const FAMILIES: &[Family] = &[
    family("llama", "decoders: Llama 1 to 3.2, SmolLM, TinyLlama", llama::llama),
    family("mistral", "decoders: Mistral, with or without a sliding window", llama::mistral),
    family("qwen2", "decoders: Qwen 1.5 to 2.5", llama::qwen2),
    family("qwen3", "decoders: Qwen 3", llama::qwen3),
    family("gpt2", "decoders: GPT-2, DistilGPT-2", gpt2::describe),
    family("gpt_neox", "decoders: GPT-NeoX, Pythia", gpt_neox::describe),
    family("gptj", "decoders: GPT-J", gptj::describe),
    family("bert", "encoders and classifiers: BERT, MiniLM, BGE, E5", bert::describe),
    family("distilbert", "encoders and classifiers: DistilBERT", distilbert::describe),
    family("roberta", "encoders and classifiers: RoBERTa, DistilRoBERTa", roberta::describe),
    family("xlm-roberta", "encoders and classifiers: XLM-RoBERTa, multilingual E5", roberta::describe),
    family("vit", "image encoders and classifiers: ViT", vit::describe),
    family("kwt", "audio classifiers: keyword transformers", kwt::describe),
    family("whisper", "speech to text: Whisper, Distil-Whisper", whisper::describe),
    family("marian", "translators: Marian, OPUS-MT", marian::describe),
    family("t5", "text to text: T5, Flan-T5", t5::describe),
];

/// Reason why a directory cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum DirectoryError {
    /// A family that is not supported.
    #[error("model_type is {name}, which is not supported; supported: {supported}")]
    ModelType {
        /// The family that config.json states.
        name: String,
        /// The supported families.
        supported: String,
    },
    /// Vocabulary and config.json differ in size.
    #[error("the tokenizer has {pieces} pieces, but config.json states a vocab_size of {vocab}")]
    VocabularySize {
        /// Pieces of the tokenizer.
        pieces: usize,
        /// Tokens of the model.
        vocab: u32,
    },
}

/// Imports a model directory. Every tensor of the weights must be known, and every tensor that the model needs must exist.
///
/// # Errors
/// [`Error::Io`], or [`Error::File`] with a [`ConfigError`], the error of a tensor, or that of the tokenizer.
pub fn open(folder: &Path) -> Result<Checkpoint, Error> {
    let config_path = folder.join(CONFIG);
    let config: Value = read_json(&config_path)?;
    let name = config.get("model_type").and_then(Value::as_str).unwrap_or("(not stated)");
    let Some(family) = FAMILIES.iter().find(|family| family.name == name) else {
        let supported = FAMILIES.iter().map(|family| family.name).collect::<Vec<&str>>().join(", ");
        return Err(Error::file(&config_path)(DirectoryError::ModelType { name: name.to_owned(), supported }));
    };
    let directory = Directory::open(folder, config)?;
    let description = (family.describe)(&directory).map_err(|error| error.in_file(&config_path))?;
    limits::check(&description.config).map_err(Error::file(&config_path))?;
    let Description { config, rotary, labels, audio, pictures, generation_config, map_tensors } = description;

    let files = WeightFiles::open(folder)?;
    let mut weights = files.weights()?;
    let tokenizer = tokenizer(folder, family.name, &config)?;
    let mut mapper = TensorMapper::new(&mut weights, "");
    let mapped = map_tensors(&config, &mut mapper);
    let tensors = mapper.tensors;
    mapped.and_then(|()| weights.finish()).map_err(Error::file(&files.path))?;
    // The start token of an encoder-decoder is not its tokenizer's BOS.
    let special = tokenizer.as_ref().filter(|_| !config.has_cross()).map(|tokenizer| (tokenizer.bos, tokenizer.eos));
    let (bos, eos) = special.unwrap_or((config.bos, config.eos));
    Ok(Checkpoint {
        name: published_name(&directory.config, folder),
        sha256: files.sha256(),
        path: files.path,
        config: attoformer::config! { bos, eos, ..config },
        rotary,
        tensors,
        tokenizer,
        labels,
        chat_template: directory.chat_template()?,
        audio,
        pictures,
        generation_config,
    })
}

/// The directory's tokenizer, padded to the rows of a longer embedding table. `None` if the model does not read text, or the folder has no tokenizer
/// that can be packed (such as a Unigram whose charsmap is one of many normalizer steps): the model is fed tokens then.
fn tokenizer(folder: &Path, family: &str, config: &Config) -> Result<Option<Tokenizer>, Error> {
    let is_wordpiece = matches!(family, "bert" | "distilbert");
    if !config.has_embedding() || !(is_wordpiece || tokenizer_json::can_be_packed(folder)?) {
        return Ok(None);
    }
    let mut tokenizer = tokenizer_json::open(folder)?;
    if !is_wordpiece {
        tokenizer.pad_to(config.vocab as usize);
    }
    match tokenizer.pieces.len() {
        pieces if pieces == config.vocab as usize => Ok(Some(tokenizer)),
        pieces => Err(Error::file(folder)(DirectoryError::VocabularySize { pieces, vocab: config.vocab })),
    }
}

/// The name that the model was published under, or the folder's.
fn published_name(config: &Value, folder: &Path) -> String {
    let published = config.get("_name_or_path").and_then(Value::as_str).and_then(|name| name.rsplit('/').next());
    let folder = folder.file_name().unwrap_or_default().to_string_lossy();
    published.filter(|name| !name.is_empty()).map_or_else(|| folder.into_owned(), str::to_owned)
}
