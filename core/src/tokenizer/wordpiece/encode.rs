//! Text to tokens: the longest piece from the left (Wu et al. 2016, section 4.1).

use super::class::is_punctuation;
use super::normalize::Normalizer;
use crate::error::Error;
use crate::tokenizer::flags::wordpiece as flags;
use crate::tokenizer::reader::invalid;
use crate::tokenizer::rules::{CONTINUATION, Spacing, TextRules};
use crate::tokenizer::unicode::is_whitespace;
use crate::tokenizer::vocabulary::{Vocabulary, shared_prefix};

/// Upper bound on the words of any vocabulary, which are collected in a buffer: BERT's limit.
const MAX_WORD_CHARACTERS: usize = 100;
const MAX_WORD_BYTES: usize = 4 * MAX_WORD_CHARACTERS;

/// The normalizer and the longest word that is split.
#[derive(Clone, Copy, Debug)]
pub struct WordPiece {
    normalizer: Normalizer,
    /// A word of more characters is unknown.
    max_characters: usize,
}

impl WordPiece {
    /// Checks the section.
    pub fn new(vocabulary: &Vocabulary<'_>, max_characters: u32, flags: u32) -> Result<(Self, TextRules), Error> {
        if flags & !flags::ALL != 0 {
            return Err(invalid("the section has a flag that this engine does not support"));
        }
        let max_characters = max_characters as usize;
        if !(1..=MAX_WORD_CHARACTERS).contains(&max_characters) {
            return Err(invalid("the longest word does not have 1 to 100 characters"));
        }
        vocabulary.check(true)?;
        let next = vocabulary.sorted.iter().skip(1);
        if vocabulary.sorted.iter().zip(next).any(|(id, next)| vocabulary.piece_of(id) == vocabulary.piece_of(next)) {
            return Err(invalid("a piece occurs twice"));
        }
        let rules = TextRules { add_bos: true, add_eos: true, spacing: Spacing::Words, growth: 1 };
        Ok((WordPiece { normalizer: Normalizer::from_flags(flags), max_characters }, rules))
    }

    /// Writes the tokens of `text` to `out`, as many as fit, and returns the number of all.
    #[inline(never)]
    pub fn encode(&self, vocabulary: &Vocabulary<'_>, text: &str, out: &mut [u32]) -> usize {
        let mut words =
            Words { vocabulary, max_characters: self.max_characters, word: heapless::String::new(), characters: 0, out, count: 0 };
        self.normalizer.for_each(text, &mut |character| words.push(character));
        words.end_word();
        words.count
    }
}

/// Splits words into tokens.
struct Words<'w> {
    vocabulary: &'w Vocabulary<'w>,
    max_characters: usize,
    /// The first `max_characters` characters of the word so far.
    word: heapless::String<MAX_WORD_BYTES>,
    /// All characters of the word so far.
    characters: usize,
    out: &'w mut [u32],
    /// Tokens so far; those that fit are in `out`.
    count: usize,
}

impl Words<'_> {
    /// Takes the next character of the text.
    fn push(&mut self, character: char) {
        if is_whitespace(character) {
            return self.end_word();
        }
        let is_word = is_punctuation(character);
        if is_word {
            self.end_word();
        }
        self.characters = self.characters.saturating_add(1);
        if self.characters <= self.max_characters {
            let pushed = self.word.push(character);
            debug_assert!(pushed.is_ok(), "see MAX_WORD_BYTES");
        }
        if is_word {
            self.end_word();
        }
    }

    /// Writes the tokens of the word, or UNK.
    #[inline(never)]
    fn end_word(&mut self) {
        let before = self.count;
        let known = self.characters <= self.max_characters && self.split().is_some();
        if !known {
            self.count = before;
            self.put(self.vocabulary.unk);
        }
        self.word.clear();
        self.characters = 0;
    }

    /// Writes the pieces of the word; `None` if the vocabulary has no piece for the rest of it.
    fn split(&mut self) -> Option<()> {
        let mut at = 0;
        while at < self.word.len() {
            let (token, bytes) = longest(self.vocabulary, self.word.as_bytes().get(at..)?, at > 0)?;
            self.put(token);
            at = at.saturating_add(bytes);
        }
        Some(())
    }

    fn put(&mut self, token: u32) {
        if let Some(slot) = self.out.get_mut(self.count) {
            *slot = token;
        }
        self.count = self.count.saturating_add(1);
    }
}

/// The longest piece that `text` starts with, and the bytes of `text` that it covers. With `inside` the text continues a word.
fn longest(vocabulary: &Vocabulary<'_>, text: &[u8], inside: bool) -> Option<(u32, usize)> {
    let head = if inside { CONTINUATION } else { b"" };
    let mut text = text;
    // In the order of bytes every prefix of `text` is at most `text`, and every piece between a prefix and `text` starts with that prefix. So
    // the last piece up to `text` is the longest piece, or the bytes that it shares with `text` have the same longest piece.
    while !text.is_empty() {
        let token = vocabulary.last_up_to(head, text)?;
        let piece = vocabulary.piece(token)?;
        let shared = shared_prefix(piece.strip_prefix(head)?, text);
        let is_prefix = head.len().saturating_add(shared) == piece.len();
        if is_prefix && shared > 0 && !vocabulary.is_special(token) {
            return Some((token, shared));
        }
        text = text.get(..shared.saturating_sub(usize::from(is_prefix)))?;
    }
    None
}
