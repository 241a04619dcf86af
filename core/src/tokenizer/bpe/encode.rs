//! Text to tokens, one word after another.

use super::merge::Merger;
use super::model::{Bpe, WordSplit};
use crate::tokenizer::added::Segment;
use crate::tokenizer::flags::METASPACE;
use crate::tokenizer::vocabulary::Vocabulary;
use crate::tokenizer::windows::{self, Word};
use core::str::Chars;

/// Writes the tokens of a segment to `out`, by the rule of llama2.c: a space is put before the text (the dummy prefix, if the vocabulary says
/// so); each character becomes the token of its piece or, if there is none, one byte token per UTF-8 byte; then the adjacent tokens whose
/// joined piece has the highest score are merged (the leftmost of equals), until no two can be. Byte tokens do not merge.
///
/// A word is a space and the characters up to the next space, or a run of spaces and the characters after it; in the rare vocabulary with pieces across
/// words the whole text is one. `None` as soon as the tokens, or the symbols of a window of a long word, exceed `out`.
#[inline(never)]
pub fn encode(bpe: &Bpe<'_>, vocabulary: &Vocabulary<'_>, segment: Segment<'_>, out: &mut [u32]) -> Option<usize> {
    let merger = Merger { bpe, vocabulary };
    let mut rest = Characters { dummy_prefix: false, metaspace: bpe.metaspace, rest: segment.text.chars() };
    rest.dummy_prefix = rest.clone().next().is_some_and(|first| bpe.wants_prefix(first, segment.is_first));
    let mut count = 0_usize;
    loop {
        let length = word(bpe.split, rest.clone());
        let Some(last) = length.checked_sub(1) else { return Some(count) };
        let symbols = Symbols { merger, characters: rest.clone(), left: length, bytes: [0; 4], pending: 0..0 };
        let tokens = windows::encode(&merger, &mut Word::new(symbols), out.get_mut(count..)?)?;
        count = count.saturating_add(tokens);
        rest.nth(last);
    }
}

/// Characters of the word at the start of `text`; 0 for an empty text.
fn word(split: WordSplit, mut text: Characters<'_>) -> usize {
    let Some(mut previous) = text.next() else { return 0 };
    let mut length = 1_usize;
    for character in text {
        let is_boundary = match split {
            WordSplit::Spaces => character == ' ',
            WordSplit::Runs => character == ' ' && previous != ' ',
            WordSplit::Never => false,
        };
        if is_boundary {
            break;
        }
        previous = character;
        length = length.saturating_add(1);
    }
    length
}

/// The characters of a text: the dummy prefix, then the text with spaces for U+2581 if `metaspace`.
#[derive(Clone)]
struct Characters<'t> {
    dummy_prefix: bool,
    metaspace: bool,
    rest: Chars<'t>,
}

impl Iterator for Characters<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        if core::mem::take(&mut self.dummy_prefix) {
            return Some(' ');
        }
        let character = self.rest.next()?;
        Some(if self.metaspace && character == METASPACE { ' ' } else { character })
    }
}

/// The symbols of a word: the token of each character, or those of its bytes.
#[derive(Clone)]
struct Symbols<'t> {
    merger: Merger<'t>,
    characters: Characters<'t>,
    /// Characters of the word that are left.
    left: usize,
    /// UTF-8 of the last character, if the vocabulary lacks it.
    bytes: [u8; 4],
    /// Which of these bytes come next.
    pending: core::ops::Range<usize>,
}

impl Iterator for Symbols<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.pending.is_empty() {
            self.left = self.left.checked_sub(1)?;
            let length = self.characters.next()?.encode_utf8(&mut self.bytes).len();
            if let Some(token) = self.merger.find(self.bytes.get(..length)?, &[]) {
                return Some(token);
            }
            self.pending = 0..length;
        }
        let byte = *self.bytes.get(self.pending.next()?)?;
        Some(self.merger.byte_token(byte))
    }
}
