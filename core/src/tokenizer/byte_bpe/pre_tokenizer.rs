//! The pre-tokenizer: patterns that split a text into words. They are published as regular expressions and written out here; each function
//! quotes its own.

use super::class::{Class, class, is_newest_number};
use crate::tokenizer::nfc::Characters;

/// The pattern of a pre-tokenizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// GPT-2's (Radford et al. 2019).
    Gpt2,
    /// Llama 3's, that of GPT-4: up to three digits are a word.
    Llama3,
    /// Qwen 2's: that of GPT-4, but each digit is a word.
    Qwen2,
    /// SmolLM's: each digit is a word, the text between digits is split as in GPT-2.
    SmolLm,
}

impl Pattern {
    /// The pattern with this number in a section.
    pub fn from_number(number: u32) -> Option<Self> {
        [Pattern::Gpt2, Pattern::Llama3, Pattern::Qwen2, Pattern::SmolLm].get(number as usize).copied()
    }

    /// Characters of the word at the start of `text`; 0 for an empty text.
    pub fn word(self, text: Cursor<'_>) -> usize {
        match self {
            Pattern::Gpt2 => gpt2(&text),
            Pattern::Llama3 => gpt4(&text, 3),
            Pattern::Qwen2 => gpt4(&text, 1),
            Pattern::SmolLm => match text.peek() {
                Some(first) if is_newest_number(first) => 1,
                _ => gpt2(&Cursor { ends_at_number: true, ..text }),
            },
        }
    }
}

/// The characters of a text from a position on.
#[derive(Clone)]
pub struct Cursor<'t> {
    characters: Characters<'t>,
    /// The text ends before the next number.
    ends_at_number: bool,
}

impl<'t> Cursor<'t> {
    pub fn new(characters: Characters<'t>) -> Self {
        Cursor { characters, ends_at_number: false }
    }

    fn peek(&self) -> Option<char> {
        self.clone().next()
    }

    /// How many characters of one class come first, `most` at most.
    #[inline(never)]
    fn run(&self, kind: Class, most: usize) -> usize {
        let mut rest = self.clone();
        let mut count = 0_usize;
        while count < most && rest.next().map(class) == Some(kind) {
            count = count.saturating_add(1);
        }
        count
    }

    /// The text after the first `count` characters.
    fn after(&self, count: usize) -> Self {
        let mut rest = self.clone();
        if let Some(last) = count.checked_sub(1) {
            rest.nth(last);
        }
        rest
    }
}

impl Iterator for Cursor<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        self.characters.next().filter(|&character| !(self.ends_at_number && is_newest_number(character)))
    }
}

/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
fn gpt2(text: &Cursor<'_>) -> usize {
    let contraction = contraction(text, |character| character);
    if contraction > 0 {
        return contraction;
    }
    let space = space(text);
    let rest = text.after(space);
    match rest.peek().map(class) {
        Some(kind) if kind != Class::Space => rest.run(kind, usize::MAX).saturating_add(space),
        _ => spaces(text),
    }
}

/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
fn gpt4(text: &Cursor<'_>, digits: usize) -> usize {
    let contraction = contraction(text, fold);
    if contraction > 0 {
        return contraction;
    }
    let Some(first) = text.peek() else { return 0 };
    match class(first) {
        Class::Letter => return text.run(Class::Letter, usize::MAX),
        Class::Number => return text.run(Class::Number, digits),
        _ => {}
    }
    if !is_line_end(first) {
        let letters = text.after(1).run(Class::Letter, usize::MAX);
        if letters > 0 {
            return letters.saturating_add(1);
        }
    }
    let space = space(text);
    let others = text.after(space).run(Class::Other, usize::MAX);
    if others > 0 {
        let length = space.saturating_add(others);
        let line_ends = text.after(length).take_while(|&character| is_line_end(character)).count();
        return length.saturating_add(line_ends);
    }
    let (mut length, mut last_line_end) = (0_usize, 0);
    for character in text.clone() {
        if class(character) != Class::Space {
            break;
        }
        length = length.saturating_add(1);
        if is_line_end(character) {
            last_line_end = length;
        }
    }
    if last_line_end > 0 { last_line_end } else { spaces(text) }
}

/// `'s|'t|'re|'ve|'m|'ll|'d` over characters that went through `fold`: its length, or 0.
fn contraction(text: &Cursor<'_>, fold: fn(char) -> char) -> usize {
    let mut rest = text.clone();
    if rest.next() != Some('\'') {
        return 0;
    }
    let mut next = || rest.next().map(fold);
    match (next(), next()) {
        (Some('s' | 't' | 'm' | 'd'), _) => 2,
        (Some('r' | 'v'), Some('e')) | (Some('l'), Some('l')) => 3,
        _ => 0,
    }
}

/// Case folding as far as contractions need it: `ſ` is an s.
fn fold(character: char) -> char {
    if character == '\u{17F}' { 's' } else { character.to_ascii_lowercase() }
}

/// `\s+(?!\S)|\s+`: the last of several spaces belongs to the word after them.
fn spaces(text: &Cursor<'_>) -> usize {
    let length = text.run(Class::Space, usize::MAX);
    let at_end = text.after(length).next().is_none();
    if at_end || length < 2 { length } else { length.saturating_sub(1) }
}

/// ` ?`: its length.
fn space(text: &Cursor<'_>) -> usize {
    usize::from(text.peek() == Some(' '))
}

fn is_line_end(character: char) -> bool {
    matches!(character, '\r' | '\n')
}
