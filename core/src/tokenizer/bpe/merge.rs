//! The merges of byte-pair encoding, in place and in exactly the order "best score first, leftmost of equals".
//!
//! Looking for the best pair anew after each merge would be quadratic. A sweep does all merges of one score from left to right instead. The
//! order is the same: when a merge makes a pair that is as good or better, that pair is next in line, and it touches the place where
//! the sweep stands, so the sweep takes it at once.

use super::Bpe;
use crate::tokenizer::windows::Merges;

/// Stands for "these two do not join". No token has this id: 2^32 pieces do not fit an image.
const NONE: u32 = u32::MAX;
/// Stands for "not looked up yet".
const UNKNOWN: u32 = u32::MAX - 1;

impl Merges for Bpe<'_> {
    /// Symbols are characters, and the bytes of those that the vocabulary lacks.
    fn width(&self, token: u32) -> usize {
        let characters = |piece| core::str::from_utf8(piece).map_or(1, |piece| piece.chars().count());
        if self.byte(token).is_some() { 1 } else { self.vocabulary.stored(token).map_or(1, characters) }
    }

    fn merge(&self, room: &mut [u32], count: usize) -> usize {
        let half = room.len() / 2;
        let mut has_memo = false;
        let mut count = count;
        let mut target = f32::INFINITY; // the first sweep only finds the best score
        while target > f32::NEG_INFINITY {
            let mut word = if count <= half {
                let (tokens, memo) = room.split_at_mut_checked(half).unwrap_or_default();
                if !has_memo {
                    memo.iter_mut().take(count).for_each(|pair| *pair = UNKNOWN);
                    has_memo = true;
                }
                Word { tokenizer: self, tokens, memo, count }
            } else {
                Word { tokenizer: self, tokens: &mut *room, memo: &mut [], count }
            };
            target = word.sweep(target);
            count = word.count;
        }
        count
    }
}

/// A word being merged.
struct Word<'w, 'a> {
    tokenizer: &'w Bpe<'a>,
    /// The word's tokens: the first `count` of these.
    tokens: &'w mut [u32],
    /// Element i: what tokens i - 1 and i join to. Empty when there is no room for it; then everything is looked up each time.
    memo: &'w mut [u32],
    count: usize,
}

impl Word<'_, '_> {
    /// Does the merges with score `target`, which must be no less than the best one, and all that follow from them and are no worse.
    /// Returns a bound for the next sweep: below `target`, and no less than the best score left.
    fn sweep(&mut self, target: f32) -> f32 {
        let mut next = f32::NEG_INFINITY;
        let mut pair = NONE; // what the last token written and the one to be read join to
        let (mut read, mut written) = (0usize, 0usize);
        while let Some(mut token) = self.token(read) {
            read += 1;
            let mut left = pair;
            pair = self.known(read).unwrap_or_else(|| self.join(Some(token), self.token(read)));
            // Pairs further left are below the target, those further right no better than it: the best one is here, or it comes later.
            loop {
                let (left_score, right_score) = (self.tokenizer.score(left), self.tokenizer.score(pair));
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
                left = self.join(written.checked_sub(1).and_then(|last| self.token(last)), Some(token));
                pair = self.join(Some(token), self.token(read));
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

    /// What the memo knows of the tokens `index - 1` and `index`, as they were before this sweep.
    fn known(&self, index: usize) -> Option<u32> {
        let pair = *self.memo.get(..self.count)?.get(index)?;
        (pair != UNKNOWN).then_some(pair)
    }

    fn write(&mut self, index: usize, token: u32, pair: u32) {
        if let Some(slot) = self.tokens.get_mut(index) {
            *slot = token;
        }
        if let Some(slot) = self.memo.get_mut(index) {
            *slot = pair;
        }
    }

    /// The token that two neighbours join to. Byte tokens join to nothing: they stand for what the vocabulary lacks.
    fn join(&self, left: Option<u32>, right: Option<u32>) -> u32 {
        let piece = |token: u32| match self.tokenizer.byte(token) {
            Some(_) => None,
            None => self.tokenizer.vocabulary.stored(token),
        };
        match (left.and_then(piece), right.and_then(piece)) {
            (Some(left), Some(right)) => self.tokenizer.merged(left, right).unwrap_or(NONE),
            _ => NONE,
        }
    }
}
