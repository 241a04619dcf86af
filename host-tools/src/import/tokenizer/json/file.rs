//! `tokenizer.json` of a BPE, as the `tokenizers` library writes it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::parts::AddedEntry;
use crate::import::tokenizer::byte_bpe::pair;

/// What is read of the file.
#[derive(Deserialize)]
pub(super) struct File {
    pub model: Model,
    #[serde(default)]
    pub normalizer: Value,
    #[serde(default)]
    pub pre_tokenizer: Value,
    #[serde(default)]
    pub post_processor: Value,
    #[serde(default)]
    pub added_tokens: Vec<AddedEntry>,
}

#[derive(Default, Deserialize)]
pub(super) struct Model {
    pub vocab: BTreeMap<String, u32>,
    pub merges: Vec<Pair>,
    #[serde(default)]
    pub unk_token: Option<String>,
    #[serde(default)]
    pub byte_fallback: bool,
    #[serde(default)]
    pub ignore_merges: bool,
    #[serde(default)]
    pub dropout: Option<f64>,
    #[serde(default)]
    pub continuing_subword_prefix: Option<String>,
    #[serde(default)]
    pub end_of_word_suffix: Option<String>,
}

/// A merge, as older and newer files write it.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Pair {
    Text(String),
    Parts([String; 2]),
}

impl File {
    /// Pieces by id, the added tokens among them.
    pub fn tokens(&self) -> Result<Vec<String>, String> {
        let other = |added: &&AddedEntry| self.model.vocab.get(&added.content).is_some_and(|&id| id != added.id);
        if let Some(added) = self.added_tokens.iter().find(other) {
            return Err(format!("its added token {:?} is not token {} of its vocabulary", added.content, added.id));
        }
        let listed = self.model.vocab.iter().map(|(piece, &id)| (id, piece));
        let by_id: BTreeMap<u32, &String> = listed.chain(self.added_tokens.iter().map(|added| (added.id, &added.content))).collect();
        let mut tokens = Vec::new();
        for (id, piece) in by_id {
            if id as usize != tokens.len() {
                return Err(format!("none of its pieces has the id {}, the next is {id}", tokens.len()));
            }
            tokens.push(piece.clone());
        }
        Ok(tokens)
    }

    /// The pairs that merge, the first ones first.
    pub fn merges(&self) -> Result<Vec<(&str, &str)>, String> {
        let merges = self.model.merges.iter().map(|merge| match merge {
            Pair::Text(text) => pair(text),
            Pair::Parts([left, right]) => Ok((&left[..], &right[..])),
        });
        merges.collect()
    }
}
