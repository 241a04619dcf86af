//! A text's characters behind its vocabulary's map, as the `tokenizers` crate's `Precompiled` gives them.

use super::charmap::{Charmap, END, KEY_BYTES};
use super::clusters::Boundaries;
use core::str::Chars;

/// The characters of a text; with a map each cluster of at most five bytes that a key begins is that key's replacement, and of the others each
/// such character.
#[derive(Clone)]
pub(super) struct Mapped<'t> {
    map: Option<&'t Charmap<'t>>,
    rest: Chars<'t>,
    /// What stands before `rest`, as far as the boundaries of clusters need it.
    boundaries: Boundaries,
    /// What is still to be given of a replacement.
    replacement: Chars<'t>,
}

impl<'t> Mapped<'t> {
    pub fn new(text: &'t str, map: Option<&'t Charmap<'t>>) -> Self {
        Mapped { map, rest: text.chars(), boundaries: Boundaries::new(), replacement: "".chars() }
    }

    /// What stands for the cluster of several characters that `first` begins and `rest` goes on with; it is passed then.
    fn cluster(&mut self, map: &'t Charmap<'t>, first: char) -> Option<&'t str> {
        let mut bytes = [0; KEY_BYTES];
        let mut length = first.encode_utf8(&mut bytes).len();
        let (mut rest, mut boundaries) = (self.rest.clone(), self.boundaries);
        loop {
            let behind = (rest.clone(), boundaries);
            let Some(next) = rest.next() else { break };
            if boundaries.take(next) {
                (rest, boundaries) = behind;
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

    /// The next character behind the map. Once in a program, not in each place that goes through a text: flash is what there is least of.
    #[inline(never)]
    fn replaced(&mut self, map: &'t Charmap<'t>) -> Option<char> {
        loop {
            match self.replacement.next() {
                None => {}
                Some(END) => self.replacement = "".chars(),
                character => return character,
            }
            let character = self.rest.next()?;
            let starts = self.boundaries.take(character);
            let ascii_next = self.rest.as_str().bytes().next().is_none_or(|next| next.is_ascii());
            let alone = ascii_next && character.is_ascii() && character != '\r';
            let cluster = if starts && !alone { self.cluster(map, character) } else { None };
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
