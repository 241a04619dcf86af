//! Byte-level BPE from `tokenizer.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::wordpiece::settings;
use crate::error::Error;
use crate::import::tokenizer::{self, Scheme, Split, Tokenizer};

#[derive(Deserialize)]
struct File {
    model: Model,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    added_tokens: Vec<Added>,
}

#[derive(Deserialize)]
struct Model {
    vocab: BTreeMap<String, u32>,
    merges: Vec<Pair>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    #[serde(default)]
    dropout: Option<f64>,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    end_of_word_suffix: Option<String>,
}

/// A merge, as older and newer files write it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Pair {
    Text(String),
    Parts([String; 2]),
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    normalized: bool,
}

/// Tokens that models of these kinds end a text with, where no file beside says which.
const ENDS: [&str; 6] = ["<|endoftext|>", "<|im_end|>", "<|end_of_text|>", "</s>", "<eos>", "<|eot_id|>"];

/// Reads the file.
///
/// # Errors
/// One sentence that names it and what is wrong with it.
pub fn read(path: &Path) -> Result<Tokenizer, Error> {
    let file: File = settings(path)?;
    let stated = stated_end(path)?;
    of_file(&file, stated).map_err(Error::file(path))
}

/// The end token that the files beside state: `tokenizer_config.json` by its text, or `config.json` by its id (the first of several).
fn stated_end(path: &Path) -> Result<Option<Value>, Error> {
    for (name, field) in [("tokenizer_config.json", "eos_token"), ("config.json", "eos_token_id")] {
        let beside = path.with_file_name(name);
        if !beside.exists() {
            continue;
        }
        let end = match &settings::<Value>(&beside)?[field] {
            Value::Object(token) => token.get("content").cloned(),
            Value::Array(ids) => ids.first().cloned(),
            token => Some(token.clone()),
        };
        if let Some(end) = end.filter(|end| !end.is_null()) {
            return Ok(Some(end));
        }
    }
    Ok(None)
}

fn of_file(file: &File, stated_end: Option<Value>) -> Result<Tokenizer, String> {
    if file.model.byte_fallback {
        return Err(
            "its BPE falls back on bytes, as SentencePiece's does; only byte-level BPE can be read from this kind of file".to_owned()
        );
    }
    let marked = |mark: &Option<String>| mark.as_ref().is_some_and(|mark| !mark.is_empty());
    if marked(&file.model.continuing_subword_prefix)
        || marked(&file.model.end_of_word_suffix)
        || file.model.dropout.is_some_and(|p| p > 0.0)
    {
        return Err("its BPE marks the parts of words, or drops merges by chance, which cannot be packed".to_owned());
    }
    let nfc = match kind(&file.normalizer) {
        "" => false,
        "NFC" => true,
        other => return Err(format!("its normalizer is of type {other}, only NFC can be read")),
    };
    let tokens = tokens(file)?;
    let added = file.added_tokens.iter().map(added).collect::<Result<Vec<tokenizer::Added>, String>>()?;
    let Around { begin, end, adds_end } = around(file, &tokens, stated_end)?;
    let merges = file.model.merges.iter().map(|merge| match merge {
        Pair::Text(text) => tokenizer::pair(text),
        Pair::Parts([left, right]) => Ok((&left[..], &right[..])),
    });
    let source = tokenizer::ByteBpe {
        tokens: &tokens,
        merges: merges.collect::<Result<_, _>>()?,
        added,
        marks: [begin.unwrap_or(end), end, end],
        adds_begin: begin.is_some(),
        adds_end,
        scheme: Scheme::ByteBpe { split: split(&file.pre_tokenizer)?, nfc, whole_words: file.model.ignore_merges },
    };
    source.tokenizer()
}

/// Pieces by id, the added tokens among them.
fn tokens(file: &File) -> Result<Vec<String>, String> {
    let listed = file.model.vocab.iter().map(|(piece, &id)| (id, piece));
    let by_id: BTreeMap<u32, &String> = listed.chain(file.added_tokens.iter().map(|added| (added.id, &added.content))).collect();
    let mut tokens = Vec::new();
    for (id, piece) in by_id {
        if id as usize != tokens.len() {
            return Err(format!("none of its pieces has the id {}, the next is {id}", tokens.len()));
        }
        tokens.push(piece.clone());
    }
    Ok(tokens)
}

fn added(added: &Added) -> Result<tokenizer::Added, String> {
    if added.single_word {
        return Err(format!("its added token {:?} is matched as a single word only, which cannot be packed", added.content));
    }
    Ok(tokenizer::Added {
        strip_left: added.lstrip,
        strip_right: added.rstrip,
        late: added.normalized,
        ..tokenizer::Added::new(added.id, added.special)
    })
}

