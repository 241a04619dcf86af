//! SentencePiece BPE from `tokenizer.json`, as in the files of Llama 2, Mistral and Gemma.
//!
//! The library merges pairs by their merge rank, the engine merges pieces by their score. Both give the same tokens: two pieces are neighbours
//! only if merging their joined text by itself leads to these two pieces. So of all the ways to split a piece only one occurs, and the rank of
//! that pair is the rank of the piece. A piece whose merges end in other tokens, or whose last pair is not a merge rule, is never produced.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::added_token::AddedEntry;
use super::error::TokenizerError;
use super::file::File;
use super::post_processor::PostProcessor;
use super::special_tokens::StatedTokens;
use super::steps::{kind, steps};
use crate::import::tokenizer::error::VocabularyError;
use crate::import::tokenizer::model::{AddedToken, METASPACE, NEVER, SentencePieceSpaces, Tokenizer};
use crate::import::tokenizer::sentencepiece::SentencePiece;

/// [`METASPACE`] as a string.
const METASPACE_TEXT: &str = "\u{2581}";

/// The tokenizer of a file whose BPE has byte fallback.
///
/// # Errors
/// [`TokenizerError`] with the first part that is not supported.
pub(super) fn tokenizer(file: &File, stated: &StatedTokens) -> Result<Tokenizer, TokenizerError> {
    if file.model.ignore_merges {
        return Err(TokenizerError::IgnoreMerges);
    }
    let Spacing { spaces, word_per_space } = Spacing::read(file)?;
    let tokens = file.tokens()?;
    let post_processor = PostProcessor::read(file, &tokens, stated)?;
    let unk = file.model.unk_token.as_ref().and_then(|unk| file.model.vocab.get(unk));
    let special = post_processor.special_ids(unk.copied());
    let mut added = Vec::new();
    for token in &file.added_tokens {
        added.extend(added_token(token, &file.normalizer)?);
    }
    special.add_to(&mut added, |_| true);
    let mut never_merged: Vec<bool> = tokens.iter().map(|token| is_byte(token)).collect();
    added.iter().for_each(|added| never_merged[added.token as usize] = true);
    let vocabulary = MergeVocabulary { ids: &file.model.vocab, tokens: &tokens, never_merged: &never_merged };
    vocabulary.check()?;
    let scores = vocabulary.scores(&vocabulary.rules(&file.merges()?)?, word_per_space);
    let source = SentencePiece {
        tokens: &tokens,
        scores: &scores,
        added,
        special,
        add_bos: post_processor.add_bos,
        add_eos: post_processor.add_eos,
        spaces,
    };
    Ok(source.tokenizer()?)
}

/// Treatment of spaces.
struct Spacing {
    spaces: SentencePieceSpaces,
    /// Whether a word begins at each space; otherwise a text is one word.
    word_per_space: bool,
}

impl Spacing {
    /// Reads the two older forms (a normalizer with or without a prefix) and the newer one (a Metaspace pre-tokenizer).
    fn read(file: &File) -> Result<Self, TokenizerError> {
        let normalizer = steps(&file.normalizer, "normalizers");
        let pre_tokenizer = steps(&file.pre_tokenizer, "pretokenizers");
        let replaces =
            |step: &Value| kind(step) == "Replace" && step["pattern"]["String"] == " " && step["content"].as_str() == Some(METASPACE_TEXT);
        let prepends = |step: &Value| kind(step) == "Prepend" && step["prepend"].as_str() == Some(METASPACE_TEXT);
        // A normalized text has no space to split at.
        let splits_nothing = |step: &Value| kind(step) == "Split" && step["pattern"]["String"] == " ";
        let is_metaspace = |step: &Value| kind(step) == "Metaspace" && step["replacement"].as_str() == Some(METASPACE_TEXT);
        let escaped = SentencePieceSpaces { metaspace_is_space: true, ..SentencePieceSpaces::default() };
        match (&normalizer[..], &pre_tokenizer[..]) {
            ([prefix, spaces], rest) if prepends(prefix) && replaces(spaces) && rest.iter().all(splits_nothing) => {
                Ok(Spacing { spaces: SentencePieceSpaces { add_dummy_prefix: true, ..escaped }, word_per_space: false })
            }
            ([spaces], rest) if replaces(spaces) && rest.iter().all(splits_nothing) => {
                Ok(Spacing { spaces: escaped, word_per_space: false })
            }
            ([], [step]) if is_metaspace(step) => {
                let scheme = match step["add_prefix_space"] == false {
                    true => "never",
                    false => step["prepend_scheme"].as_str().unwrap_or("always"),
                };
                let add_dummy_prefix = scheme != "never";
                let spaces = SentencePieceSpaces {
                    add_dummy_prefix,
                    start_of_text_only: scheme == "first",
                    unless_present: add_dummy_prefix,
                    ..escaped
                };
                Ok(Spacing { spaces, word_per_space: step["split"] != false })
            }
            _ => Err(TokenizerError::UnsupportedForm {
                part: "normalizer or pre_tokenizer",
                supported: "those of Llama, Mistral and Gemma, which replace each space by U+2581",
            }),
        }
    }
}

