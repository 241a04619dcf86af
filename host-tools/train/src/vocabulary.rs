//! The tokenizer: trained with the crate `tokenizers`, stored and applied in the format of llama2.c.
//!
//! A piece has a space at its start or nowhere, so no piece spans two words and a text can be encoded word by word.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::tokenizer::Trainer as _;

use crate::error::TrainError;

/// BOS: the token between texts.
pub const BOS: u32 = 1;

/// Special tokens and the 256 byte tokens precede the pieces.
const PIECES_START: usize = 259;

/// A vocabulary with scores, as in llama2.c's `tokenizer.bin`.
#[derive(Clone, Debug, PartialEq)]
pub struct Vocabulary {
    tokens: Vec<(String, f32)>,
    ids: HashMap<String, u32>,
    /// Whether every space is the first character of its piece.
    by_word: bool,
}

impl Vocabulary {
    /// Trains a byte-pair encoding (BPE) of exactly `size` tokens.
    ///
    /// # Errors
    /// [`TrainError::Tokenizer`] if the texts have too few distinct words.
    pub fn train(texts: impl Iterator<Item = String>, size: usize) -> Result<Self, TrainError> {
        let bpe = train_bpe(texts, size)?;
        let mut pieces: Vec<(String, u32)> = bpe.get_vocab().into_iter().collect();
        pieces.sort_by_key(|(_, id)| *id);
        let mut tokens = vec![("<unk>".to_owned(), 0.0), ("\n<s>\n".to_owned(), 0.0), ("\n</s>\n".to_owned(), 0.0)];
        tokens.extend((0..=255u8).map(|byte| (format!("<0x{byte:02X}>"), 0.0)));
        let characters = pieces.iter().filter(|(piece, _)| piece.chars().count() == 1).count();
        // Merges follow the characters by merge rank; the first has the best score.
        tokens.extend(pieces.into_iter().enumerate().map(|(rank, (piece, _))| (piece, -(rank.saturating_sub(characters) as f32))));
        if tokens.len() != size {
            let have = tokens.len();
            return Err(TrainError::Tokenizer(format!("the corpus yields {have} tokens, the vocabulary has {size}")));
        }
        Ok(Self::new(tokens))
    }

    fn new(tokens: Vec<(String, f32)>) -> Self {
        let ids = (0..).zip(&tokens).map(|(id, (piece, _))| (piece.clone(), id)).collect();
        let by_word = tokens.iter().skip(PIECES_START).all(|(piece, _)| !piece.chars().skip(1).any(|c| c == ' '));
        Self { tokens, ids, by_word }
    }

    /// Number of tokens.
    pub fn size(&self) -> usize {
        self.tokens.len()
    }

    /// Encodes a text as llama2.c does, without BOS: a space is prepended to a non-empty text, characters without a piece become byte tokens (byte
    /// fallback), then the neighbours whose merged piece has the best score are merged until none remain.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        if text.is_empty() {
            return Vec::new();
        }
        let text = format!(" {text}");
        if !self.by_word {
            return self.encode_chunk(&text);
        }
        words(&text).flat_map(|word| self.encode_chunk(word)).collect()
    }

    fn encode_chunk(&self, chunk: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(chunk.len());
        for c in chunk.chars() {
            let mut buffer = [0; 4];
            let piece: &str = c.encode_utf8(&mut buffer);
            match self.ids.get(piece) {
                Some(&id) => ids.push(id),
                None => ids.extend(piece.bytes().map(|byte| u32::from(byte) + 3)),
            }
        }
        while let Some((at, id)) = self.best_merge(&ids) {
            ids[at] = id;
            ids.remove(at + 1);
        }
        ids
    }

    /// Index and token of the merge with the best score, the first of equal ones.
    fn best_merge(&self, ids: &[u32]) -> Option<(usize, u32)> {
        let mut joined = String::new();
        let mut best: Option<(usize, u32, f32)> = None;
        for (at, pair) in ids.windows(2).enumerate() {
            joined.clear();
            joined.push_str(&self.tokens[pair[0] as usize].0);
            joined.push_str(&self.tokens[pair[1] as usize].0);
            if let Some(&id) = self.ids.get(&joined) {
                let score = self.tokens[id as usize].1;
                if best.is_none_or(|(_, _, best)| score > best) {
                    best = Some((at, id, score));
                }
            }
        }
        best.map(|(at, id, _)| (at, id))
    }

    /// The text of tokens, without the space that encoding prepends. Special tokens are skipped, and invalid UTF-8 is replaced.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut bytes = Vec::new();
        for &id in ids {
            match (id as usize, self.tokens.get(id as usize)) {
                (0..3, _) | (_, None) => {}
                (3..PIECES_START, _) => bytes.push((id - 3) as u8),
                (_, Some((piece, _))) => bytes.extend(piece.bytes()),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        text.strip_prefix(' ').unwrap_or(&text).to_owned()
    }

    /// The bytes of a `tokenizer.bin`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let longest = self.tokens.iter().map(|(piece, _)| piece.len()).max().unwrap_or(0);
        let mut bytes = (longest as u32).to_le_bytes().to_vec();
        for (piece, score) in &self.tokens {
            bytes.extend(score.to_le_bytes());
            bytes.extend((piece.len() as u32).to_le_bytes());
            bytes.extend(piece.as_bytes());
        }
        bytes
    }

    /// Parses a `tokenizer.bin`.
    ///
    /// # Errors
    /// [`TrainError::Format`] if it is truncated, or a piece is empty or not UTF-8.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TrainError> {
        let format = |what: &str| TrainError::Format(format!("tokenizer: {what}"));
        let mut rest = bytes.get(4..).ok_or_else(|| format("it has no header"))?;
        let mut tokens = Vec::new();
        while !rest.is_empty() {
            let (score, after) = rest.split_first_chunk().ok_or_else(|| format("it ends early"))?;
            let (length, after) = after.split_first_chunk().ok_or_else(|| format("it ends early"))?;
            let length = u32::from_le_bytes(*length) as usize;
            let (piece, after) = after.split_at_checked(length).ok_or_else(|| format("it ends early"))?;
            let piece = std::str::from_utf8(piece).map_err(|_| format("a piece is no UTF-8"))?;
            if piece.is_empty() {
                return Err(format("a piece is empty"));
            }
            tokens.push((piece.to_owned(), f32::from_le_bytes(*score)));
            rest = after;
        }
        if tokens.len() < PIECES_START {
            return Err(format("it has fewer tokens than there are control and byte tokens"));
        }
        Ok(Self::new(tokens))
    }

    /// Reads a `tokenizer.bin` from a file.
    ///
    /// # Errors
    /// [`TrainError::Io`] or [`TrainError::Format`].
    pub fn load(path: &Path) -> Result<Self, TrainError> {
        Self::from_bytes(&std::fs::read(path).map_err(TrainError::io(path))?)
    }
}

