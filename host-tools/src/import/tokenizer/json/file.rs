//! Fields of a `tokenizer.json` with a BPE model.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::added_token::AddedEntry;
use super::error::TokenizerError;
use crate::import::tokenizer::byte_bpe::merge_parts;
use crate::import::tokenizer::error::VocabularyError;

/// Fields of the file.
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

/// A BPE model.
#[derive(Default, Deserialize)]
pub(super) struct Model {
    pub vocab: BTreeMap<String, u32>,
    pub merges: Vec<MergeRule>,
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

/// A merge rule: "left right" in older files, a list of both in newer ones.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum MergeRule {
    Text(String),
    Parts([String; 2]),
}

impl File {
    /// Pieces by id, the added tokens included.
    ///
    /// # Errors
    /// An added token contradicts the vocabulary, or an id has no piece.
    pub fn tokens(&self) -> Result<Vec<String>, TokenizerError> {
        let contradicts = |added: &&AddedEntry| self.model.vocab.get(&added.content).is_some_and(|&id| id != added.id);
        if let Some(added) = self.added_tokens.iter().find(contradicts) {
            return Err(TokenizerError::AddedTokenId { content: added.content.clone(), id: added.id.into() });
        }
        let listed = self.model.vocab.iter().map(|(piece, &id)| (id, piece));
        let by_id: BTreeMap<u32, &String> = listed.chain(self.added_tokens.iter().map(|added| (added.id, &added.content))).collect();
        let mut tokens = Vec::new();
        for (id, piece) in by_id {
            if id as usize != tokens.len() {
                return Err(VocabularyError::IdMissing { expected: tokens.len() as u64, next: id.into() }.into());
            }
            tokens.push(piece.clone());
        }
        Ok(tokens)
    }

    /// The merge rules in order of their rank.
    ///
    /// # Errors
    /// [`VocabularyError::MergeForm`].
    pub fn merges(&self) -> Result<Vec<(&str, &str)>, VocabularyError> {
        let merges = self.model.merges.iter().map(|merge| match merge {
            MergeRule::Text(text) => merge_parts(text),
            MergeRule::Parts([left, right]) => Ok((&left[..], &right[..])),
        });
        merges.collect()
    }
}
