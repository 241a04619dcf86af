//! Unicode properties that several tokenizers use, and the one form of their tables.

/// A table of runs: neighboring characters with the same tag, in ascending order. Each run is one u32: its first character (21 bits), the
/// number of characters less one, and the tag in the lowest `tag_bits` bits.
pub struct RunTable {
    runs: &'static [u32],
    tag_bits: u32,
}

/// Where a character is in a [`RunTable`].
pub struct Run {
    /// Number of the run.
    pub index: usize,
    /// Characters of the run before this one.
    pub offset: u32,
    pub tag: u32,
}

impl RunTable {
    pub const fn new(runs: &'static [u32], tag_bits: u32) -> Self {
        RunTable { runs, tag_bits }
    }

    /// The run that contains `character`. Never inlined: every table is searched by this one copy of the code.
    #[inline(never)]
    pub fn find(&self, character: char) -> Option<Run> {
        let index = self.runs.partition_point(|run| run >> 11 <= character as u32).checked_sub(1)?;
        let run = *self.runs.get(index)?;
        let offset = (character as u32).saturating_sub(run >> 11);
        let last = (run & 0x7FF) >> self.tag_bits;
        let tag = run & !(u32::MAX << self.tag_bits);
        (offset <= last).then_some(Run { index, offset, tag })
    }

    /// The tag of `character`; 0 outside all runs.
    pub fn tag(&self, character: char) -> u32 {
        self.find(character).map_or(0, |run| run.tag)
    }
}

/// The character with these low 16 bits in a plane of Unicode.
pub fn in_plane(plane: u32, low: u16) -> Option<char> {
    char::from_u32(plane << 16 | u32::from(low))
}

/// Whether a character has the property White_Space, as [`char::is_whitespace`]. Unicode will not extend it; written out, it takes a quarter
/// of the flash of the standard library's table.
#[inline(never)]
pub fn is_whitespace(character: char) -> bool {
    match character {
        '\t'..='\r' | ' ' => true,
        '\0'..='\u{7F}' => false,
        _ => matches!(
            character,
            '\u{85}' | '\u{A0}' | '\u{1680}' | '\u{2000}'..='\u{200A}' | '\u{2028}' | '\u{2029}' | '\u{202F}' | '\u{205F}' | '\u{3000}'
        ),
    }
}

/// `text` without the white space at its start.
pub fn trim_start(text: &str) -> &str {
    let mut rest = text.chars();
    while rest.clone().next().is_some_and(is_whitespace) {
        rest.next();
    }
    rest.as_str()
}

/// `text` without the white space at its end.
pub fn trim_end(text: &str) -> &str {
    let mut rest = text.chars();
    while rest.clone().next_back().is_some_and(is_whitespace) {
        rest.next_back();
    }
    rest.as_str()
}

#[cfg(test)]
mod tests {
    #[test]
    fn white_space_is_that_of_the_standard_library() {
        for character in '\0'..=char::MAX {
            assert_eq!(super::is_whitespace(character), character.is_whitespace(), "{character:?}");
        }
    }
}
