//! The characters of a text after the vocabulary's map, as the `tokenizers` crate's `Precompiled` normalizer replaces them.

use super::charmap::Charmap;
use super::clusters::Boundaries;
use crate::tokenizer::flags::unigram::{CHARSMAP_END as END, CHARSMAP_KEY_BYTES as KEY_BYTES};
use core::str::Chars;

/// The characters of a text. With a map, each grapheme cluster of at most five bytes that starts with a key becomes the replacement of that
/// key, and of the other clusters each character that does.
#[derive(Clone)]
pub struct Mapped<'t> {
    map: Option<&'t Charmap<'t>>,
    rest: Chars<'t>,
    /// The state that the boundary before `rest` depends on.
    boundaries: Boundaries,
    /// The rest of a replacement.
    replacement: Chars<'t>,
}

impl<'t> Mapped<'t> {
    pub fn new(text: &'t str, map: Option<&'t Charmap<'t>>) -> Self {
        Mapped { map, rest: text.chars(), boundaries: Boundaries::new(), replacement: "".chars() }
    }

    /// The replacement of the cluster of several characters that starts with `first` and continues with `rest`, which is then consumed.
    fn cluster(&mut self, map: &'t Charmap<'t>, first: char) -> Option<&'t str> {
        let mut bytes = [0; KEY_BYTES];
        let mut length = first.encode_utf8(&mut bytes).len();
        let (mut rest, mut boundaries) = (self.rest.clone(), self.boundaries);
        loop {
            let before = (rest.clone(), boundaries);
            let Some(next) = rest.next() else { break };
            if boundaries.take(next) {
                (rest, boundaries) = before;
                break;
            }
            let mut more = [0; 4];
            let more = next.encode_utf8(&mut more).as_bytes();
            let end = length.saturating_add(more.len());
            bytes.get_mut(length..end)?.iter_mut().zip(more).for_each(|(byte, next)| *byte = *next);
            length = end;
        }
        if length == first.len_utf8() {
            return None;
        }
        let found = map.find(bytes.get(..length)?)?;
        (self.rest, self.boundaries) = (rest, boundaries);
        Some(found)
    }

    /// The next character with a map. Not inlined: one copy instead of one in each loop over a text saves flash.
    #[inline(never)]
    fn replaced(&mut self, map: &'t Charmap<'t>) -> Option<char> {
        loop {
            match self.replacement.next() {
                None => {}
                Some(END) => self.replacement = "".chars(),
                character => return character,
            }
            let character = self.rest.next()?;
            let starts_cluster = self.boundaries.take(character);
            let ascii_follows = self.rest.as_str().bytes().next().is_none_or(|next| next.is_ascii());
            let is_alone = ascii_follows && character.is_ascii() && character != '\r';
            let cluster = if starts_cluster && !is_alone { self.cluster(map, character) } else { None };
            let mut bytes = [0; 4];
            match cluster.or_else(|| map.find(character.encode_utf8(&mut bytes).as_bytes())) {
                Some(replacement) => self.replacement = replacement.chars(),
                None => return Some(character),
            }
        }
    }
}

impl Iterator for Mapped<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        match self.map {
            Some(map) => self.replaced(map),
            None => self.rest.next(),
        }
    }
}
