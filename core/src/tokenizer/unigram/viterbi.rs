//! The best way to cut a word (Viterbi 1967), in the tokens' own room: an element for each character says which piece ends behind it. Of the
//! sums only those within reach of a piece are kept.

use super::Unigram;
use crate::tokenizer::vocabulary::{MAX_PIECE_BYTES, Words};

/// Sums kept: a piece has fewer characters.
const REACH: usize = MAX_PIECE_BYTES + 1;

/// Stands for "no piece ends here yet".
const NONE: u32 = u32::MAX;

/// Writes the tokens of `word` to `out`; `None` when it has fewer elements than the word characters, or bytes where unknown characters are
/// bytes.
pub(super) fn encode(unigram: &Unigram<'_>, word: impl Iterator<Item = char> + Clone, out: &mut [u32]) -> Option<usize> {
    let count = word.clone().count();
    let path = out.get_mut(..count)?;
    find(unigram, word.clone(), path);
    let first = follow(unigram, path)?;
    spell(unigram, word, out, first, count)
}

/// Writes to each element of `path` the token of the best cut up to there that ends there.
fn find(unigram: &Unigram<'_>, word: impl Iterator<Item = char> + Clone, path: &mut [u32]) {
    path.fill(NONE);
    let mut sums = [0.0_f64; REACH];
    let mut rest = word;
    for start in 0..path.len() {
        let sum = sums.get(start % REACH).copied().unwrap_or(0.0);
        let mut offer = |token: u32, score: f64, characters: usize| {
            let end = start.saturating_add(characters);
            let (Some(best), Some(slot)) = (sums.get_mut(end % REACH), path.get_mut(end.saturating_sub(1))) else { return };
            if *slot == NONE || sum + score > *best {
                (*best, *slot) = (sum + score, token);
            }
        };
        let mut known = false;
        each_piece(unigram, rest.clone(), |token, characters| {
            offer(token, unigram.score(token).unwrap_or(0.0), characters);
            known |= characters == 1;
        });
        if !known {
            offer(unigram.vocabulary.unk, unigram.unknown_score, 1);
        }
        rest.next();
    }
}

/// Calls `found` with each piece that `text` starts with, and its characters; of equal pieces with the last, as the `tokenizers` crate.
fn each_piece(unigram: &Unigram<'_>, text: impl Iterator<Item = char>, mut found: impl FnMut(u32, usize)) {
    let piece = |id: &[u8; 4]| unigram.vocabulary.stored(u32::from_le_bytes(*id)).unwrap_or_default();
    let mut begins: Words<'_> = unigram.vocabulary.sorted; // pieces that begin as the text does
    let mut depth = 0_usize; // bytes of that
    for (character, characters) in text.zip(1..) {
        let mut bytes = [0; 4];
        for &byte in character.encode_utf8(&mut bytes).as_bytes() {
            let at = |id: &[u8; 4]| piece(id).get(depth).copied();
            let from = begins.partition_point(|id| at(id) < Some(byte));
            begins = begins.get(from..).unwrap_or_default();
            let to = begins.partition_point(|id| at(id) <= Some(byte));
            begins = begins.get(..to).unwrap_or_default();
            depth = depth.saturating_add(1);
        }
        if begins.is_empty() {
            return;
        }
        let whole = begins.iter().take_while(|id| piece(id).len() == depth).map(|id| u32::from_le_bytes(*id));
        if let Some(token) = whole.filter(|&token| !unigram.is_apart(token)).last() {
            found(token, characters);
        }
    }
}

/// Moves the tokens of the path that ends with `path` to the end of it, and says where they start.
fn follow(unigram: &Unigram<'_>, path: &mut [u32]) -> Option<usize> {
    let mut end = path.len();
    let mut first = end;
    while let Some(last) = end.checked_sub(1) {
        let token = *path.get(last)?;
        first = first.checked_sub(1)?;
        *path.get_mut(first)? = token;
        end = end.checked_sub(width(unigram, token))?;
    }
    Some(first)
}

/// Characters that `token` stands for on a path.
fn width(unigram: &Unigram<'_>, token: u32) -> usize {
    if token == unigram.vocabulary.unk {
        return 1;
    }
    let piece = unigram.vocabulary.stored(token).unwrap_or_default();
    piece.utf8_chunks().map(|chunk| chunk.valid().chars().count()).sum()
}

/// Writes the tokens `from..to` of `out` to its start: unknown characters that follow one another as one token, or all their bytes.
fn spell(unigram: &Unigram<'_>, word: impl Iterator<Item = char>, out: &mut [u32], from: usize, to: usize) -> Option<usize> {
    let unknown = unigram.vocabulary.unk;
    let mut count = 0_usize;
    let Some(first_byte) = unigram.first_byte else {
        let mut before = None;
        for at in from..to {
            let token = *out.get(at)?;
            if token != unknown || before != Some(unknown) {
                *out.get_mut(count)? = token;
                count = count.saturating_add(1);
            }
            before = Some(token);
        }
        return Some(count);
    };
    // From the end of the room on, so that bytes do not run into what is still to be read: no token has more than its text.
    let moved = out.len().checked_sub(to)?;
    for at in (from..to).rev() {
        *out.get_mut(at.saturating_add(moved))? = *out.get(at)?;
    }
    let mut word = word;
    for at in from.saturating_add(moved)..to.saturating_add(moved) {
        let token = *out.get(at)?;
        let character = word.nth(width(unigram, token).saturating_sub(1))?;
        let mut bytes = [0; 4];
        let text = character.encode_utf8(&mut bytes).bytes();
        let tokens = text.map(|byte| first_byte.saturating_add(byte.into()));
        for token in tokens.take(if token == unknown { 4 } else { 1 }).map(|byte| if token == unknown { byte } else { token }) {
            // Not yet read elements are in the way when the room is too small.
            *out.get_mut(..=at)?.get_mut(count)? = token;
            count = count.saturating_add(1);
        }
    }
    Some(count)
}