/// Trains the merges of `size - 259` pieces word by word.
fn train_bpe(texts: impl Iterator<Item = String>, size: usize) -> Result<BPE, TrainError> {
    let failed = |e: tokenizers::Error| TrainError::Tokenizer(e.to_string());
    let texts: Vec<String> = texts.map(|text| format!(" {text}")).collect();
    let alphabet: BTreeSet<char> = texts.iter().flat_map(|text| text.chars()).collect();
    let pieces = size.saturating_sub(PIECES_START);
    if alphabet.len() > pieces {
        let have = alphabet.len();
        return Err(TrainError::Tokenizer(format!("the corpus has {have} distinct characters, the vocabulary holds {pieces}")));
    }
    let mut trainer = BpeTrainer::builder().vocab_size(pieces).show_progress(false).build();
    trainer.feed(texts.iter(), |text| Ok(words(text).map(str::to_owned).collect())).map_err(failed)?;
    let mut bpe = BPE::default();
    trainer.train(&mut bpe).map_err(failed)?;
    Ok(bpe)
}

/// Splits a text before each space.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = rest[first.len_utf8()..].find(' ').map_or(rest.len(), |at| at + first.len_utf8());
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word)
    })
}

#[cfg(test)]
mod tests {
    use tokenizers::Model as _;

    use super::*;

    #[test]
    fn encoding_equals_the_trained_tokenizer() {
        let texts = || attoformer_stories::corpus(1, 2_000);
        let ours = Vocabulary::train(texts(), 512).unwrap();
        let theirs = train_bpe(texts(), 512).unwrap();
        for story in attoformer_stories::corpus(2, 500) {
            let mut expected = Vec::new();
            for word in words(&format!(" {story}")) {
                let tokens = theirs.tokenize(word).unwrap();
                expected.extend(tokens.iter().map(|token| token.id + PIECES_START as u32));
            }
            let got = ours.encode(&story);
            assert_eq!(got, expected, "{story}");
            assert_eq!(ours.encode_chunk(&format!(" {story}")), expected, "not split into words");
            assert_eq!(ours.decode(&got), story);
        }
    }

    #[test]
    fn strange_characters_become_bytes() {
        let vocabulary = Vocabulary::train(attoformer_stories::corpus(1, 500), 400).unwrap();
        let text = "Tom\u{2603} \n\t  Z";
        let ids = vocabulary.encode(text);
        assert!(ids.contains(&(3 + 0xe2)));
        assert_eq!(vocabulary.decode(&ids), text);
        assert!(vocabulary.encode("").is_empty());
    }

    #[test]
    fn pieces_keep_their_space_in_front() {
        let vocabulary = Vocabulary::train(attoformer_stories::corpus(1, 500), 400).unwrap();
        assert_eq!(vocabulary.size(), 400);
        assert!(vocabulary.by_word);
        assert!(vocabulary.tokens.iter().any(|(piece, _)| piece == " the"));
    }

    #[test]
    fn bytes_read_back_and_damaged_ones_do_not() {
        let vocabulary = Vocabulary::train(attoformer_stories::corpus(1, 500), 400).unwrap();
        let bytes = vocabulary.to_bytes();
        assert_eq!(Vocabulary::from_bytes(&bytes).unwrap(), vocabulary);
        for end in 0..bytes.len() - 1 {
            if let Ok(short) = Vocabulary::from_bytes(&bytes[..end]) {
                assert!(short.size() < vocabulary.size());
            }
        }
        assert!(Vocabulary::from_bytes(&[0xff; 64]).is_err());
    }

    #[test]
    fn a_corpus_can_be_too_poor() {
        let error = Vocabulary::train(std::iter::once("ab ab".to_owned()), 300).unwrap_err();
        assert!(error.to_string().contains("tokens where the vocabulary has 300"), "{error}");
    }
}