/// An added token as a packer needs it. `None` for a token of spaces spelled with U+2581 (Gemma's), which is a piece that spaces merge to. A text
/// with several U+2581 in a row is split there by the library, but not by the engine.
fn added_token(token: &AddedEntry, normalizer: &Value) -> Result<Option<AddedToken>, TokenizerError> {
    let has_space = token.content.contains([METASPACE, ' ']);
    if !token.special && !token.normalized && token.content.contains(METASPACE) {
        return Ok(None);
    }
    let has_prefix = steps(normalizer, "normalizers").iter().any(|step| kind(step) == "Prepend");
    if !token.special && token.normalized && (has_prefix || (has_space && !normalizer.is_null())) {
        return Err(token.normalized_error("the normalizer has replaced spaces"));
    }
    // In the normalized text a special token would match only at the start, after the prefix; chat templates write it anywhere.
    let added = token.to_added_token()?;
    Ok(Some(AddedToken { normalized: added.normalized && !(token.special && has_prefix), ..added }))
}

/// Whether a piece is a byte token.
fn is_byte(piece: &str) -> bool {
    let digits = piece.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F')))
}

/// Merge rules: left and right token, merge rank, merged token.
type Rules = HashMap<(u32, u32), (usize, u32)>;

/// The pieces that texts merge to.
struct MergeVocabulary<'w> {
    ids: &'w BTreeMap<String, u32>,
    tokens: &'w [String],
    /// By token: added tokens and byte tokens, which nothing merges to.
    never_merged: &'w [bool],
}

impl MergeVocabulary<'_> {
    /// Refuses a vocabulary without a piece for a space, and pieces that would equal another one once U+2581 is a space.
    fn check(&self) -> Result<(), TokenizerError> {
        if !self.ids.contains_key(METASPACE_TEXT) {
            return Err(TokenizerError::NoSpacePiece);
        }
        let has_space = |&id: &usize| !self.never_merged[id] && self.tokens[id].contains(' ');
        match (0..self.tokens.len()).find(has_space) {
            Some(token) => Err(VocabularyError::PlainSpace { token, text: self.tokens[token].clone() }.into()),
            None => Ok(()),
        }
    }

    /// The merge rules by id. Of a pair that occurs twice the later one counts, as in the library.
    fn rules(&self, merges: &[(&str, &str)]) -> Result<Rules, VocabularyError> {
        let mut rules = Rules::new();
        for (rank, (left, right)) in merges.iter().enumerate() {
            let missing = |piece: &str| VocabularyError::MergePieceMissing { rank, piece: piece.to_owned() };
            let id = |piece: &str| self.ids.get(piece).copied().ok_or_else(|| missing(piece));
            let merged = id(&format!("{left}{right}"))?;
            let (left, right) = (id(left)?, id(right)?);
            if [left, right, merged].iter().any(|&token| is_byte(&self.tokens[token as usize])) {
                return Err(VocabularyError::MergeOfByteToken(rank));
            }
            rules.insert((left, right), (rank, merged));
        }
        Ok(rules)
    }

    /// Scores of the pieces: descending in the order of the merge ranks that produce them.
    fn scores(&self, rules: &Rules, word_per_space: bool) -> Vec<f32> {
        let has_inner_space = |piece: &str| piece.chars().skip(1).any(|character| character == METASPACE);
        let is_never = |id: u32| self.never_merged[id as usize] || (word_per_space && has_inner_space(&self.tokens[id as usize]));
        let ranked = (0..self.tokens.len() as u32).filter(|&id| !is_never(id)).filter_map(|id| Some((self.last_rank(id, rules)?, id)));
        let by_rank: BTreeMap<usize, u32> = ranked.collect();
        let mut scores = vec![NEVER; self.tokens.len()];
        for (order, id) in by_rank.into_values().enumerate() {
            scores[id as usize] = -(order as f32);
        }
        scores
    }

    /// The rank of the merge that produces a piece from its characters; `None` if they merge to other tokens.
    fn last_rank(&self, piece: u32, rules: &Rules) -> Option<usize> {
        let mut buffer = [0; 4];
        let characters = self.tokens[piece as usize].chars().map(|character| self.ids.get(&*character.encode_utf8(&mut buffer)).copied());
        let mut word: Vec<u32> = characters.collect::<Option<_>>()?;
        loop {
            let merge = |(at, two): (usize, &[u32])| rules.get(&(two[0], two[1])).map(|&(rank, merged)| (rank, at, merged));
            let merges = word.windows(2).enumerate().filter_map(merge).filter(|&(.., merged)| !self.never_merged[merged as usize]);
            let (rank, at, merged) = merges.min()?;
            if word.len() == 2 {
                return (merged == piece).then_some(rank);
            }
            word[at] = merged;
            word.remove(at + 1);
        }
    }
}
