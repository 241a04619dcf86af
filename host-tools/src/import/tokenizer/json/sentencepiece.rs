//! SentencePiece-style BPE from `tokenizer.json`, as Llama 2's, Mistral's and Gemma's files have it.
//!
//! The library merges pairs by their rank, the engine pieces by their score. Both do the same: two neighbours stand side by side only if merging
//! their joined text by itself leads to these two, so of all the ways to split a piece just one ever comes about, and the rank of that pair is the
//! piece's. A piece whose way ends elsewhere, or whose last pair is no merge, is never made.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::file::File;
use super::parts::{AddedEntry, kind, steps};
use super::special_tokens::{PostProcessor, SpecialTokenSettings};
use crate::import::tokenizer::model::{self, METASPACE, NEVER, SentencePieceSpaces, Tokenizer};
use crate::import::tokenizer::sentencepiece::SentencePiece;

/// The tokenizer of a file whose BPE falls back on bytes.
pub(super) fn of_file(file: &File, stated: &SpecialTokenSettings) -> Result<Tokenizer, String> {
    if file.model.ignore_merges {
        return Err("its words are not merged where they are pieces, which cannot be packed with byte fallback".to_owned());
    }
    let Cut { spaces, before_each_space } = Cut::of_file(file)?;
    let tokens = file.tokens()?;
    let around = PostProcessor::of_file(file, &tokens, stated)?;
    let unknown = file.model.unk_token.as_ref().and_then(|unknown| file.model.vocab.get(unknown));
    let marks = around.marks(unknown.copied());
    let mut added = Vec::new();
    for token in &file.added_tokens {
        added.extend(to_match(token, &file.normalizer)?);
    }
    for mark in marks {
        if !added.iter().any(|added| added.token == mark) {
            added.push(model::AddedToken::new(mark, true));
        }
    }
    let mut apart: Vec<bool> = tokens.iter().map(|token| is_byte(token)).collect();
    added.iter().for_each(|added| apart[added.token as usize] = true);
    let words = Words { ids: &file.model.vocab, tokens: &tokens, apart: &apart };
    words.check()?;
    let scores = words.scores(&words.pairs(&file.merges()?)?, before_each_space);
    let source = SentencePiece { tokens: &tokens, scores: &scores, added, marks, add_bos: around.add_bos, add_eos: around.add_eos, spaces };
    source.tokenizer()
}

/// Where words begin.
struct Cut {
    spaces: SentencePieceSpaces,
    /// At each space; else a text is one word.
    before_each_space: bool,
}

impl Cut {
    /// By the two legacy forms (a normalizer with or without a prefix) and the newer one (a Metaspace pre-tokenizer).
    fn of_file(file: &File) -> Result<Self, String> {
        let normalizer = steps(&file.normalizer, "normalizers");
        let pre_tokenizer = steps(&file.pre_tokenizer, "pretokenizers");
        let replaces =
            |step: &Value| kind(step) == "Replace" && step["pattern"]["String"] == " " && step["content"].as_str() == Some(BLOCK_TEXT);
        let prepends = |step: &Value| kind(step) == "Prepend" && step["prepend"].as_str() == Some(BLOCK_TEXT);
        // Behind the normalizer no text has a space to be split at.
        let splits_nothing = |step: &Value| kind(step) == "Split" && step["pattern"]["String"] == " ";
        let is_metaspace = |step: &Value| kind(step) == "Metaspace" && step["replacement"].as_str() == Some(BLOCK_TEXT);
        match (&normalizer[..], &pre_tokenizer[..]) {
            ([prefix, blocks], rest) if prepends(prefix) && replaces(blocks) && rest.iter().all(splits_nothing) => Ok(Cut {
                spaces: SentencePieceSpaces { metaspace_is_space: true, ..SentencePieceSpaces::LLAMA2C },
                before_each_space: false,
            }),
            ([blocks], rest) if replaces(blocks) && rest.iter().all(splits_nothing) => Ok(Cut {
                spaces: SentencePieceSpaces { metaspace_is_space: true, ..SentencePieceSpaces::default() },
                before_each_space: false,
            }),
            ([], [step]) if is_metaspace(step) => {
                let scheme = match step["add_prefix_space"] == false {
                    true => "never",
                    false => step["prepend_scheme"].as_str().unwrap_or("always"),
                };
                let (add_dummy_prefix, start_of_text_only) = (scheme != "never", scheme == "first");
                let spaces = SentencePieceSpaces {
                    add_dummy_prefix,
                    start_of_text_only,
                    unless_present: add_dummy_prefix,
                    metaspace_is_space: true,
                };
                Ok(Cut { spaces, before_each_space: step["split"] != false })
            }
            _ => Err(
                "its normalizer and pre_tokenizer are not those of Llama, Mistral or Gemma, which write U+2581 for a space and do no more"
                    .to_owned(),
            ),
        }
    }
}

