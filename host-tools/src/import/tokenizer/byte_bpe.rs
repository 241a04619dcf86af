//! Byte-level BPE: pieces and pairs as published, spelled in letters that stand for bytes.

use std::collections::{BTreeMap, HashMap};

use super::model::{AddedToken, Merge, Piece, Scheme, SplitPattern, Tokenizer, check};
use super::token_list::TokenList;

/// A byte-level BPE as its file states it.
pub struct ByteBpe<'s> {
    /// Pieces by token id: in letters that stand for bytes, but the added tokens as they are.
    pub tokens: &'s [String],
    /// Pairs that merge, the first ones first.
    pub merges: Vec<(&'s str, &'s str)>,
    /// Tokens that are matched before all others.
    pub added: Vec<AddedToken>,
    /// Begin, end and unknown token.
    pub marks: [u32; 3],
    /// Whether the begin token is written before a text.
    pub add_bos: bool,
    /// Whether the end token is written behind a text.
    pub add_eos: bool,
    /// [`Scheme::ByteBpe`].
    pub scheme: Scheme,
}

/// A GGUF file's tokenizer of model `gpt2`: `merges` as "left right", `pre` the name of the pattern that cuts words.
///
/// # Errors
/// A sentence's end: what is wrong with it.
pub fn byte_bpe(list: TokenList, merges: &[String], pre: &str) -> Result<Tokenizer, String> {
    let (split, nfc, ignore_merges, begins) = match pre {
        "default" | "gpt-2" | "gpt2" => (SplitPattern::Gpt2, false, false, false),
        "smollm" => (SplitPattern::SmolLm, false, false, false),
        "llama-bpe" | "llama3" | "llama-v3" => (SplitPattern::Llama3, false, true, true),
        "qwen2" => (SplitPattern::Qwen2, true, false, false),
        other => return Err(format!("its words are cut as {other:?} has it; what can be packed is gpt-2, smollm, llama-bpe and qwen2")),
    };
    let merges = merges.iter().map(|merge| pair(merge)).collect::<Result<_, _>>()?;
    let mut added = list.added();
    let marks = list.marks()?;
    // An end token that the file lists as normal must not be made from text either.
    for mark in marks {
        if !added.iter().any(|added| added.token == mark) {
            added.push(AddedToken::new(mark, true));
        }
    }
    let source = ByteBpe {
        tokens: &list.tokens,
        merges,
        added,
        marks,
        add_bos: list.add_bos.unwrap_or(begins),
        add_eos: list.add_eos.unwrap_or(false),
        scheme: Scheme::ByteBpe { split, nfc, ignore_merges },
    };
    source.tokenizer()
}

/// The two halves of a merge.
pub(super) fn pair(merge: &str) -> Result<(&str, &str), String> {
    match merge.split_once(' ') {
        Some((left, right)) if !left.is_empty() && !right.is_empty() && !right.contains(' ') => Ok((left, right)),
        _ => Err(format!("its merge {merge:?} is not two pieces with a space between them")),
    }
}

impl ByteBpe<'_> {
    /// The vocabulary in bytes.
    ///
    /// # Errors
    /// A sentence's end: what is wrong with it.
    pub fn tokenizer(&self) -> Result<Tokenizer, String> {
        if matches!(self.scheme, Scheme::ByteBpe { nfc: true, .. })
            && let Some(late) = self.added.iter().find(|added| added.normalized)
        {
            let name = &self.tokens[late.token as usize];
            return Err(format!("its added token {name:?} is matched in text of form C, which cannot be packed: only before that"));
        }
        let ids: HashMap<&str, u32> = self.tokens.iter().enumerate().rev().map(|(id, token)| (token.as_str(), id as u32)).collect();
        let letters = Letters::new();
        let mut pieces: Vec<Piece> = Vec::new();
        for token in self.tokens {
            // What no byte string spells stands for no text.
            let bytes = letters.bytes(token).unwrap_or_default();
            pieces.push(Piece { bytes, score: 0.0 });
        }
        for added in &self.added {
            pieces[added.token as usize].bytes = self.tokens[added.token as usize].as_bytes().to_vec();
        }
        let [bos, eos, unk] = self.marks;
        check(Tokenizer {
            pieces,
            add_bos: self.add_bos,
            add_eos: self.add_eos,
            merges: self.merges(&ids)?,
            added: self.added.clone(),
            ..Tokenizer::new(Vec::new(), [bos, eos, unk], self.scheme)
        })
    }

    /// The pairs by id. Of a pair that is there twice the later counts, as in the `tokenizers` library.
    fn merges(&self, ids: &HashMap<&str, u32>) -> Result<Vec<Merge>, String> {
        let mut ranks: HashMap<(u32, u32), (usize, u32)> = HashMap::new();
        for (rank, (left, right)) in self.merges.iter().enumerate() {
            let id =
                |piece: &str| ids.get(piece).copied().ok_or_else(|| format!("its merge {rank} needs the piece {piece:?}, which it lacks"));
            let merged = id(&format!("{left}{right}"))?;
            let is_control = |added: &&AddedToken| added.token == merged && added.special;
            if self.added.iter().find(is_control).is_some() || self.marks.contains(&merged) {
                return Err(format!("its merge {rank} makes the control token {:?} of text", self.tokens[merged as usize]));
            }
            ranks.insert((id(left)?, id(right)?), (rank, merged));
        }
        let by_rank: BTreeMap<usize, Merge> =
            ranks.into_iter().map(|((left, right), (rank, merged))| (rank, Merge { left, right, merged })).collect();
        Ok(by_rank.into_values().collect())
    }
}

/// The letters that stand for bytes (Radford et al. 2019): visible ones for themselves, the others from U+0100 on.
struct Letters {
    bytes: HashMap<char, u8>,
}

impl Letters {
    fn new() -> Self {
        let mut next = 0x100..;
        let letters: [char; 256] = std::array::from_fn(|byte| match byte as u8 {
            b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => char::from(byte as u8),
            _ => next.next().and_then(char::from_u32).unwrap_or_default(),
        });
        let bytes = letters.iter().zip(0..=255).map(|(&letter, byte)| (letter, byte)).collect();
        Letters { bytes }
    }

    /// The bytes that letters stand for; `None` when one stands for none.
    fn bytes(&self, letters: &str) -> Option<Vec<u8>> {
        letters.chars().map(|letter| self.bytes.get(&letter).copied()).collect()
    }
}