/// What the post-processor puts around a text.
struct Around {
    /// The token before it.
    begin: Option<u32>,
    /// The token that ends texts.
    end: u32,
    /// Whether that is written behind every text.
    adds_end: bool,
}

/// One token before a text, perhaps one behind it.
fn around(file: &File, tokens: &[String], stated_end: Option<Value>) -> Result<Around, String> {
    let find = |name: &str| tokens.iter().position(|token| token == name).map(|id| id as u32);
    let id = |name: &str| find(name).ok_or_else(|| format!("its token {name:?} is not in its vocabulary"));
    let end = match stated_end {
        Some(Value::String(name)) => id(&name)?,
        Some(number) => {
            let token = number.as_u64().filter(|&token| token < tokens.len() as u64);
            token.ok_or_else(|| format!("its end token {number} is not one of its {} tokens", tokens.len()))? as u32
        }
        None => ENDS.iter().find_map(|name| find(name)).ok_or("none of its tokens is one that ends a text, such as <|endoftext|>")?,
    };
    let processors = match kind(&file.post_processor) {
        "Sequence" => file.post_processor["processors"].as_array().cloned().unwrap_or_default(),
        _ => vec![file.post_processor.clone()],
    };
    for processor in &processors {
        let names: Vec<Option<String>> = match kind(processor) {
            "TemplateProcessing" => {
                let parts = processor["single"].as_array().cloned().unwrap_or_default();
                parts.iter().map(|part| part["SpecialToken"]["id"].as_str().map(str::to_owned)).collect()
            }
            "RobertaProcessing" => {
                let name = |field: &str| processor[field][0].as_str().map(str::to_owned);
                vec![name("cls"), None, name("sep")]
            }
            _ => continue,
        };
        return match &names[..] {
            [Some(begin), None] => Ok(Around { begin: Some(id(begin)?), end, adds_end: false }),
            [Some(begin), None, Some(end)] => Ok(Around { begin: Some(id(begin)?), end: id(end)?, adds_end: true }),
            [None] => Ok(Around { begin: None, end, adds_end: false }),
            // A transcript's prompt, which the model's own decoding writes.
            [Some(_), Some(_), .., None, Some(_)] => Ok(Around { begin: None, end, adds_end: false }),
            _ => Err("its post_processor puts something around a text that cannot be packed".to_owned()),
        };
    }
    Ok(Around { begin: None, end, adds_end: false })
}

/// The pattern that cuts words, by how the library's steps are put together.
fn split(pre_tokenizer: &Value) -> Result<Split, String> {
    let steps = match kind(pre_tokenizer) {
        "Sequence" => pre_tokenizer["pretokenizers"].as_array().cloned().unwrap_or_default(),
        _ => vec![pre_tokenizer.clone()],
    };
    let is_split = |step: &Value, wanted: &str| {
        kind(step) == "Split"
            && step["pattern"]["Regex"].as_str() == Some(wanted)
            && step["behavior"].as_str() == Some("Isolated")
            && !step["invert"].as_bool().unwrap_or(false)
    };
    let only_spells = |step: &Value| {
        kind(step) == "ByteLevel" && step["use_regex"].as_bool() == Some(false) && !step["add_prefix_space"].as_bool().unwrap_or(false)
    };
    let cuts = |step: &Value| step["use_regex"].as_bool().unwrap_or(true) && !step["add_prefix_space"].as_bool().unwrap_or(false);
    match &steps[..] {
        [bytes] if kind(bytes) == "ByteLevel" && cuts(bytes) => Ok(Split::Gpt2),
        [digits, bytes]
            if kind(digits) == "Digits"
                && digits["individual_digits"].as_bool() == Some(true)
                && kind(bytes) == "ByteLevel"
                && cuts(bytes) =>
        {
            Ok(Split::SmolLm)
        }
        [words, bytes] if is_split(words, LLAMA_3) && only_spells(bytes) => Ok(Split::Llama3),
        [words, bytes] if is_split(words, QWEN_2) && only_spells(bytes) => Ok(Split::Qwen2),
        _ => Err("its pre_tokenizer is not one that can be packed: those of GPT-2, Llama 3, Qwen 2 and SmolLM".to_owned()),
    }
}

/// The patterns that the engine's matchers stand for.
const LLAMA_3: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN_2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The type of a part of the file; nothing for a part that is not there.
fn kind(value: &Value) -> &str {
    value.get("type").and_then(Value::as_str).unwrap_or_default()
}
