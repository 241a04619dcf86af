//! The merges of one word, in exactly the order "lowest rank first, leftmost of equals".

use super::ByteBpe;
use crate::tokenizer::windows::Merges;
use core::cell::Cell;

/// Stands for "these two do not merge".
pub(super) const NONE: u32 = u32::MAX;

impl Merges for ByteBpe<'_> {
    /// Symbols are bytes.
    fn width(&self, token: u32) -> usize {
        self.vocabulary.stored(token).map_or(0, <[u8]>::len)
    }

    fn merge(&self, room: &mut [u32], count: usize) -> usize {
        let (tokens, behind) = room.split_at_mut_checked(count).unwrap_or_default();
        let ranks = behind.get_mut(..count).unwrap_or_default();
        let mut word = Word { bpe: self, tokens, ranks };
        for index in 0..word.ranks.len() {
            word.note(index);
        }
        while word.step().is_some() {}
        word.tokens.len()
    }
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
