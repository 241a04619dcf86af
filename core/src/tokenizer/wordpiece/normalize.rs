//! BERT's normalizer: one character after another, without a buffer.

use super::class::{Class, SPACING_CLASSES, class, lowercase};
use crate::tokenizer::flags::wordpiece as flags;
use crate::tokenizer::nfc::Decomposed;
use crate::tokenizer::unicode::is_whitespace;
use core::str::Chars;

/// The steps that a vocabulary wants, in their order.
#[derive(Clone, Copy, Debug)]
pub struct Normalizer {
    /// Control characters are removed, white space becomes a space.
    clean_text: bool,
    /// Chinese characters get spaces around them.
    handle_chinese_chars: bool,
    /// Characters are decomposed and their nonspacing marks removed.
    strip_accents: bool,
    /// Letters become lower case.
    lowercase: bool,
}

impl Normalizer {
    /// The steps that the section's flags state.
    pub fn from_flags(flags: u32) -> Self {
        let has = |flag| flags & flag != 0;
        Normalizer {
            clean_text: has(flags::CLEAN_TEXT),
            handle_chinese_chars: has(flags::HANDLE_CHINESE_CHARS),
            strip_accents: has(flags::STRIP_ACCENTS),
            lowercase: has(flags::LOWERCASE),
        }
    }

    /// Calls `emit` with each character of the normalized text.
    pub fn for_each(&self, text: &str, emit: &mut dyn FnMut(char)) {
        let cleaned = Cleaned { normalizer: *self, rest: text.chars(), pending: [None; 2] };
        let mut emit = |character| {
            if !self.lowercase {
                return emit(character);
            }
            let (first, second) = lowercase(character);
            emit(first);
            if let Some(second) = second {
                emit(second);
            }
        };
        if self.strip_accents {
            for_each_unaccented(Decomposed::new(cleaned), &mut emit);
        } else {
            cleaned.for_each(emit);
        }
    }
}

/// The characters of a text after the first two steps.
#[derive(Clone)]
struct Cleaned<'t> {
    normalizer: Normalizer,
    rest: Chars<'t>,
    /// A Chinese character and the space after it, the last one first.
    pending: [Option<char>; 2],
}

impl Iterator for Cleaned<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let [after, character] = &mut self.pending;
        if let Some(character) = character.take().or_else(|| after.take()) {
            return Some(character);
        }
        loop {
            let character = self.rest.next()?;
            let cleaned = if self.normalizer.clean_text { clean(character) } else { Some(character) };
            let Some(character) = cleaned else { continue };
            if self.normalizer.handle_chinese_chars && is_chinese(character) {
                self.pending = [Some(' '), Some(character)];
                return Some(' ');
            }
            return Some(character);
        }
    }
}

/// A character of clean text; `None` if it is removed.
fn clean(character: char) -> Option<char> {
    match character {
        '\t' | '\n' | '\r' => Some(' '),
        '\0' | '\u{FFFD}' => None,
        _ if class(character) == Class::Control => None,
        _ if is_whitespace(character) => Some(' '),
        _ => Some(character),
    }
}

/// The blocks of CJK ideographs that BERT names; the fifth starts where the `tokenizers` crate has it.
fn is_chinese(character: char) -> bool {
    matches!(character,
        '\u{4E00}'..='\u{9FFF}'
        | '\u{3400}'..='\u{4DBF}'
        | '\u{20000}'..='\u{2A6DF}'
        | '\u{2A700}'..='\u{2B73F}'
        | '\u{2B740}'..='\u{2B81F}'
        | '\u{2B920}'..='\u{2CEAF}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{2F800}'..='\u{2FA1F}')
}

/// Calls `emit` with the decomposed `characters` in canonical order, without nonspacing marks.
///
/// Canonical order sorts each run of marks by their combining class (Unicode, chapter 3.11). A run of the few marks that are kept is read once
/// per class, so a run of any length needs no memory.
fn for_each_unaccented(characters: Decomposed<Cleaned<'_>>, emit: &mut dyn FnMut(char)) {
    let mut rest = characters;
    loop {
        let mut after = rest.clone();
        let Some(character) = after.next() else { return };
        match class(character) {
            Class::Mark | Class::FixedMark => {}
            Class::SpacingMark(_) => {
                for wanted in 0..SPACING_CLASSES {
                    after = rest.clone();
                    // The loop ends at the first character after the run, which it does not consume.
                    loop {
                        let before = after.clone();
                        match after.next().map(|character| (character, class(character))) {
                            Some((character, Class::SpacingMark(rank))) if rank == wanted => emit(character),
                            Some((_, Class::SpacingMark(_) | Class::Mark)) => {}
                            _ => {
                                after = before;
                                break;
                            }
                        }
                    }
                }
            }
            _ => emit(character),
        }
        rest = after;
    }
}
