//! The section of byte-level BPE.

use super::pre_tokenizer::Pattern;
use crate::error::Error;
use crate::tokenizer::flags::{MAX_PIECE_BYTES, byte_bpe as flags};
use crate::tokenizer::nfc;
use crate::tokenizer::reader::{Le32, Le32Slice, Reader, invalid};
use crate::tokenizer::rules::{Spacing, TextRules};
use crate::tokenizer::vocabulary::Vocabulary;

/// The merges, the tokens of the bytes, and the pre-tokenizer.
#[derive(Clone, Copy, Debug)]
pub struct ByteBpe<'a> {
    /// The token of each byte, [`flags::ABSENT`] for one that the vocabulary lacks: (256).
    bytes: Le32Slice<'a>,
    /// Start in `pairs` of the merges of each left token: (vocab + 1).
    starts: Le32Slice<'a>,
    /// Right token, merge rank and merged token, in the order of (left, right).
    pairs: &'a [[Le32; 3]],
    pub pattern: Pattern,
    /// A word that is a piece becomes that piece without merging.
    pub ignore_merges: bool,
    /// Texts are normalized to form C, after added tokens are matched.
    pub nfc: bool,
}

/// The merge of two tokens.
#[derive(Clone, Copy, Debug)]
pub struct Merge {
    pub rank: u32,
    pub merged: u32,
}

/// The rank of two tokens that do not merge.
pub const NO_RANK: u32 = u32::MAX;

impl<'a> ByteBpe<'a> {
    /// Reads the tables of this kind. The pieces are the rest of the section.
    pub fn read(reader: &mut Reader<'a>, vocab: usize, pattern: u32, flags: u32) -> Result<Self, Error> {
        if flags & !flags::ALL != 0 {
            return Err(invalid("the section has a flag that this engine does not support"));
        }
        let pattern = Pattern::from_number(pattern).ok_or(invalid("the pre-tokenizer's pattern is not one that this engine supports"))?;
        let bytes = reader.array(Some(256))?;
        let starts = reader.array(vocab.checked_add(1))?;
        let count = starts.last().map_or(0, |count| u32::from_le_bytes(*count) as usize);
        let pairs = reader.array(count.checked_mul(3))?.as_chunks::<3>().0;
        let has = |flag| flags & flag != 0;
        Ok(ByteBpe { bytes, starts, pairs, pattern, ignore_merges: has(flags::IGNORE_MERGES), nfc: has(flags::NFC) })
    }

    /// Checks the section.
    pub fn check(&self, vocabulary: &Vocabulary<'_>, flags: u32) -> Result<TextRules, Error> {
        vocabulary.check(false)?;
        if self.nfc && vocabulary.has_normalized() {
            return Err(invalid("an added token is to be matched in text of form C, which this engine does not support"));
        }
        self.check_pieces(vocabulary)?;
        self.check_pairs(vocabulary)?;
        Ok(TextRules {
            add_bos: flags & flags::ADD_BOS != 0,
            add_eos: flags & flags::ADD_EOS != 0,
            spacing: Spacing::Verbatim,
            growth: if self.nfc { nfc::GROWTH } else { 1 },
        })
    }

    /// The token of a byte, if the vocabulary has one. Bytes without a token are dropped, as the `tokenizers` crate does.
    pub fn byte(&self, byte: u8) -> Option<u32> {
        let token = u32::from_le_bytes(*self.bytes.get(usize::from(byte))?);
        (token != flags::ABSENT).then_some(token)
    }

    /// The merge of two tokens, if there is one.
    #[inline(never)]
    pub fn merge(&self, left: u32, right: u32) -> Option<Merge> {
        let pairs = self.merges_of(left)?;
        let at = pairs.partition_point(|[second, ..]| u32::from_le_bytes(*second) < right);
        let [second, rank, merged] = pairs.get(at)?.map(u32::from_le_bytes);
        (second == right).then_some(Merge { rank, merged })
    }

    /// The merges whose left token is `left`.
    fn merges_of(&self, left: u32) -> Option<&'a [[Le32; 3]]> {
        let at = |index: usize| Some(u32::from_le_bytes(*self.starts.get(index)?) as usize);
        let left = left as usize;
        self.pairs.get(at(left)?..at(left.checked_add(1)?)?)
    }

    /// Refuses pieces whose text exceeds the buffer of a decoder, and byte tokens that are not the piece of their byte.
    fn check_pieces(&self, vocabulary: &Vocabulary<'_>) -> Result<(), Error> {
        for piece in (0..vocabulary.len()).filter_map(|token| vocabulary.piece(token)) {
            // A decoder replaces each broken sequence by the three bytes of U+FFFD.
            let broken = |broken: &[u8]| if broken.is_empty() { 0 } else { 3 };
            let text: usize = piece.utf8_chunks().map(|chunk| chunk.valid().len().saturating_add(broken(chunk.invalid()))).sum();
            if text > MAX_PIECE_BYTES {
                return Err(invalid("a piece has more than 255 bytes as text"));
            }
        }
        for byte in 0..=255 {
            let is_valid = |token| vocabulary.piece(token) == Some(&[byte]) && !vocabulary.is_special(token);
            if !self.byte(byte).is_none_or(is_valid) {
                return Err(invalid("the token of a byte is not that byte"));
            }
        }
        Ok(())
    }

    /// Refuses merges out of order, and those whose piece is not the two pieces joined: the tokens of a text decode to the same bytes.
    fn check_pairs(&self, vocabulary: &Vocabulary<'_>) -> Result<(), Error> {
        let mut previous = 0;
        for (index, start) in self.starts.iter().enumerate() {
            let start = u32::from_le_bytes(*start);
            if start < previous || (index == 0 && start != 0) {
                return Err(invalid("the starts of the merges do not ascend from 0"));
            }
            previous = start;
        }
        for left in 0..vocabulary.len() {
            let mut previous = None;
            for pair in self.merges_of(left).unwrap_or_default() {
                let [right, rank, merged] = pair.map(u32::from_le_bytes);
                if previous >= Some(right) || rank == NO_RANK {
                    return Err(invalid("the merges are not in order"));
                }
                previous = Some(right);
                let [left, right, piece] = [left, right, merged].map(|token| vocabulary.piece(token));
                let (Some(left), Some(right), Some(piece)) = (left, right, piece) else {
                    return Err(invalid("a merge has a token that is not in the vocabulary"));
                };
                if left.is_empty() || right.is_empty() || piece.strip_prefix(left) != Some(right) || vocabulary.is_special(merged) {
                    return Err(invalid("the piece of a merge is not its two pieces joined"));
                }
            }
        }
        Ok(())
    }
}
