//! Unicode's normalisation form C, and the decompositions it starts from, character by character: no buffer, whatever the number of marks
//! behind a letter.
//!
//! The results are those of the `tokenizers` crate, which knows Unicode 9. The tables take 12,686 bytes of a device's flash.

mod tables;
mod unicode;

use core::str::Chars;
use unicode::{class, compose, decompose, is_settled};

/// How many times the bytes of a text its form C may have: U+1D160 becomes three characters of its own length.
pub(super) const GROWTH: usize = 3;

/// The characters of a text, in form C if it is wanted.
#[derive(Clone)]
pub(super) enum Characters<'t> {
    /// As they are.
    Plain(Chars<'t>),
    /// In form C.
    Composed(Composed<'t>),
}

impl<'t> Characters<'t> {
    /// The characters of `text`. A text that is in form C already, all ASCII such, costs one look at each of its characters.
    pub fn new(text: &'t str, nfc: bool) -> Self {
        match nfc && !text.chars().all(is_settled) {
            true => Characters::Composed(Composed::new(text)),
            false => Characters::Plain(text.chars()),
        }
    }
}

impl Iterator for Characters<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        match self {
            Characters::Plain(characters) => characters.next(),
            Characters::Composed(characters) => characters.next(),
        }
    }
}

/// Canonical composition (Unicode, chapter 3.11, D117). Of a character of class 0 and what may join it the joined character comes first, and
/// the rest is gone through a second time.
#[derive(Clone)]
pub(super) struct Composed<'t> {
    rest: Ordered<'t>,
    /// Characters of `rest` up to the next that nothing before it can change.
    left: usize,
    join: Join,
}

/// A character of class 0, and what kept others from joining it so far.
#[derive(Clone, Copy)]
struct Join {
    base: char,
    /// Class of the last character that stays beside it; 0 for none.
    last: u32,
}

impl Join {
    /// Takes the next character; `false` when it stays beside the base.
    fn take(&mut self, character: char, class: u32) -> bool {
        let reached = self.last == 0 || self.last < class;
        match compose(self.base, character).filter(|_| reached) {
            Some(joined) => self.base = joined,
            None => {
                self.last = class;
                return false;
            }
        }
        true
    }
}

impl<'t> Composed<'t> {
    fn new(text: &'t str) -> Self {
        Composed { rest: Ordered::new(text), left: 0, join: Join { base: '\0', last: 0 } }
    }
}

impl Iterator for Composed<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        while let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            let character = self.rest.next()?;
            if !self.join.take(character, class(character)) {
                return Some(character);
            }
        }
        let base = self.rest.next()?;
        if class(base) != 0 {
            return Some(base);
        }
        self.join = Join { base, last: 0 };
        let mut joined = self.join;
        for character in self.rest.clone() {
            let class = class(character);
            if !joined.take(character, class) && class == 0 {
                break;
            }
            self.left = self.left.saturating_add(1);
        }
        Some(joined.base)
    }
}

/// The decomposed characters of a text in canonical order: each run of marks sorted by class, equal ones as they come. A run is gone through
/// once per class in it.
#[derive(Clone)]
struct Ordered<'t> {
    /// What comes behind the last character given; in a run of marks, from the run's start on.
    from: Decomposed<Chars<'t>>,
    /// The rest of the run, behind the last mark given.
    run: Decomposed<Chars<'t>>,
    /// The class of the marks that are given now; 0 outside a run.
    class: u32,
}

impl<'t> Ordered<'t> {
    fn new(text: &'t str) -> Self {
        let from = Decomposed::new(text.chars());
        Ordered { run: from.clone(), from, class: 0 }
    }

    /// The run's lowest class above the present one.
    fn next_class(&self) -> Option<u32> {
        let classes = self.from.clone().map(class).take_while(|&class| class != 0);
        classes.filter(|&class| class > self.class).min()
    }
}

impl Iterator for Ordered<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        loop {
            if self.class != 0 {
                let marks = self.run.by_ref().map(|character| (character, class(character)));
                let found = marks.take_while(|&(_, class)| class != 0).find(|&(_, class)| class == self.class);
                if let Some((mark, _)) = found {
                    return Some(mark);
                }
            }
            match self.next_class() {
                Some(class) => {
                    self.run = self.from.clone();
                    self.class = class;
                }
                None => {
                    if core::mem::replace(&mut self.class, 0) != 0 {
                        self.from.skip_marks();
                    }
                    return self.from.next();
                }
            }
        }
    }
}

/// Characters, each as its full canonical decomposition.
#[derive(Clone)]
pub(super) struct Decomposed<I> {
    characters: I,
    /// Of the last character, the last part first.
    parts: heapless::Vec<char, 4>,
}

impl<I: Iterator<Item = char> + Clone> Decomposed<I> {
    pub fn new(characters: I) -> Self {
        Decomposed { characters, parts: heapless::Vec::new() }
    }

    /// Passes the marks that come next.
    fn skip_marks(&mut self) {
        let marks = self.clone().take_while(|&character| class(character) != 0).count();
        if let Some(last) = marks.checked_sub(1) {
            self.nth(last);
        }
    }
}

impl<I: Iterator<Item = char>> Iterator for Decomposed<I> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        if self.parts.is_empty() {
            decompose(self.characters.next()?, &mut self.parts);
        }
        self.parts.pop()
    }
}
