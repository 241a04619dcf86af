//! Byte-level BPE from `vocab.json` and `merges.txt`, the files from before `tokenizer.json`, with the settings of the files beside them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::added_token::AddedEntry;
use super::bpe;
use super::byte_bpe::QWEN_2;
use super::error::TokenizerError;
use super::file::{File, MergeRule, Model};
use super::special_tokens::StatedTokens;
use crate::error::Error;
use crate::files;
use crate::import::json_file::read_json;
use crate::import::tokenizer::model::Tokenizer;

const VOCABULARY: &str = "vocab.json";
const MERGES: &str = "merges.txt";

/// Whether a folder has both files.
pub(super) fn exists(folder: &Path) -> bool {
    folder.join(VOCABULARY).exists() && folder.join(MERGES).exists()
}

/// Reads the files as the model's own tokenizer class does.
///
/// # Errors
/// [`Error::Io`], or [`Error::File`] with a [`TokenizerError`].
pub(super) fn read(folder: &Path) -> Result<Tokenizer, Error> {
    let (path, merges) = (folder.join(VOCABULARY), folder.join(MERGES));
    let vocab = read_json(&path)?;
    let model = Model { vocab, merges: merge_rules(&files::text(&merges)?).map_err(Error::file(&merges))?, ..Model::default() };
    let file = SidecarFiles::read(folder)?.file(model).map_err(Error::file(folder))?;
    bpe::tokenizer(&file, &StatedTokens::read(&path)?).map_err(Error::file(&path))
}

/// The lines of `merges.txt`, except the version in the first one.
fn merge_rules(text: &str) -> Result<Vec<MergeRule>, TokenizerError> {
    let lines = text.lines().enumerate().filter(|(number, line)| !(line.is_empty() || *number == 0 && line.starts_with("#version")));
    let rule = |(number, line): (usize, &str)| match line.split_once(' ') {
        Some((left, right)) => Ok(MergeRule::Parts([left.to_owned(), right.trim_end().to_owned()])),
        None => Err(TokenizerError::MergeLine(number + 1)),
    };
    lines.map(rule).collect()
}

/// The other files of the folder; null for one that is absent.
struct SidecarFiles {
    /// `tokenizer_config.json`.
    settings: Value,
    /// `special_tokens_map.json`.
    special: Value,
    /// `added_tokens.json`.
    added: BTreeMap<String, u32>,
    /// Class of the tokenizer; type of the model if the class is not stated.
    class: String,
}

/// Fields that name a special token.
const NAMES: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

impl SidecarFiles {
    fn read(folder: &Path) -> Result<Self, Error> {
        let existing = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
        let value = |name: &str| existing(name).map_or(Ok(Value::Null), |path: PathBuf| read_json::<Value>(&path));
        let (settings, config) = (value("tokenizer_config.json")?, value("config.json")?);
        let stated = settings["tokenizer_class"].as_str().map(|class| class.trim_end_matches("Fast"));
        Ok(SidecarFiles {
            special: value("special_tokens_map.json")?,
            added: existing("added_tokens.json").map_or(Ok(BTreeMap::new()), |path| read_json(&path))?,
            class: stated.or(config["model_type"].as_str()).unwrap_or("(not stated)").to_owned(),
            settings,
        })
    }

    fn is_roberta(&self) -> bool {
        matches!(&self.class[..], "RobertaTokenizer" | "roberta")
    }

    /// The `tokenizer.json` that states the same settings.
    fn file(&self, model: Model) -> Result<File, TokenizerError> {
        let prefix = self.settings["add_prefix_space"] == true;
        let byte_level = |use_regex: bool| json!({"type": "ByteLevel", "add_prefix_space": prefix, "use_regex": use_regex});
        let words = json!({"type": "Split", "pattern": {"Regex": QWEN_2}, "behavior": "Isolated", "invert": false});
        let (normalizer, pre_tokenizer) = match &self.class[..] {
            "GPT2Tokenizer" | "WhisperTokenizer" | "gpt2" | "gptj" | "whisper" | "RobertaTokenizer" | "roberta" => {
                (Value::Null, byte_level(true))
            }
            "Qwen2Tokenizer" | "qwen2" | "qwen3" => {
                (json!({"type": "NFC"}), json!({"type": "Sequence", "pretokenizers": [words, byte_level(false)]}))
            }
            other => return Err(TokenizerError::TokenizerClass(other.to_owned())),
        };
        let added_tokens = self.added_tokens(&model.vocab)?;
        let name = |field: &str, default: &str| self.special_token(field).map_or(default.to_owned(), |token| token.content);
        let post_processor = match self.is_roberta() {
            true => json!({"type": "RobertaProcessing", "sep": [name("sep_token", "</s>"), 0], "cls": [name("cls_token", "<s>"), 0]}),
            false => Value::Null,
        };
        Ok(File { model, normalizer, pre_tokenizer, post_processor, added_tokens })
    }

    /// The added tokens: the list of `tokenizer_config.json`, or else the special tokens and those of `added_tokens.json`.
    fn added_tokens(&self, vocab: &BTreeMap<String, u32>) -> Result<Vec<AddedEntry>, TokenizerError> {
        if let Some(listed) = self.settings["added_tokens_decoder"].as_object().filter(|listed| !listed.is_empty()) {
            let token = |(id, token): (&String, &Value)| {
                let token = serde_json::from_value::<AddedEntry>(token.clone()).ok()?;
                Some(AddedEntry { id: id.parse().ok()?, ..token })
            };
            return listed.iter().map(token).collect::<Option<_>>().ok_or(TokenizerError::AddedTokensDecoder);
        }
        let mut tokens: BTreeMap<u32, AddedEntry> = BTreeMap::new();
        let id = |content: &str| self.added.get(content).or_else(|| vocab.get(content)).copied();
        for (content, &id) in &self.added {
            tokens.insert(id, AddedEntry { id, content: content.clone(), normalized: true, ..AddedEntry::default() });
        }
        let additional = self.special["additional_special_tokens"].as_array().into_iter().flatten().filter_map(special_token);
        let specials = NAMES.iter().filter_map(|field| self.special_token(field)).chain(additional);
        for token in specials.chain(self.default_tokens()) {
            // A token that the vocabulary lacks has no row in the embedding table either.
            let Some(id) = id(&token.content) else { continue };
            if !tokens.get(&id).is_some_and(|known| known.special) {
                tokens.insert(id, AddedEntry { id, ..token });
            }
        }
        Ok(tokens.into_values().collect())
    }

    /// A special token that the files name.
    fn special_token(&self, field: &str) -> Option<AddedEntry> {
        special_token(&self.special[field]).or_else(|| special_token(&self.settings[field]))
    }

    /// Special tokens that the class has unless a file says otherwise.
    fn default_tokens(&self) -> impl Iterator<Item = AddedEntry> {
        let names: &[&str] = if self.is_roberta() { &["<s>", "<pad>", "</s>", "<unk>", "<mask>"] } else { &["<|endoftext|>"] };
        // A mask takes the space before it.
        names.iter().map(|&name| AddedEntry { lstrip: name == "<mask>", ..special_token(&Value::from(name)).unwrap_or_default() })
    }
}

/// A special token: its text, or an object with its text.
fn special_token(value: &Value) -> Option<AddedEntry> {
    let token = match value {
        Value::String(content) => AddedEntry { content: content.clone(), ..AddedEntry::default() },
        value => serde_json::from_value::<AddedEntry>(value.clone()).ok()?,
    };
    Some(AddedEntry { special: true, normalized: false, ..token })
}
