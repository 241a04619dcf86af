//! The best segmentation of a word (Viterbi 1967), in the buffer of the tokens: an element for each character has the piece that ends there.
//! Sums are only kept for the characters that a piece can span.

use super::model::Unigram;
use super::spaces::Word;
use crate::tokenizer::flags::MAX_PIECE_BYTES;
use crate::tokenizer::reader::{Le32, Le32Slice};
use crate::tokenizer::vocabulary::Vocabulary;

/// Sums that are kept: a piece has fewer characters.
const REACH: usize = MAX_PIECE_BYTES + 1;

/// No piece ends here yet.
const NONE: u32 = u32::MAX;

/// Writes the tokens of `word` to `out`; `None` if it has fewer elements than the word characters (or bytes, with byte fallback).
#[inline(never)]
pub fn encode(unigram: &Unigram<'_>, vocabulary: &Vocabulary<'_>, word: Word<'_>, out: &mut [u32]) -> Option<usize> {
    let count = word.clone().count();
    let path = out.get_mut(..count)?;
    search(unigram, vocabulary, word.clone(), path);
    let first = trace_back(vocabulary, path)?;
    match vocabulary.first_byte {
        None => join_unknown(vocabulary.unk, out, first, count),
        Some(first_byte) => spell_unknown(vocabulary, first_byte, word, out, first, count),
    }
}

/// Writes to each element of `path` the last token of the best segmentation up to there.
fn search(unigram: &Unigram<'_>, vocabulary: &Vocabulary<'_>, word: Word<'_>, path: &mut [u32]) {
    path.fill(NONE);
    let mut sums = [0.0_f64; REACH];
    let mut rest = word;
    for start in 0..path.len() {
        let sum = sums.get(start % REACH).copied().unwrap_or(0.0);
        let mut offer = |token: u32, score: f64, characters: usize| {
            let end = start.saturating_add(characters);
            let (Some(best), Some(slot)) = (sums.get_mut(end % REACH), path.get_mut(end.saturating_sub(1))) else {
                debug_assert!(false, "a piece ends within its word");
                return;
            };
            if *slot == NONE || sum + score > *best {
                (*best, *slot) = (sum + score, token);
            }
        };
        let mut is_known = false;
        each_piece(vocabulary, rest.clone(), |token, characters| {
            offer(token, unigram.score(token).unwrap_or(0.0), characters);
            is_known |= characters == 1;
        });
        if !is_known {
            offer(vocabulary.unk, unigram.unk_score, 1);
        }
        rest.next();
    }
}

/// Calls `found` with each piece that `text` starts with, and its characters. Of equal pieces it is the last, as in the `tokenizers` crate.
fn each_piece(vocabulary: &Vocabulary<'_>, text: Word<'_>, mut found: impl FnMut(u32, usize)) {
    let mut candidates: Le32Slice<'_> = vocabulary.sorted; // pieces with the first `depth` bytes of the text
    let mut depth = 0_usize;
    for (character, characters) in text.zip(1..) {
        let mut bytes = [0; 4];
        for &byte in character.encode_utf8(&mut bytes).as_bytes() {
            candidates = narrow(vocabulary, candidates, depth, byte);
            if candidates.is_empty() {
                return;
            }
            depth = depth.saturating_add(1);
        }
        let whole = candidates.iter().take_while(|id| vocabulary.piece_of(id).len() == depth).map(|id| u32::from_le_bytes(*id));
        if let Some(token) = whole.filter(|&token| is_text(vocabulary, token)).last() {
            found(token, characters);
        }
    }
}

/// Of sorted pieces with the same first `depth` bytes, those with `byte` after them.
fn narrow<'a>(vocabulary: &Vocabulary<'_>, pieces: Le32Slice<'a>, depth: usize, byte: u8) -> Le32Slice<'a> {
    let next = |id: &Le32| vocabulary.piece_of(id).get(depth).copied();
    if let [only] = pieces {
        return if next(only) == Some(byte) { pieces } else { &[] };
    }
    let from = pieces.partition_point(|id| next(id) < Some(byte));
    let pieces = pieces.get(from..).unwrap_or_default();
    let to = pieces.partition_point(|id| next(id) <= Some(byte));
    pieces.get(..to).unwrap_or_default()
}

/// Whether text may become `token`.
fn is_text(vocabulary: &Vocabulary<'_>, token: u32) -> bool {
    !vocabulary.is_special(token) && vocabulary.byte(token).is_none()
}

/// Moves the tokens of the best segmentation to the end of `path`; returns where they start.
fn trace_back(vocabulary: &Vocabulary<'_>, path: &mut [u32]) -> Option<usize> {
    let mut end = path.len();
    let mut first = end;
    while let Some(last) = end.checked_sub(1) {
        let token = *path.get(last)?;
        first = first.checked_sub(1)?;
        *path.get_mut(first)? = token;
        end = end.checked_sub(width(vocabulary, token))?;
    }
    Some(first)
}

/// Characters of the text that `token` of a segmentation covers.
fn width(vocabulary: &Vocabulary<'_>, token: u32) -> usize {
    if token == vocabulary.unk { 1 } else { vocabulary.characters(token) }
}

/// Moves the tokens `from..to` of `out` to its start, with one UNK for adjacent unknown characters.
fn join_unknown(unk: u32, out: &mut [u32], from: usize, to: usize) -> Option<usize> {
    let mut count = 0_usize;
    let mut previous = None;
    for at in from..to {
        let token = *out.get(at)?;
        if token != unk || previous != Some(unk) {
            *out.get_mut(count)? = token;
            count = count.saturating_add(1);
        }
        previous = Some(token);
    }
    Some(count)
}

/// Moves the tokens `from..to` of `out` to its start, with the byte tokens of each unknown character (byte fallback).
fn spell_unknown(
    vocabulary: &Vocabulary<'_>,
    first_byte: u32,
    mut word: Word<'_>,
    out: &mut [u32],
    from: usize,
    to: usize,
) -> Option<usize> {
    // First to the end of the buffer, so that bytes do not overwrite tokens that are still to be read: no token has more bytes than its text.
    let moved = out.len().checked_sub(to)?;
    for at in (from..to).rev() {
        *out.get_mut(at.saturating_add(moved))? = *out.get(at)?;
    }
    let mut count = 0_usize;
    for at in from.saturating_add(moved)..to.saturating_add(moved) {
        let token = *out.get(at)?;
        let character = word.nth(width(vocabulary, token).saturating_sub(1))?;
        let mut put = |token| {
            // An element that is still to be read is in the way if the buffer is too small.
            *out.get_mut(..=at)?.get_mut(count)? = token;
            count = count.saturating_add(1);
            Some(())
        };
        if token == vocabulary.unk {
            let mut bytes = [0; 4];
            for &byte in character.encode_utf8(&mut bytes).as_bytes() {
                put(first_byte.saturating_add(byte.into()))?;
            }
        } else {
            put(token)?;
        }
    }
    Some(count)
}
