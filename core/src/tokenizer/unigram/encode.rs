//! Text to tokens: words, and in each the best segmentation.

use super::model::Unigram;
use super::spaces::{Word, is_space};
use super::viterbi;
use crate::tokenizer::added::Segment;
use crate::tokenizer::unicode::is_whitespace;
use crate::tokenizer::vocabulary::Vocabulary;

/// Writes the tokens of a segment to `out`; `None` if it is too short for the characters of a word (or its bytes, with byte fallback).
#[inline(never)]
pub fn encode(unigram: &Unigram<'_>, vocabulary: &Vocabulary<'_>, segment: Segment<'_>, out: &mut [u32]) -> Option<usize> {
    let rules = &unigram.spaces;
    let mut rest = rules.characters(segment, unigram.map.as_ref());
    let mut is_first = segment.is_first;
    let mut count = 0_usize;
    loop {
        while rules.split_whitespace && rest.peek().is_some_and(is_whitespace) {
            rest.next();
            is_first = false;
        }
        let Some(start) = rest.peek() else { return Some(count) };
        let mut length = rest.clone().take_while(|&character| !rules.split_whitespace || !is_whitespace(character)).count();
        // The word with its dummy prefix, in stretches that start at a space if so requested.
        let mut prefix = rules.add_dummy_prefix && (is_first || !rules.prefix_first) && !is_space(start);
        while length > 0 {
            let start = usize::from(!prefix); // a space at the start of the stretch does not end it
            let stretch = rest.clone().skip(start).take_while(|&character| !rules.split_at_spaces || !is_space(character)).count();
            let stretch = stretch.saturating_add(start).min(length);
            let word = Word::new(rest.clone(), stretch, prefix);
            count = count.saturating_add(viterbi::encode(unigram, vocabulary, word, out.get_mut(count..)?)?);
            length = length.saturating_sub(stretch);
            rest.nth(stretch.checked_sub(1)?);
            prefix = false;
        }
        is_first = false;
    }
}
