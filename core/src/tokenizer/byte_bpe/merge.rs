//! The merges of one word, in exactly the order "lowest rank first, leftmost of equals".
//!
//! Looking for the lowest rank after each merge is quadratic, so a long word is merged in windows. That changes nothing: tokens whose
//! neighbours stay apart when the two are merged alone (all inside one window are such) stay apart together, because the first merge
//! across a border would be the next in line for those two alone as well. So windows that overlap by one token, and agree on it, give
//! the whole word's tokens.

use super::ByteBpe;
use core::cell::Cell;

/// Stands for "these two do not merge".
pub(super) const NONE: u32 = u32::MAX;

/// Bytes of a first window: most words are shorter.
const WINDOW: usize = 128;

/// Writes the tokens of `word` to `out`; `None` when it is too short for a window's bytes, or the word's.
pub(super) fn encode(bpe: &ByteBpe<'_>, word: impl Iterator<Item = u8> + Clone, out: &mut [u32]) -> Option<usize> {
    let mut size = WINDOW;
    let mut rest = word.clone(); // the bytes from the last certain token on
    let mut certain = 0_usize; // tokens
    let mut before = 0_usize; // bytes before the last of them
    loop {
        let from = certain.saturating_sub(1);
        let last = if certain > 0 { out.get(from).copied() } else { None };
        let window = out.get_mut(from..)?;
        let mut bytes = rest.clone();
        let spelled = spell(bpe, bytes.by_ref().take(size), window)?;
        let at_end = bytes.next().is_none();
        let count = merge(bpe, window, spelled);
        let agrees = last.is_none() || window.first().copied() == last;
        if agrees && at_end {
            return Some(from.saturating_add(count));
        }
        if agrees {
            // What the window's end cut off may have merged with its last tokens.
            let kept = settled(bpe, window.get(..count)?, size / 4);
            if kept < 2 {
                size = size.saturating_mul(2);
                continue;
            }
            let passed = width(bpe, window.get(..kept.saturating_sub(1))?);
            rest.nth(passed.checked_sub(1)?);
            before = before.saturating_add(passed);
            certain = from.saturating_add(kept);
        } else {
            // A token that was thought certain is not. A longer window starts further back; one as long as the word ends this.
            *window.first_mut()? = last?;
            size = size.saturating_mul(2);
            let end = before;
            while certain > 1 && end.saturating_sub(before) < size {
                certain = certain.saturating_sub(1);
                let previous = certain.saturating_sub(1);
                before = before.saturating_sub(width(bpe, out.get(previous..certain)?));
            }
            certain = if certain > 1 { certain } else { 0 };
            before = if certain > 0 { before } else { 0 };
            rest = word.clone();
            if let Some(skipped) = before.checked_sub(1) {
                rest.nth(skipped);
            }
        }
    }
}

/// Writes each byte's token.
fn spell(bpe: &ByteBpe<'_>, bytes: impl Iterator<Item = u8>, out: &mut [u32]) -> Option<usize> {
    let mut count = 0_usize;
    for byte in bytes {
        *out.get_mut(count)? = bpe.byte(byte);
        count = count.saturating_add(1);
    }
    Some(count)
}

/// Bytes that tokens stand for.
fn width(bpe: &ByteBpe<'_>, tokens: &[u32]) -> usize {
    tokens.iter().map(|&token| bpe.vocabulary.stored(token).map_or(0, <[u8]>::len)).sum()
}

/// How many of a window's tokens end at least `margin` bytes before its end.
fn settled(bpe: &ByteBpe<'_>, tokens: &[u32], margin: usize) -> usize {
    let mut kept = tokens;
    let mut bytes = 0_usize;
    while bytes < margin
        && let Some((last, front)) = kept.split_last()
    {
        bytes = bytes.saturating_add(width(bpe, core::slice::from_ref(last)));
        kept = front;
    }
    kept.len()
}

/// Merges the first `count` tokens of `room` and returns how many are left, still at its start.
fn merge(bpe: &ByteBpe<'_>, room: &mut [u32], count: usize) -> usize {
    let (tokens, behind) = room.split_at_mut_checked(count).unwrap_or_default();
    let ranks = behind.get_mut(..count).unwrap_or_default();
    let mut word = Word { bpe, tokens, ranks };
    for index in 0..word.ranks.len() {
        word.note(index);
    }
    while word.step().is_some() {}
    word.tokens.len()
}

/// A word being merged.
struct Word<'w, 'a> {
    bpe: &'w ByteBpe<'a>,
    tokens: &'w mut [u32],
    /// Element i: the rank of tokens i and i + 1. Empty when there is no room for it; then it is looked up each time.
    ranks: &'w mut [u32],
}

impl Word<'_, '_> {
    /// Does the next merge, if there is one.
    fn step(&mut self) -> Option<()> {
        let ranked = !self.ranks.is_empty();
        let best = if ranked { first_least(self.ranks)? } else { self.look_for_least()? };
        let merged = self.bpe.pair(*self.tokens.get(best)?, *self.tokens.get(best.checked_add(1)?)?)?.merged;
        *self.tokens.get_mut(best)? = merged;
        remove(&mut self.tokens, best.checked_add(1)?)?;
        if ranked {
            remove(&mut self.ranks, best)?;
            self.note(best);
            if let Some(before) = best.checked_sub(1) {
                self.note(before);
            }
        }
        Some(())
    }

    /// Writes down the rank of the tokens `index` and `index + 1`.
    fn note(&mut self, index: usize) {
        let rank = self.rank(index);
        if let Some(slot) = self.ranks.get_mut(index) {
            *slot = rank;
        }
    }

    fn rank(&self, index: usize) -> u32 {
        let token = |index: usize| self.tokens.get(index).copied();
        let (Some(left), Some(right)) = (token(index), token(index.saturating_add(1))) else { return NONE };
        self.bpe.pair(left, right).map_or(NONE, |pair| pair.rank)
    }

    fn look_for_least(&self) -> Option<usize> {
        let ranks = (0..self.tokens.len()).map(|index| (self.rank(index), index));
        ranks.min().filter(|&(rank, _)| rank != NONE).map(|(_, index)| index)
    }
}

/// Where the least rank stands first.
fn first_least(ranks: &[u32]) -> Option<usize> {
    let least = *ranks.iter().min().filter(|&&rank| rank != NONE)?;
    ranks.iter().position(|&rank| rank == least)
}

/// Takes an element out of a slice, which becomes shorter.
fn remove(slice: &mut &mut [u32], index: usize) -> Option<()> {
    let cells = Cell::from_mut(slice.get_mut(index..)?).as_slice_of_cells();
    cells.iter().zip(cells.iter().skip(1)).for_each(|(to, from)| to.set(from.get()));
    let length = slice.len().checked_sub(1)?;
    *slice = core::mem::take(slice).get_mut(..length)?;
    Some(())
}
