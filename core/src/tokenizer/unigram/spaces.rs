//! Normalization of the spaces of a text.

use super::charmap::Charmap;
use super::mapped::Mapped;
use crate::tokenizer::added::Segment;
use crate::tokenizer::flags::{METASPACE, unigram as flags};
use crate::tokenizer::unicode::{is_whitespace, trim_end, trim_start};

/// A vocabulary's rules for the spaces of a text, applied in the order of the fields.
#[derive(Clone, Copy, Debug)]
pub struct SpaceRules {
    /// White space at both ends of the text is removed, before the characters are mapped.
    strip: bool,
    /// White space at the end of the text is removed, after that.
    trim_end: bool,
    /// A run of spaces becomes one of this character: U+2581, which is not white space, or a plain space.
    collapse_spaces: Option<char>,
    /// Words end at white space, which is removed.
    pub split_whitespace: bool,
    /// A space is put before each word (without `split_whitespace`, the text) that does not begin with one.
    pub add_dummy_prefix: bool,
    /// The dummy prefix is only put before the first word of the whole text.
    pub prefix_first: bool,
    /// A word starts at each space.
    pub split_at_spaces: bool,
}

impl SpaceRules {
    /// The rules that the section's flags state.
    pub fn from_flags(flags: u32) -> Self {
        let has = |flag| flags & flag != 0;
        let collapsed = if has(flags::COLLAPSE_TO_SPACE) { ' ' } else { METASPACE };
        SpaceRules {
            strip: has(flags::STRIP),
            trim_end: has(flags::TRIM_END),
            collapse_spaces: has(flags::COLLAPSE_SPACES).then_some(collapsed),
            split_whitespace: has(flags::SPLIT_WHITESPACE),
            add_dummy_prefix: has(flags::ADD_DUMMY_PREFIX),
            prefix_first: has(flags::PREFIX_FIRST),
            split_at_spaces: has(flags::SPLIT_AT_SPACES),
        }
    }

    /// The characters of a segment from which words are made. White space is removed at the ends of its stretch between added tokens.
    pub fn characters<'t>(&self, segment: Segment<'t>, map: Option<&'t Charmap<'t>>) -> Characters<'t> {
        let text = if self.strip && segment.starts_stretch { trim_start(segment.text) } else { segment.text };
        let text = if self.strip && segment.ends_stretch { trim_end(text) } else { text };
        let mapped = Mapped::new(text, map);
        let mut characters = Characters { rest: mapped.clone(), left: usize::MAX, collapse_spaces: self.collapse_spaces };
        if self.trim_end && segment.ends_stretch {
            characters.left = 0;
            for (character, end) in mapped.zip(1..) {
                if !is_whitespace(character) {
                    characters.left = end;
                }
            }
        }
        characters
    }
}

/// Whether a character becomes a space in a word.
pub fn is_space(character: char) -> bool {
    matches!(character, ' ' | METASPACE)
}

/// The characters of a text, with runs of spaces collapsed if so requested.
#[derive(Clone)]
pub struct Characters<'t> {
    rest: Mapped<'t>,
    /// Characters of `rest` before the white space that is removed.
    left: usize,
    collapse_spaces: Option<char>,
}

impl Characters<'_> {
    /// The next character.
    pub fn peek(&self) -> Option<char> {
        self.clone().next()
    }

    fn next_mapped(&mut self) -> Option<char> {
        self.left = self.left.checked_sub(1)?;
        self.rest.next()
    }
}

impl Iterator for Characters<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let character = self.next_mapped()?;
        let (Some(collapsed), ' ') = (self.collapse_spaces, character) else { return Some(character) };
        let mut is_run = false;
        loop {
            let mut after = self.clone();
            if after.next_mapped() != Some(' ') {
                return Some(if is_run { collapsed } else { ' ' });
            }
            *self = after;
            is_run = true;
        }
    }
}

/// The characters of a word, with plain spaces.
#[derive(Clone)]
pub struct Word<'t> {
    rest: Characters<'t>,
    /// Characters of `rest` in the word.
    left: usize,
    /// A space comes first.
    prefix: bool,
}

impl<'t> Word<'t> {
    /// The next `length` characters, after a space if `prefix`.
    pub fn new(rest: Characters<'t>, length: usize, prefix: bool) -> Self {
        Word { rest, left: length, prefix }
    }
}

impl Iterator for Word<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        if core::mem::take(&mut self.prefix) {
            return Some(' ');
        }
        self.left = self.left.checked_sub(1)?;
        self.rest.next().map(|character| if is_space(character) { ' ' } else { character })
    }
}