/// An added token as a packer wants it. A token of spaces spelled with U+2581 (Gemma's) is a piece like others, which spaces merge to: a text that
/// spells U+2581 itself, several times in a row, is cut there by the library and not here.
fn to_match(token: &AddedEntry, normalizer: &Value) -> Result<Option<model::AddedToken>, String> {
    let spaced = token.content.contains([METASPACE, ' ']);
    if !token.special && !token.normalized && token.content.contains(METASPACE) {
        return Ok(None);
    }
    let prefixed = steps(normalizer, "normalizers").iter().any(|step| kind(step) == "Prepend");
    if !token.special && token.normalized && (prefixed || (spaced && !normalizer.is_null())) {
        return Err(format!("its added token {:?} is matched with the spaces of its normalizer, which cannot be packed", token.content));
    }
    // A control token behind the prefix would be found at the start of a text only; a template spells it anywhere.
    let added = token.to_pack()?;
    Ok(Some(model::AddedToken { normalized: added.normalized && !(token.special && prefixed), ..added }))
}

const BLOCK_TEXT: &str = "\u{2581}";

/// Whether a piece stands for a byte.
fn is_byte(piece: &str) -> bool {
    let digits = piece.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F')))
}

/// What merges: two tokens, the rank, the token that they become.
type Pairs = HashMap<(u32, u32), (usize, u32)>;

/// The pieces that texts are merged to.
struct Words<'w> {
    ids: &'w BTreeMap<String, u32>,
    tokens: &'w [String],
    /// By token: added tokens and bytes, which nothing merges to.
    apart: &'w [bool],
}

impl Words<'_> {
    /// Refuses pieces that would be another's equal once U+2581 is a space.
    fn check(&self) -> Result<(), String> {
        if !self.ids.contains_key(BLOCK_TEXT) {
            return Err("it has no piece for a space, U+2581".to_owned());
        }
        let spaced = |&id: &usize| !self.apart[id] && self.tokens[id].contains(' ');
        match (0..self.tokens.len()).find(spaced) {
            Some(id) => Err(format!("its piece {id} holds a space, for which all texts have U+2581")),
            None => Ok(()),
        }
    }

    /// The merges by id. Of a pair that is there twice the later counts, as in the library.
    fn pairs(&self, merges: &[(&str, &str)]) -> Result<Pairs, String> {
        let mut pairs = Pairs::new();
        for (rank, (left, right)) in merges.iter().enumerate() {
            let id = |piece: &str| {
                self.ids.get(piece).copied().ok_or_else(|| format!("its merge {rank} needs the piece {piece:?}, which it lacks"))
            };
            let merged = id(&format!("{left}{right}"))?;
            let (left, right) = (id(left)?, id(right)?);
            if [left, right, merged].iter().any(|&token| is_byte(&self.tokens[token as usize])) {
                return Err(format!("its merge {rank} merges a byte token, or to one, which cannot be packed"));
            }
            pairs.insert((left, right), (rank, merged));
        }
        Ok(pairs)
    }

    /// The pieces' scores: the order of the ranks by which they come about.
    fn scores(&self, pairs: &Pairs, before_each_space: bool) -> Vec<f32> {
        let inside = |piece: &str| piece.chars().skip(1).any(|character| character == METASPACE);
        let is_never = |id: u32| self.apart[id as usize] || (before_each_space && inside(&self.tokens[id as usize]));
        let ranked = (0..self.tokens.len() as u32).filter(|&id| !is_never(id)).filter_map(|id| Some((self.last_rank(id, pairs)?, id)));
        let by_rank: BTreeMap<usize, u32> = ranked.collect();
        let mut scores = vec![NEVER; self.tokens.len()];
        for (order, id) in by_rank.into_values().enumerate() {
            scores[id as usize] = -(order as f32);
        }
        scores
    }

    /// The rank of the merge that makes a piece of its characters; `None` when they do not come to that.
    fn last_rank(&self, piece: u32, pairs: &Pairs) -> Option<usize> {
        let mut buffer = [0; 4];
        let characters = self.tokens[piece as usize].chars().map(|character| self.ids.get(&*character.encode_utf8(&mut buffer)).copied());
        let mut word: Vec<u32> = characters.collect::<Option<_>>()?;
        loop {
            let merge = |(at, two): (usize, &[u32])| pairs.get(&(two[0], two[1])).map(|&(rank, merged)| (rank, at, merged));
            let merges = word.windows(2).enumerate().filter_map(merge).filter(|&(.., merged)| !self.apart[merged as usize]);
            let (rank, at, merged) = merges.min()?;
            if word.len() == 2 {
                return (merged == piece).then_some(rank);
            }
            word[at] = merged;
            word.remove(at + 1);
        }
    }
}
