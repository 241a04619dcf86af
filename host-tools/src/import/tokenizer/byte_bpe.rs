//! Byte-level BPE (Radford et al. 2019): vocabulary and merge rules, written in letters that represent bytes.

use std::collections::{BTreeMap, HashMap};

use super::error::VocabularyError;
use super::model::{AddedToken, Merge, Piece, Scheme, SpecialIds, SplitPattern, Tokenizer};
use super::token_list::TokenList;

/// A byte-level BPE as its file states it.
pub struct ByteBpe<'s> {
    /// Pieces by token id: in letters that represent bytes, except added tokens, which are plain text.
    pub tokens: &'s [String],
    /// Merge rules in order of their rank.
    pub merges: Vec<(&'s str, &'s str)>,
    /// Added tokens.
    pub added: Vec<AddedToken>,
    /// BOS, EOS and UNK.
    pub special: SpecialIds,
    /// Whether BOS is written before a text.
    pub add_bos: bool,
    /// Whether EOS is written after a text.
    pub add_eos: bool,
    /// [`Scheme::ByteBpe`].
    pub scheme: Scheme,
}

/// The tokenizer of a GGUF file with `tokenizer.ggml.model` gpt2: `merges` as "left right", `pre` the name of the pre-tokenizer.
///
/// # Errors
/// [`VocabularyError`]: the file's lists contradict each other, or the pre-tokenizer is not supported.
pub fn byte_bpe(list: TokenList, merges: &[String], pre: &str) -> Result<Tokenizer, VocabularyError> {
    let (split, nfc, ignore_merges, add_bos) = match pre {
        "default" | "gpt-2" | "gpt2" => (SplitPattern::Gpt2, false, false, false),
        "smollm" => (SplitPattern::SmolLm, false, false, false),
        "llama-bpe" | "llama3" | "llama-v3" => (SplitPattern::Llama3, false, true, true),
        "qwen2" => (SplitPattern::Qwen2, true, false, false),
        other => return Err(VocabularyError::PreTokenizer(other.to_owned())),
    };
    let merges = merges.iter().map(|merge| merge_parts(merge)).collect::<Result<_, _>>()?;
    let mut added = list.added();
    let special = list.special_ids()?;
    // Text must not spell an EOS token that the file lists as normal.
    special.add_to(&mut added, |_| true);
    let source = ByteBpe {
        tokens: &list.tokens,
        merges,
        added,
        special,
        add_bos: list.add_bos.unwrap_or(add_bos),
        add_eos: list.add_eos.unwrap_or(false),
        scheme: Scheme::ByteBpe { split, nfc, ignore_merges },
    };
    source.tokenizer()
}

/// The left and right piece of a merge rule "left right".
pub(super) fn merge_parts(merge: &str) -> Result<(&str, &str), VocabularyError> {
    match merge.split_once(' ') {
        Some((left, right)) if !left.is_empty() && !right.is_empty() && !right.contains(' ') => Ok((left, right)),
        _ => Err(VocabularyError::MergeForm(merge.to_owned())),
    }
}

impl ByteBpe<'_> {
    /// The tokenizer, its pieces in bytes.
    ///
    /// # Errors
    /// [`VocabularyError`]: a merge rule or an added token that cannot be packed.
    pub fn tokenizer(&self) -> Result<Tokenizer, VocabularyError> {
        if matches!(self.scheme, Scheme::ByteBpe { nfc: true, .. })
            && let Some(added) = self.added.iter().find(|added| added.normalized)
        {
            return Err(VocabularyError::AddedTokenAfterNfc(self.tokens[added.token as usize].clone()));
        }
        let ids: HashMap<&str, u32> = self.tokens.iter().enumerate().rev().map(|(id, token)| (token.as_str(), id as u32)).collect();
        let letters = ByteLetters::new();
        let mut pieces: Vec<Piece> = Vec::new();
        for token in self.tokens {
            // A token with another letter represents no text.
            let bytes = letters.bytes(token).unwrap_or_default();
            pieces.push(Piece { bytes, score: 0.0 });
        }
        for added in &self.added {
            pieces[added.token as usize].bytes = self.tokens[added.token as usize].as_bytes().to_vec();
        }
        let tokenizer = Tokenizer {
            add_bos: self.add_bos,
            add_eos: self.add_eos,
            merges: self.merges(&ids)?,
            added: self.added.clone(),
            ..Tokenizer::new(pieces, self.special, self.scheme)
        };
        tokenizer.checked()
    }

    /// The merge rules by id. Of a pair that occurs twice the later one counts, as in the `tokenizers` library.
    fn merges(&self, ids: &HashMap<&str, u32>) -> Result<Vec<Merge>, VocabularyError> {
        let mut ranks: HashMap<(u32, u32), (usize, u32)> = HashMap::new();
        for (rank, (left, right)) in self.merges.iter().enumerate() {
            let missing = |piece: &str| VocabularyError::MergePieceMissing { rank, piece: piece.to_owned() };
            let id = |piece: &str| ids.get(piece).copied().ok_or_else(|| missing(piece));
            let merged = id(&format!("{left}{right}"))?;
            let is_special = self.added.iter().any(|added| added.token == merged && added.special);
            if is_special || self.special.all().contains(&merged) {
                let token = self.tokens[merged as usize].clone();
                return Err(VocabularyError::MergeMakesSpecialToken { rank, token });
            }
            ranks.insert((id(left)?, id(right)?), (rank, merged));
        }
        let by_rank: BTreeMap<usize, Merge> =
            ranks.into_iter().map(|((left, right), (rank, merged))| (rank, Merge { left, right, merged })).collect();
        Ok(by_rank.into_values().collect())
    }
}

/// The letters that represent bytes (Radford et al. 2019): printable characters represent themselves, the others start at U+0100.
struct ByteLetters {
    bytes: HashMap<char, u8>,
}

impl ByteLetters {
    fn new() -> Self {
        let mut next = 0x100..;
        let letters: [char; 256] = std::array::from_fn(|byte| match byte as u8 {
            b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => char::from(byte as u8),
            _ => next.next().and_then(char::from_u32).unwrap_or_default(),
        });
        let bytes = letters.iter().zip(0..=255).map(|(&letter, byte)| (letter, byte)).collect();
        ByteLetters { bytes }
    }

    /// The bytes that `letters` represent; `None` if one represents none.
    fn bytes(&self, letters: &str) -> Option<Vec<u8>> {
        letters.chars().map(|letter| self.bytes.get(&letter).copied()).collect()
    }
}
