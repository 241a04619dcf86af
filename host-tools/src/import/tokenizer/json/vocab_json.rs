//! Byte-level BPE from `vocab.json` and `merges.txt`, the files from before `tokenizer.json`, with what lies beside them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::bpe;
use super::byte_bpe::QWEN_2;
use super::file::{File, Model, Pair};
use super::parts::AddedEntry;
use super::special_tokens::SpecialTokenSettings;
use crate::error::Error;
use crate::files;
use crate::import::json_file::settings;
use crate::import::tokenizer::model::Tokenizer;

const VOCABULARY: &str = "vocab.json";
const MERGES: &str = "merges.txt";

/// Whether a folder has both files.
pub(super) fn is_there(folder: &Path) -> bool {
    folder.join(VOCABULARY).exists() && folder.join(MERGES).exists()
}

/// Reads them as the model's own tokenizer does.
///
/// # Errors
/// One sentence that names the file and what is wrong with it.
pub(super) fn read(folder: &Path) -> Result<Tokenizer, Error> {
    let (path, merges) = (folder.join(VOCABULARY), folder.join(MERGES));
    let vocab = settings(&path)?;
    let model = Model { vocab, merges: pairs(&files::text(&merges)?).map_err(Error::file(&merges))?, ..Model::default() };
    let beside = SidecarFiles::read(folder)?;
    let file = beside.file(model).map_err(Error::file(folder))?;
    bpe::tokenizer(&file, &SpecialTokenSettings::beside(&path)?).map_err(Error::file(&path))
}

/// The lines of `merges.txt`, but for the one that states its version.
fn pairs(text: &str) -> Result<Vec<Pair>, String> {
    let lines = text.lines().enumerate().filter(|(number, line)| !(line.is_empty() || *number == 0 && line.starts_with("#version")));
    let pair = |(number, line): (usize, &str)| match line.split_once(' ') {
        Some((left, right)) => Ok(Pair::Parts([left.to_owned(), right.trim_end().to_owned()])),
        None => Err(format!("its line {} is not two pieces with a space between them", number + 1)),
    };
    lines.map(pair).collect()
}

/// The other files of the folder; null where one is absent.
struct SidecarFiles {
    /// tokenizer_config.json.
    settings: Value,
    /// special_tokens_map.json.
    special: Value,
    /// added_tokens.json.
    added: BTreeMap<String, u32>,
    /// The class of the tokenizer, or of the model where the first is not stated.
    class: String,
}

/// Fields that name a special token.
const NAMES: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

impl SidecarFiles {
    fn read(folder: &Path) -> Result<Self, Error> {
        let there = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
        let value = |name: &str| there(name).map_or(Ok(Value::Null), |path: PathBuf| settings::<Value>(&path));
        let (settings_value, config) = (value("tokenizer_config.json")?, value("config.json")?);
        let stated = settings_value["tokenizer_class"].as_str().map(|class| class.trim_end_matches("Fast"));
        Ok(SidecarFiles {
            special: value("special_tokens_map.json")?,
            added: there("added_tokens.json").map_or(Ok(BTreeMap::new()), |path| settings(&path))?,
            class: stated.or(config["model_type"].as_str()).unwrap_or("nothing").to_owned(),
            settings: settings_value,
        })
    }

    /// The same as a `tokenizer.json` would state it.
    fn file(&self, model: Model) -> Result<File, String> {
        let prefix = self.settings["add_prefix_space"] == true;
        let bytes = |cuts: bool| json!({"type": "ByteLevel", "add_prefix_space": prefix, "use_regex": cuts});
        let words = json!({"type": "Split", "pattern": {"Regex": QWEN_2}, "behavior": "Isolated", "invert": false});
        let (normalizer, pre_tokenizer) = match &self.class[..] {
            "GPT2Tokenizer" | "WhisperTokenizer" | "gpt2" | "gptj" | "whisper" | "RobertaTokenizer" | "roberta" => {
                (Value::Null, bytes(true))
            }
            "Qwen2Tokenizer" | "qwen2" | "qwen3" => {
                (json!({"type": "NFC"}), json!({"type": "Sequence", "pretokenizers": [words, bytes(false)]}))
            }
            other => {
                return Err(format!(
                    "it has no tokenizer.json, and {other} is not one whose vocab.json and merges.txt can be read: those of GPT-2, GPT-J, \
                     RoBERTa, Whisper and Qwen 2 can"
                ));
            }
        };
        let added_tokens = self.added_tokens(&model.vocab)?;
        let name = |field: &str, usual: &str| self.special_token(field).map_or(usual.to_owned(), |token| token.content);
        let post_processor = match &self.class[..] {
            "RobertaTokenizer" | "roberta" => {
                json!({"type": "RobertaProcessing", "sep": [name("sep_token", "</s>"), 0], "cls": [name("cls_token", "<s>"), 0]})
            }
            _ => Value::Null,
        };
        Ok(File { model, normalizer, pre_tokenizer, post_processor, added_tokens })
    }

    /// The tokens that are matched before all others: as `tokenizer_config.json` lists them, or else the special ones and added_tokens.json's.
    fn added_tokens(&self, vocab: &BTreeMap<String, u32>) -> Result<Vec<AddedEntry>, String> {
        if let Some(listed) = self.settings["added_tokens_decoder"].as_object().filter(|listed| !listed.is_empty()) {
            let token = |(id, token): (&String, &Value)| {
                let token = serde_json::from_value::<AddedEntry>(token.clone()).ok()?;
                Some(AddedEntry { id: id.parse().ok()?, ..token })
            };
            return listed.iter().map(token).collect::<Option<_>>().ok_or("its added_tokens_decoder cannot be read".to_owned());
        }
        let mut tokens: BTreeMap<u32, AddedEntry> = BTreeMap::new();
        let id = |content: &str| self.added.get(content).or_else(|| vocab.get(content)).copied();
        for (content, &id) in &self.added {
            tokens.insert(id, AddedEntry { id, content: content.clone(), normalized: true, ..AddedEntry::default() });
        }
        let several = ["additional_special_tokens"].iter().flat_map(|field| self.special[field].as_array().into_iter().flatten());
        let specials = NAMES.iter().filter_map(|field| self.special_token(field)).chain(several.filter_map(special));
        for token in specials.chain(self.usual()) {
            // One that the vocabulary lacks has no row in the model either.
            let Some(id) = id(&token.content) else { continue };
            if !tokens.get(&id).is_some_and(|known| known.special) {
                tokens.insert(id, AddedEntry { id, ..token });
            }
        }
        Ok(tokens.into_values().collect())
    }

    /// A special token that the files name.
    fn special_token(&self, field: &str) -> Option<AddedEntry> {
        special(&self.special[field]).or_else(|| special(&self.settings[field]))
    }

    /// Special tokens that the class has where no file says otherwise.
    fn usual(&self) -> impl Iterator<Item = AddedEntry> {
        let names: &[&str] = match &self.class[..] {
            "RobertaTokenizer" | "roberta" => &["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
            _ => &["<|endoftext|>"],
        };
        // What is to be guessed stands behind a space.
        names.iter().map(|&name| AddedEntry { lstrip: name == "<mask>", ..special(&Value::from(name)).unwrap_or_default() })
    }
}

/// A special token by its text, alone or with what else is said of it.
fn special(value: &Value) -> Option<AddedEntry> {
    let token = match value {
        Value::String(content) => AddedEntry { content: content.clone(), ..AddedEntry::default() },
        value => serde_json::from_value::<AddedEntry>(value.clone()).ok()?,
    };
    Some(AddedEntry { special: true, normalized: false, ..token })
}
