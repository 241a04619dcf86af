//! Byte-level byte-pair encoding (GPT-2 and its heirs): words by one of a few patterns, each merged from single bytes by ranked pairs.
//!
//! The results are those of the `tokenizers` crate. Where the vocabulary wants it (Qwen's do), a text is brought to Unicode's form C first.

mod merge;
mod split;
mod tables;
mod unicode;

use super::added::Added;
use super::nfc::Characters;
use super::section::wrong;
use super::vocabulary::{Vocabulary, Words};
use super::windows;
use crate::error::Error;
use split::Split;

const FLAG_BEGIN: u32 = 1;
const FLAG_END: u32 = 2;
const FLAG_IGNORE_MERGES: u32 = 4;
const FLAG_NFC: u32 = 8;
const ALL_FLAGS: u32 = FLAG_BEGIN | FLAG_END | FLAG_IGNORE_MERGES | FLAG_NFC;

/// What a piece may show, so that a decoder's buffer suffices: broken characters are shown as three bytes.
const MAX_SHOWN_BYTES: usize = 255;

/// Stands for the token of a byte that the vocabulary lacks; such bytes are left out of a text, as the `tokenizers` crate does.
const ABSENT: u32 = u32::MAX;

/// A vocabulary of byte strings and the pairs that merge.
#[derive(Clone, Copy, Debug)]
pub(super) struct ByteBpe<'a> {
    pub vocabulary: Vocabulary<'a>,
    pub added: Added<'a>,
    tables: Tables<'a>,
    split: Split,
    /// The begin token stands before a text.
    pub add_bos: bool,
    /// The end token stands behind a text.
    pub add_eos: bool,
    /// A word that is a piece is not merged.
    ignore_merges: bool,
    /// Texts are brought to form C; added tokens are matched before that.
    pub nfc: bool,
}

/// The tables that no other kind has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tables<'a> {
    /// The token of each byte, [`ABSENT`] for one that the vocabulary lacks: (256).
    pub bytes: Words<'a>,
    /// Where the pairs with each left token start: (vocab + 1).
    pub starts: Words<'a>,
    /// Right token, rank, merged token, in the order of (left, right).
    pub pairs: &'a [[[u8; 4]; 3]],
}

/// What two tokens merge to.
#[derive(Clone, Copy, Debug)]
struct Pair {
    rank: u32,
    merged: u32,
}

impl<'a> ByteBpe<'a> {
    /// Checks what the section states.
    pub fn new(vocabulary: Vocabulary<'a>, added: Words<'a>, tables: Tables<'a>, pattern: u32, flags: u32) -> Result<Self, Error> {
        if flags & !ALL_FLAGS != 0 {
            return Err(wrong("it has a flag this engine does not know"));
        }
        let split = Split::from_number(pattern).ok_or(wrong("its pattern of words is not one this engine knows"))?;
        vocabulary.check(|_| false)?;
        let added = Added::new(added, &vocabulary)?;
        let has = |flag| flags & flag != 0;
        let (add_bos, add_eos, ignore_merges) = (has(FLAG_BEGIN), has(FLAG_END), has(FLAG_IGNORE_MERGES));
        let bpe = ByteBpe { vocabulary, added, tables, split, add_bos, add_eos, ignore_merges, nfc: has(FLAG_NFC) };
        if bpe.nfc && added.any_late() {
            return Err(wrong("an added token is matched late, in a text that is brought to form C"));
        }
        bpe.check_pieces()?;
        bpe.check_pairs()?;
        Ok(bpe)
    }

    /// Writes the tokens of `text` to `out` and returns how many they are.
    pub fn encode(&self, text: &str, out: &mut [u32], with_control: bool) -> Result<usize, Error> {
        let have = out.len();
        let full = Error::BufferTooSmall { need: have.saturating_add(1), have };
        self.added.encode_parts(&self.vocabulary, text, with_control, out, |_, text, room| {
            self.encode_text(Characters::new(text, self.nfc), room).ok_or(full)
        })
    }

    /// The tokens of a text without added tokens; `None` when `out` is too short.
    fn encode_text(&self, text: impl Iterator<Item = char> + Clone, out: &mut [u32]) -> Option<usize> {
        let mut rest = text;
        let mut count = 0;
        loop {
            let length = self.split.word(rest.clone());
            if length == 0 {
                return Some(count);
            }
            let word = rest.clone().take(length).flat_map(utf8);
            let tokens = self.encode_word(word, out.get_mut(count..)?)?;
            count = count.saturating_add(tokens);
            rest.nth(length.saturating_sub(1));
        }
    }

