//! BERT's normaliser: one character after another, nothing kept.

use super::unicode::{Kind, SPACING_CLASSES, kind, lowercase};
use crate::tokenizer::nfc::Decomposed;

/// What a vocabulary wants done to a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Normalizer {
    /// Control characters go, white space becomes a space.
    clean: bool,
    /// Chinese characters get spaces around them.
    chinese: bool,
    /// Characters are decomposed and their nonspacing marks go.
    unaccent: bool,
    /// Letters become lower case.
    lowercase: bool,
}

impl Normalizer {
    /// The flags of the section; `None` for one that a later version may have given a meaning.
    pub fn from_flags(flags: u32) -> Option<Self> {
        let has = |flag: u32| flags & flag != 0;
        (flags < 16).then(|| Normalizer { clean: has(1), chinese: has(2), unaccent: has(4), lowercase: has(8) })
    }

    /// Calls `emit` with each character of `text` as it is to be split into words. The order of the steps is BERT's.
    pub fn each_character(&self, text: &str, mut emit: impl FnMut(char)) {
        let Normalizer { clean, chinese, unaccent, lowercase: lower } = *self;
        let mut emit = |character| if lower { lowercase(character).for_each(&mut emit) } else { emit(character) };
        let clean = move |character| if clean { cleaned(character) } else { Some(character) };
        let characters = text.chars().filter_map(clean).flat_map(move |character| {
            let space = (chinese && is_chinese(character)).then_some(' ');
            space.into_iter().chain([character]).chain(space)
        });
        match unaccent {
            true => each_unmarked(Decomposed::new(characters), emit),
            false => characters.for_each(&mut emit),
        }
    }
}

/// A character as clean text has it.
fn cleaned(character: char) -> Option<char> {
    match character {
        '\t' | '\n' | '\r' => Some(' '),
        '\0' | '\u{FFFD}' => None,
        _ if kind(character) == Kind::Control => None,
        _ if character.is_whitespace() => Some(' '),
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

/// Calls `emit` with the decomposed `characters` in canonical order, without the nonspacing marks.
///
/// Canonical order sorts each run of marks by their combining class (Unicode, chapter 3.11). Of the few marks that are not dropped a run is
/// looked through once per class, so that a run of any length needs no memory.
fn each_unmarked(characters: impl Iterator<Item = char> + Clone, mut emit: impl FnMut(char)) {
    let mut rest = characters;
    loop {
        let from_here = rest.clone();
        let Some(character) = rest.next() else { return };
        match kind(character) {
            Kind::Mark | Kind::FixedMark => {}
            Kind::SpacingMark(_) => {
                let kinds = from_here.map(|character| (character, kind(character)));
                let run = kinds.take_while(|(_, kind)| matches!(kind, Kind::Mark | Kind::SpacingMark(_)));
                for class in 0..SPACING_CLASSES {
                    run.clone().filter(|&(_, kind)| kind == Kind::SpacingMark(class)).for_each(|(character, _)| emit(character));
                }
                let behind_first = run.count().saturating_sub(1);
                rest.by_ref().take(behind_first).for_each(drop);
            }
            _ => emit(character),
        }
    }
}
