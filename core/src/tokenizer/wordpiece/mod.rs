//! WordPiece: words split by the longest pieces of a vocabulary, behind the normaliser of BERT.
//!
//! The results are those of the `tokenizers` crate's BERT normaliser, pre-tokenizer and WordPiece model, whose versions of Unicode are kept
//! (see [`unicode`]).

mod normalize;
mod tables;
mod unicode;

use super::section::wrong;
use super::vocabulary::Vocabulary;
use crate::error::Error;
use normalize::Normalizer;
use unicode::is_punctuation;

/// What the pieces inside a word begin with.
pub(super) const INSIDE: &[u8] = b"##";

/// No vocabulary may allow longer words: they are gathered in a buffer. It is BERT's limit.
const MAX_WORD_CHARACTERS: usize = 100;
const MAX_WORD_BYTES: usize = 4 * MAX_WORD_CHARACTERS;

/// A vocabulary of words and parts of words.
#[derive(Clone, Copy, Debug)]
pub(super) struct WordPiece<'a> {
    pub vocabulary: Vocabulary<'a>,
    normalizer: Normalizer,
    /// Longer words are unknown.
    most_characters: usize,
}

impl<'a> WordPiece<'a> {
    /// Checks what the section states.
    pub fn new(vocabulary: Vocabulary<'a>, most_characters: u32, flags: u32) -> Result<Self, Error> {
        let normalizer = Normalizer::from_flags(flags).ok_or(wrong("it has a flag this engine does not know"))?;
        let most_characters = most_characters as usize;
        if !(1..=MAX_WORD_CHARACTERS).contains(&most_characters) {
            return Err(wrong("its longest word is not of 1 to 100 characters"));
        }
        vocabulary.check(|_| true)?;
        let id = |word: &[u8; 4]| u32::from_le_bytes(*word);
        let mut neighbours = vocabulary.sorted.iter().zip(vocabulary.sorted.iter().skip(1));
        if neighbours.any(|(one, next)| vocabulary.stored(id(one)) == vocabulary.stored(id(next))) {
            return Err(wrong("a piece is there twice"));
        }
        Ok(WordPiece { vocabulary, normalizer, most_characters })
    }

    /// Writes the tokens of `text` to `out`, as far as they fit, and returns how many they are.
    pub fn encode(&self, text: &str, out: &mut [u32]) -> usize {
        let mut words = Words { wordpiece: self, word: heapless::String::new(), characters: 0, out, count: 0 };
        self.normalizer.each_character(text, |character| words.character(character));
        words.end_word();
        words.count
    }

    /// The longest piece that `text` starts with, inside a word or at its start, and how many bytes of `text` it covers.
    fn longest(&self, text: &[u8], inside: bool) -> Option<(u32, usize)> {
        let head = if inside { INSIDE } else { b"" };
        let mut text = text;
        // Whatever starts `text` is not behind it in the order, and what lies between the two shares with `text` what it shares with the
        // last piece up to it. So each look-up finds the piece, or a shorter text that has the same one.
        while !text.is_empty() {
            let token = self.vocabulary.last_up_to(head, text)?;
            let piece = self.vocabulary.stored(token)?;
            let shared = piece.strip_prefix(head)?.iter().zip(text).take_while(|(a, b)| a == b).count();
            let whole = head.len().saturating_add(shared) == piece.len();
            if whole && shared > 0 && !self.vocabulary.is_control(token) {
                return Some((token, shared));
            }
            text = text.get(..shared.saturating_sub(usize::from(whole)))?;
        }
        None
    }
}

/// The words of a text on their way to tokens.
struct Words<'w, 'a> {
    wordpiece: &'w WordPiece<'a>,
    /// The first characters of the word so far, as many as the longest may have.
    word: heapless::String<MAX_WORD_BYTES>,
    /// All of them.
    characters: usize,
    out: &'w mut [u32],
    /// Tokens so far; those that fit are in `out`.
    count: usize,
}

impl Words<'_, '_> {
    fn character(&mut self, character: char) {
        if character.is_whitespace() {
            self.end_word();
        } else if is_punctuation(character) {
            self.end_word();
            self.push(character);
            self.end_word();
        } else {
            self.push(character);
        }
    }

    fn push(&mut self, character: char) {
        self.characters = self.characters.saturating_add(1);
        if self.characters <= self.wordpiece.most_characters {
            // Cannot fail: see MAX_WORD_BYTES.
            let _ = self.word.push(character);
        }
    }

    fn end_word(&mut self) {
        let before = self.count;
        let known = self.characters <= self.wordpiece.most_characters && self.split().is_some();
        if !known {
            self.count = before;
            self.token(self.wordpiece.vocabulary.unk);
        }
        self.word.clear();
        self.characters = 0;
    }

    /// Writes the word's pieces; `None` when there are none for its rest.
    fn split(&mut self) -> Option<()> {
        let mut at = 0;
        while at < self.word.len() {
            let (token, bytes) = self.wordpiece.longest(self.word.as_bytes().get(at..)?, at > 0)?;
            self.token(token);
            at = at.saturating_add(bytes);
        }
        Some(())
    }

    fn token(&mut self, token: u32) {
        if let Some(slot) = self.out.get_mut(self.count) {
            *slot = token;
        }
        self.count = self.count.saturating_add(1);
    }
}
