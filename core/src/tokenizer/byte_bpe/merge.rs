//! The merges of a word, in exactly the order "lowest rank first, leftmost of equals".

use super::model::{ByteBpe, NO_RANK};
use crate::tokenizer::vocabulary::Vocabulary;
use crate::tokenizer::windows::Merges;
use core::cell::Cell;

/// Merges words by the ranks of a model.
#[derive(Clone, Copy)]
pub struct Merger<'e> {
    pub bpe: &'e ByteBpe<'e>,
    pub vocabulary: &'e Vocabulary<'e>,
}

impl Merges for Merger<'_> {
    /// Symbols are bytes.
    fn width(&self, token: u32) -> usize {
        self.vocabulary.piece(token).map_or(0, <[u8]>::len)
    }

    fn merge(&self, buffer: &mut [u32], count: usize) -> usize {
        let (tokens, scratch) = buffer.split_at_mut_checked(count).unwrap_or_default();
        debug_assert_eq!(tokens.len(), count, "a buffer holds the tokens to merge");
        let ranks = scratch.get_mut(..count).unwrap_or_default();
        let mut word = Word { bpe: self.bpe, tokens, ranks };
        for index in 0..word.ranks.len() {
            word.update_rank(index);
        }
        while word.step().is_some() {}
        word.tokens.len()
    }
}

/// A word that is being merged.
struct Word<'w> {
    bpe: &'w ByteBpe<'w>,
    tokens: &'w mut [u32],
    /// Element i: the rank of tokens i and i + 1. Empty if there is no memory for it; then every rank is looked up each time.
    ranks: &'w mut [u32],
}

impl Word<'_> {
    /// Does the next merge, if there is one.
    fn step(&mut self) -> Option<()> {
        let is_ranked = !self.ranks.is_empty();
        let best = if is_ranked { first_minimum(self.ranks)? } else { self.find_minimum()? };
        let merged = self.bpe.merge(*self.tokens.get(best)?, *self.tokens.get(best.checked_add(1)?)?)?.merged;
        *self.tokens.get_mut(best)? = merged;
        remove(&mut self.tokens, best.checked_add(1)?)?;
        if is_ranked {
            remove(&mut self.ranks, best)?;
            self.update_rank(best);
            if let Some(previous) = best.checked_sub(1) {
                self.update_rank(previous);
            }
        }
        Some(())
    }

    /// Stores the rank of the tokens `index` and `index + 1`.
    fn update_rank(&mut self, index: usize) {
        let rank = self.rank(index);
        if let Some(slot) = self.ranks.get_mut(index) {
            *slot = rank;
        }
    }

    /// The rank of the tokens `index` and `index + 1`; [`NO_RANK`] if they do not merge, or if the second does not exist.
    fn rank(&self, index: usize) -> u32 {
        let token = |index: usize| self.tokens.get(index).copied();
        let (Some(left), Some(right)) = (token(index), token(index.saturating_add(1))) else { return NO_RANK };
        self.bpe.merge(left, right).map_or(NO_RANK, |merge| merge.rank)
    }

    /// Index of the leftmost pair with the lowest merge rank, without the cache `ranks`; `None` if no pair merges.
    fn find_minimum(&self) -> Option<usize> {
        let mut best = (NO_RANK, None);
        for index in 0..self.tokens.len() {
            let rank = self.rank(index);
            if rank < best.0 {
                best = (rank, Some(index));
            }
        }
        best.1
    }
}

/// Index of the leftmost pair with the lowest merge rank; `None` if no pair merges.
fn first_minimum(ranks: &[u32]) -> Option<usize> {
    let least = *ranks.iter().min().filter(|&&rank| rank != NO_RANK)?;
    ranks.iter().position(|&rank| rank == least)
}

/// Removes an element of a slice, which becomes shorter.
fn remove(slice: &mut &mut [u32], index: usize) -> Option<()> {
    let cells = Cell::from_mut(slice.get_mut(index..)?).as_slice_of_cells();
    cells.iter().zip(cells.iter().skip(1)).for_each(|(to, from)| to.set(from.get()));
    let length = slice.len().checked_sub(1)?;
    *slice = core::mem::take(slice).get_mut(..length)?;
    Some(())
}
