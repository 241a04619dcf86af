//! Where a text is cut into words, and which spaces it gets or loses before.

use super::charmap::Charmap;
use super::mapped::Mapped;

/// What stands for a space in the files of the `tokenizers` library.
const METASPACE: char = '\u{2581}';

/// What a vocabulary wants done to the spaces of a text, in the order of the fields.
#[derive(Clone, Copy, Debug)]
pub(in crate::tokenizer) struct Spaces {
    /// White space at both ends of the text goes, before its characters go through a map.
    stripped: bool,
    /// White space at the text's end goes, behind that.
    trimmed: bool,
    /// Several spaces become one that is no white space: U+2581.
    squeezed: bool,
    /// Or one that is.
    to_plain: bool,
    /// Words end at white space, which goes.
    parted: bool,
    /// A space is put before each word, or text that is not parted, if it has none.
    pub in_front: bool,
    /// But only where it starts the whole text.
    only_first: bool,
    /// Words begin with each space.
    cut: bool,
}

impl Spaces {
    /// The section's flags of spaces; `None` for one that a later version may have given a meaning.
    pub fn from_flags(flags: u32) -> Option<Self> {
        const FLAGS: [u32; 8] = [16, 32, 64, 128, 512, 1024, 4096, 8192];
        let [trimmed, squeezed, parted, in_front, only_first, cut, stripped, to_plain] = FLAGS.map(|flag| flags & flag != 0);
        let known = FLAGS.iter().fold(0, |all, flag| all | flag);
        let spaces = Spaces { stripped, trimmed, squeezed, to_plain, parted, in_front, only_first, cut };
        (flags & !known == 0).then_some(spaces)
    }

    /// Has each word of a text encoded to what is left of `out`, and adds up the tokens; `None` as soon as `encode` gives none.
    pub fn words(
        &self,
        mut rest: Characters<'_>,
        at_start: bool,
        out: &mut [u32],
        encode: impl Fn(Taken<'_>, &mut [u32]) -> Option<usize>,
    ) -> Option<usize> {
        let mut first = at_start;
        let mut count = 0_usize;
        loop {
            while self.parted && rest.clone().next().is_some_and(char::is_whitespace) {
                rest.next();
                first = false;
            }
            let Some(start) = rest.clone().next() else { return Some(count) };
            let parted = self.parted;
            let mut length = rest.clone().take_while(|&character| !parted || !character.is_whitespace()).count();
            // The word, perhaps with a space before it, in stretches that begin with one.
            let wants_space = self.in_front && (first || !self.only_first) && !is_space(start);
            let mut front = wants_space;
            while length > 0 {
                let behind = rest.clone().skip(usize::from(!front));
                let stretch = behind.take_while(|&character| !self.cut || !is_space(character)).count();
                let stretch = stretch.saturating_add(usize::from(!front)).min(length);
                let word = Taken { front, rest: rest.clone(), left: stretch };
                count = count.saturating_add(encode(word, out.get_mut(count..)?)?);
                length = length.saturating_sub(stretch);
                if let Some(last) = stretch.checked_sub(1) {
                    rest.nth(last);
                }
                front = false;
            }
            first = false;
        }
    }

    /// The characters of `part` as words are made of them. It is a part of `whole`, whose ends are those that lose their white space.
    pub fn characters<'t>(&self, whole: &str, part: &'t str, map: Option<&'t Charmap<'t>>) -> Characters<'t> {
        let [whole, bounds] = [whole, part].map(|text| text.as_bytes().as_ptr_range());
        let (starts, ends) = (bounds.start == whole.start, bounds.end == whole.end);
        let text = if self.stripped && starts { part.trim_start() } else { part };
        let text = if self.stripped && ends { text.trim_end() } else { text };
        let rest = Mapped::new(text, map);
        let left = match (self.trimmed && ends, map) {
            (false, _) => usize::MAX,
            (true, None) => text.trim_end().chars().count(),
            (true, Some(_)) => rest.clone().zip(1..).filter(|(character, _)| !character.is_whitespace()).last().map_or(0, |(_, end)| end),
        };
        let squeezed = self.squeezed.then_some(if self.to_plain { ' ' } else { METASPACE });
        Characters { rest, left, squeezed }
    }
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | METASPACE)
}

/// A text's characters; if so wanted, several spaces as one.
#[derive(Clone)]
pub struct Characters<'t> {
    rest: Mapped<'t>,
    /// Characters of `rest` before the white space that goes.
    left: usize,
    squeezed: Option<char>,
}

impl Characters<'_> {
    fn one(&mut self) -> Option<char> {
        self.left = self.left.checked_sub(1)?;
        self.rest.next()
    }
}

impl Iterator for Characters<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let character = self.one()?;
        let (Some(one), ' ') = (self.squeezed, character) else { return Some(character) };
        let mut several = false;
        loop {
            let mut behind = self.clone();
            if behind.one() != Some(' ') {
                return Some(if several { one } else { ' ' });
            }
            *self = behind;
            several = true;
        }
    }
}

/// A word's characters, with plain spaces.
#[derive(Clone)]
pub(in crate::tokenizer) struct Taken<'t> {
    /// A space is to come first.
    front: bool,
    rest: Characters<'t>,
    left: usize,
}

impl Iterator for Taken<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        if core::mem::take(&mut self.front) {
            return Some(' ');
        }
        self.left = self.left.checked_sub(1)?;
        self.rest.next().map(|character| if is_space(character) { ' ' } else { character })
    }
}