    fn encode_word(&self, word: impl Iterator<Item = u8> + Clone, out: &mut [u32]) -> Option<usize> {
        if self.ignore_merges
            && let Some(token) = self.whole_word(word.clone())
        {
            *out.first_mut()? = token;
            return Some(1);
        }
        windows::encode(self, word.map(|byte| self.byte(byte)).filter(|&token| token != ABSENT), out)
    }

    /// The token that a word is as a whole.
    fn whole_word(&self, word: impl Iterator<Item = u8> + Clone) -> Option<u32> {
        let sorted = self.vocabulary.sorted;
        let order = |id: &[u8; 4]| {
            let piece = self.vocabulary.stored(u32::from_le_bytes(*id)).unwrap_or_default();
            piece.iter().copied().cmp(word.clone())
        };
        let at = sorted.partition_point(|id| order(id).is_lt());
        let equal = sorted.get(at..)?.iter().take_while(|id| order(id).is_eq()).map(|id| u32::from_le_bytes(*id));
        equal.into_iter().find(|&token| !self.is_apart(token))
    }

    /// Whether `token` is no part of words: text cannot merge to it.
    fn is_apart(&self, token: u32) -> bool {
        self.vocabulary.is_control(token) || self.added.is_control(token, &self.vocabulary)
    }

    /// The token of a byte.
    fn byte(&self, byte: u8) -> u32 {
        self.tables.bytes.get(usize::from(byte)).map_or(0, |token| u32::from_le_bytes(*token))
    }

    /// What two tokens merge to, if they do.
    fn pair(&self, left: u32, right: u32) -> Option<Pair> {
        let pairs = self.pairs_of(left)?;
        let at = pairs.partition_point(|[second, ..]| u32::from_le_bytes(*second) < right);
        let [second, rank, merged] = pairs.get(at)?.map(u32::from_le_bytes);
        (second == right).then_some(Pair { rank, merged })
    }

    /// The pairs whose left token is `left`.
    fn pairs_of(&self, left: u32) -> Option<&'a [[[u8; 4]; 3]]> {
        let at = |index: usize| Some(u32::from_le_bytes(*self.tables.starts.get(index)?) as usize);
        let left = left as usize;
        self.tables.pairs.get(at(left)?..at(left.checked_add(1)?)?)
    }

    /// Refuses pieces that a decoder cannot show, and byte tokens that are not what they stand for.
    fn check_pieces(&self) -> Result<(), Error> {
        for piece in (0..self.vocabulary.len()).filter_map(|token| self.vocabulary.stored(token)) {
            let broken = |broken: &[u8]| if broken.is_empty() { 0 } else { 3 };
            let shown: usize = piece.utf8_chunks().map(|chunk| chunk.valid().len().saturating_add(broken(chunk.invalid()))).sum();
            if shown > MAX_SHOWN_BYTES {
                return Err(wrong("a piece shows as more than 255 bytes"));
            }
        }
        for byte in 0..=255 {
            let token = self.byte(byte);
            if token == ABSENT {
                continue;
            }
            if self.vocabulary.stored(token) != Some(&[byte]) || self.is_apart(token) {
                return Err(wrong("a byte's token is not that byte"));
            }
        }
        Ok(())
    }

    /// Refuses pairs out of order, and those whose merged piece is not the two pieces: what is encoded decodes to the same bytes.
    fn check_pairs(&self) -> Result<(), Error> {
        let starts = self.tables.starts.iter().map(|start| u32::from_le_bytes(*start));
        if !starts.clone().is_sorted()
            || starts.clone().next() != Some(0)
            || starts.clone().next_back() != u32::try_from(self.tables.pairs.len()).ok()
        {
            return Err(wrong("the starts of its pairs do not ascend from 0 to their number"));
        }
        for left in 0..self.vocabulary.len() {
            let mut before = None;
            for pair in self.pairs_of(left).unwrap_or_default() {
                let [right, rank, merged] = pair.map(u32::from_le_bytes);
                if before >= Some(right) || rank == merge::NONE {
                    return Err(wrong("its pairs are not in order"));
                }
                before = Some(right);
                let [left, right, merged_piece] = [left, right, merged].map(|token| self.vocabulary.stored(token));
                let (Some(left), Some(right), Some(piece)) = (left, right, merged_piece) else {
                    return Err(wrong("a pair is not in the vocabulary"));
                };
                if left.is_empty() || right.is_empty() || piece.strip_prefix(left) != Some(right) || self.is_apart(merged) {
                    return Err(wrong("a pair does not merge to its two pieces"));
                }
            }
        }
        Ok(())
    }
}

/// The bytes of a character.
fn utf8(character: char) -> impl Iterator<Item = u8> + Clone {
    let mut bytes = [0; 4];
    let length = character.encode_utf8(&mut bytes).len();
    bytes.into_iter().take(length)
}
