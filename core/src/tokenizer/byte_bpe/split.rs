//! The patterns that cut a text into words. Published as regular expressions, here by hand; each function names its own.

use super::unicode::{Class, class, is_newest_number};

/// How a text is cut into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Split {
    /// Radford et al. 2019.
    Gpt2,
    /// Llama 3, after GPT-4: up to three digits are a word.
    Llama3,
    /// Qwen 2: the same, each digit is a word.
    Qwen2,
    /// SmolLM: each digit is a word, what is between them is cut as in GPT-2.
    SmolLm,
}

impl Split {
    /// The pattern with this number in a section.
    pub fn from_number(number: u32) -> Option<Self> {
        [Split::Gpt2, Split::Llama3, Split::Qwen2, Split::SmolLm].get(number as usize).copied()
    }

    /// Characters of the word that `text` starts with; 0 for an empty text.
    pub fn word(self, text: impl Iterator<Item = char> + Clone) -> usize {
        match self {
            Split::Gpt2 => gpt2(text),
            Split::Llama3 => gpt4(text, 3),
            Split::Qwen2 => gpt4(text, 1),
            Split::SmolLm => match text.clone().next() {
                Some(first) if is_newest_number(first) => 1,
                _ => gpt2(text.take_while(|&character| !is_newest_number(character))),
            },
        }
    }
}

/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
fn gpt2(text: impl Iterator<Item = char> + Clone) -> usize {
    let contraction = contraction(text.clone());
    if contraction > 0 {
        return contraction;
    }
    let (space, rest) = without_space(text.clone());
    match rest.clone().next().map(class) {
        Some(kind) if kind != Class::Space => run(rest, kind).saturating_add(space),
        _ => spaces(text),
    }
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
fn gpt4(text: impl Iterator<Item = char> + Clone, digits: usize) -> usize {
    let contraction = contraction(text.clone().map(fold));
    if contraction > 0 {
        return contraction;
    }
    let mut rest = text.clone();
    let Some(first) = rest.next() else { return 0 };
    let first_kind = class(first);
    let letters_follow = || rest.clone().next().map(class) == Some(Class::Letter);
    match first_kind {
        Class::Letter => return run(text, Class::Letter),
        Class::Number => return run(text.take(digits), Class::Number),
        _ if !is_line_end(first) && letters_follow() => return run(rest, Class::Letter).saturating_add(1),
        _ => {}
    }
    let (space, mut symbols) = without_space(text.clone());
    let others = run(symbols.clone(), Class::Other);
    if let Some(last) = others.checked_sub(1) {
        symbols.nth(last);
        let line_ends = symbols.take_while(|&character| is_line_end(character)).count();
        return space.saturating_add(others).saturating_add(line_ends);
    }
    let white = text.clone().take_while(|&character| class(character) == Class::Space);
    let last_line_end = white.zip(1_usize..).filter(|&(character, _)| is_line_end(character)).last();
    last_line_end.map_or_else(|| spaces(text), |(_, length)| length)
}

/// `'s|'t|'re|'ve|'m|'ll|'d`: its length, or 0.
fn contraction(mut text: impl Iterator<Item = char>) -> usize {
    if text.next() != Some('\'') {
        return 0;
    }
    match (text.next(), text.next()) {
        (Some('s' | 't' | 'm' | 'd'), _) => 2,
        (Some('r' | 'v'), Some('e')) | (Some('l'), Some('l')) => 3,
        _ => 0,
    }
}

/// A character as one that a contraction without regard to case has: `ſ` is an s.
fn fold(character: char) -> char {
    if character == '\u{17F}' { 's' } else { character.to_ascii_lowercase() }
}

/// `\s+(?!\S)|\s+`: the last of several spaces belongs to the word behind them.
fn spaces(text: impl Iterator<Item = char> + Clone) -> usize {
    let length = run(text.clone(), Class::Space);
    let mut behind = text;
    let at_end = behind.nth(length).is_none();
    if at_end || length < 2 { length } else { length.saturating_sub(1) }
}

/// The length of a space at the start, and what is behind it.
fn without_space<I: Iterator<Item = char> + Clone>(text: I) -> (usize, I) {
    let mut rest = text.clone();
    if rest.next() == Some(' ') { (1, rest) } else { (0, text) }
}

/// How many characters of one kind come first.
fn run(text: impl Iterator<Item = char>, kind: Class) -> usize {
    text.take_while(|&character| class(character) == kind).count()
}

fn is_line_end(character: char) -> bool {
    matches!(character, '\r' | '\n')
}
