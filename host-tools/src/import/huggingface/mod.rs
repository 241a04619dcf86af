//! Hugging Face model directories: `config.json` for the shape, `model.safetensors` (or several, with an index) for the weights, a tokenizer
//! beside them. One file per family.

mod activation;
mod bert;
mod classifier;
mod directory;
mod distilbert;
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
mod vit;
mod weight_files;
mod whisper;

use std::path::Path;

use attoformer::image::Config;
use serde_json::Value;

use super::checkpoint::Checkpoint;
use super::description::Description;
use super::json_file::json;
use super::limits;
use super::tensor_mapper::TensorMapper;
use super::tokenizer::json as tokenizer_json;
use super::tokenizer::model::Tokenizer;
use crate::error::Error;
use directory::Directory;
use file_names::CONFIG;
use weight_files::Files;

/// A family that can be read.
pub struct Family {
    /// Its name in the `model_type` of config.json.
    pub name: &'static str,
    /// What belongs to it.
    pub about: &'static str,
    read: fn(&Directory) -> Result<Description, String>,
}

const fn family(name: &'static str, about: &'static str, read: fn(&Directory) -> Result<Description, String>) -> Family {
    Family { name, about, read }
}

/// All that can be read.
pub const FAMILIES: &[Family] = &[
    family("llama", "decoders: Llama 1 to 3.2, SmolLM, TinyLlama", llama::llama),
    family("mistral", "decoders: Mistral, with or without a sliding window", llama::mistral),
    family("qwen2", "decoders: Qwen 1.5 to 2.5", llama::qwen2),
    family("qwen3", "decoders: Qwen 3", llama::qwen3),
    family("gpt2", "decoders: GPT-2, DistilGPT-2", gpt2::read),
    family("gpt_neox", "decoders: GPT-NeoX, Pythia", gpt_neox::read),
    family("gptj", "decoders: GPT-J", gptj::read),
    family("bert", "encoders and classifiers: BERT, MiniLM, BGE, E5", bert::read),
    family("distilbert", "encoders and classifiers: DistilBERT", distilbert::read),
    family("roberta", "encoders and classifiers: RoBERTa, DistilRoBERTa", roberta::read),
    family("xlm-roberta", "encoders and classifiers: XLM-RoBERTa, multilingual E5", roberta::read),
    family("vit", "image encoders and classifiers: ViT", vit::read),
    family("kwt", "sound classifiers: keyword transformers", kwt::read),
    family("whisper", "speech to text: Whisper, Distil-Whisper", whisper::read),
    family("marian", "translators: Marian, OPUS-MT", marian::read),
    family("t5", "text to text: T5, Flan-T5", t5::read),
];

/// Reads a model directory.
///
/// # Errors
/// One sentence that names the file and what is wrong with it: an unknown family, a tensor too many, one too few, or of another shape.
pub fn open(folder: &Path) -> Result<Checkpoint, Error> {
    let config_path = folder.join(CONFIG);
    let config: Value = json(&config_path)?;
    let name = config.get("model_type").and_then(Value::as_str).unwrap_or("nothing");
    let Some(family) = FAMILIES.iter().find(|family| family.name == name) else {
        let known = FAMILIES.iter().map(|family| family.name).collect::<Vec<&str>>().join(", ");
        return Err(Error::file(&config_path)(format!(
            "it states {name} as its model_type, which cannot be read yet; what can is {known}"
        )));
    };
    let directory = Directory::open(folder, config)?;
    let model = (family.read)(&directory).and_then(|model| limits::check(&model.config).map(|()| model));
    let Description { config, rotary, labels, audio, pictures, generation_config, tensors: take_all } =
        model.map_err(Error::file(&config_path))?;

    let files = Files::open(folder)?;
    let mut weights = files.weights()?;
    let tokenizer = tokenizer(folder, family.name, &config)?;
    let mut mapper = TensorMapper::new(&mut weights, "");
    let taken = take_all(&config, &mut mapper);
    let tensors = mapper.tensors;
    taken.and_then(|()| weights.finish()).map_err(Error::file(&files.path))?;
    // What an encoder-decoder begins with is none of its tokenizer's marks.
    let marks = tokenizer.as_ref().filter(|_| !config.has_cross()).map(|tokenizer| (tokenizer.bos, tokenizer.eos));
    let (bos, eos) = marks.unwrap_or((config.bos, config.eos));
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

/// The directory's tokenizer, whose pieces are the model's rows; a table of tokens may be longer. `None` where the model reads no text, the folder
/// has no tokenizer, or one that cannot be packed (a Unigram whose map of characters is one of many steps): such a model is fed tokens.
fn tokenizer(folder: &Path, family: &str, shape: &Config) -> Result<Option<Tokenizer>, Error> {
    let words = matches!(family, "bert" | "distilbert");
    if !shape.has_embedding() || !(words || tokenizer_json::can_be_packed(folder)?) {
        return Ok(None);
    }
    let mut tokenizer = tokenizer_json::open(folder)?;
    if !words {
        tokenizer.pad_to(shape.vocab as usize);
    }
    match tokenizer.pieces.len() {
        count if count == shape.vocab as usize => Ok(Some(tokenizer)),
        count => {
            Err(Error::file(folder)(format!("its tokenizer has {count} pieces, its config.json states a vocabulary of {}", shape.vocab)))
        }
    }
}

/// The name that the model was published under, or the folder's.
fn published_name(config: &Value, folder: &Path) -> String {
    let published = config.get("_name_or_path").and_then(Value::as_str).and_then(|name| name.rsplit('/').next());
    let folder = folder.file_name().unwrap_or_default().to_string_lossy();
    published.filter(|name| !name.is_empty()).map_or_else(|| folder.into_owned(), str::to_owned)
}
