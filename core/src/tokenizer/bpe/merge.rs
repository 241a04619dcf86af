//! The merges of a word, in place and in exactly the order "highest score first, leftmost of equals".
//!
//! Searching the best pair anew after each merge would take quadratic time. A sweep does all merges of one score from left to right instead.
//! The order is the same: if a merge creates a pair that is as good or better, that pair is next, and it is adjacent to where the sweep is, so
//! the sweep merges it at once.

use super::model::Bpe;
use crate::tokenizer::vocabulary::Vocabulary;
use crate::tokenizer::windows::Merges;

/// Two tokens that do not merge. No token has this id: 2^32 pieces do not fit an image.
const NONE: u32 = u32::MAX;
/// Two tokens that have not been looked up.
const UNKNOWN: u32 = u32::MAX - 1;

/// Looks up the merges of a vocabulary.
#[derive(Clone, Copy)]
pub struct Merger<'e> {
    pub bpe: &'e Bpe<'e>,
    pub vocabulary: &'e Vocabulary<'e>,
}

impl Merger<'_> {
    /// The token that text becomes whose piece is `head` followed by `tail`: the lowest id.
    pub fn find(&self, head: &[u8], tail: &[u8]) -> Option<u32> {
        self.vocabulary.find(head, tail, &|token| self.bpe.is_text(self.vocabulary, token))
    }

    /// The token of a byte.
    pub fn byte_token(&self, byte: u8) -> u32 {
        self.vocabulary.first_byte.unwrap_or(0).saturating_add(byte.into())
    }

    /// The token that two adjacent tokens merge to, or [`NONE`]. Byte tokens merge with nothing: they represent characters that the vocabulary lacks.
    #[inline(never)]
    fn join(&self, left: Option<u32>, right: Option<u32>) -> u32 {
        let piece = |token: u32| match self.vocabulary.byte(token) {
            Some(_) => None,
            None => self.vocabulary.piece(token),
        };
        match (left.and_then(piece), right.and_then(piece)) {
            (Some(left), Some(right)) => self.find(left, right).filter(|&token| self.bpe.is_mergeable(token)).unwrap_or(NONE),
            _ => NONE,
        }
    }
}

impl Merges for Merger<'_> {
    /// Symbols are characters, and the bytes of those that the vocabulary lacks.
    fn width(&self, token: u32) -> usize {
        if self.vocabulary.byte(token).is_some() { 1 } else { self.vocabulary.characters(token) }
    }

    fn merge(&self, buffer: &mut [u32], count: usize) -> usize {
        let half = buffer.len() / 2;
        let mut has_memo = false;
        let mut count = count;
        let mut target = f32::INFINITY; // the first sweep only finds the best score
        while target > f32::NEG_INFINITY {
            let mut word = if count <= half {
                let (tokens, memo) = buffer.split_at_mut_checked(half).unwrap_or_default();
                if !has_memo {
                    memo.iter_mut().take(count).for_each(|pair| *pair = UNKNOWN);
                    has_memo = true;
                }
                Word { merger: self, tokens, memo, count }
            } else {
                Word { merger: self, tokens: &mut *buffer, memo: &mut [], count }
            };
            target = word.sweep(target);
            count = word.count;
        }
        count
    }
}

/// A word that is being merged.
struct Word<'w, 'e> {
    merger: &'w Merger<'e>,
    /// The tokens of the word: the first `count` of these.
    tokens: &'w mut [u32],
    /// Element i: the token that tokens i - 1 and i merge to. Empty if there is no memory for it; then every pair is looked up each time.
    memo: &'w mut [u32],
    count: usize,
}

impl Word<'_, '_> {
    /// Does the merges with score `target`, which must be at least the highest score, and all merges that these make possible and that are no
    /// worse. Returns the target of the next sweep: below `target`, and at least the highest score that is left.
    fn sweep(&mut self, target: f32) -> f32 {
        let mut next = f32::NEG_INFINITY;
        let mut pair = NONE; // the merge of the last token written and the next one to read
        let (mut read, mut written) = (0usize, 0usize);
        while let Some(mut token) = self.token(read) {
            read += 1;
            let mut left = pair;
            pair = self.known(read).unwrap_or_else(|| self.merger.join(Some(token), self.token(read)));
            // Pairs further left are below the target, pairs further right at most equal to it: the best pair is here or comes later.
            loop {
                let (left_score, right_score) = (self.merger.bpe.score(left), self.merger.bpe.score(pair));
                if left_score >= target && left_score >= right_score {
                    token = left;
                    written = written.saturating_sub(1);
                } else if right_score >= target {
                    token = pair;
                    read += 1;
                } else {
                    next = if left_score > next { left_score } else { next };
                    break;
                }
                left = self.merger.join(written.checked_sub(1).and_then(|last| self.token(last)), Some(token));
                pair = self.merger.join(Some(token), self.token(read));
            }
            self.write(written, token, left);
            written += 1;
        }
        self.count = written;
        next
    }

    fn token(&self, index: usize) -> Option<u32> {
        self.tokens.get(..self.count)?.get(index).copied()
    }

    /// The token that `index - 1` and `index`, as they were before this sweep, merge to, if the memo has it.
    fn known(&self, index: usize) -> Option<u32> {
        let pair = *self.memo.get(..self.count)?.get(index)?;
        (pair != UNKNOWN).then_some(pair)
    }

    fn write(&mut self, index: usize, token: u32, pair: u32) {
        let slot = self.tokens.get_mut(index);
        debug_assert!(slot.is_some(), "a sweep writes no more tokens than it read");
        if let Some(slot) = slot {
            *slot = token;
        }
        if let Some(slot) = self.memo.get_mut(index) {
            *slot = pair;
        }
    }
}
