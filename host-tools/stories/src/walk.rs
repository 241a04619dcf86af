//! The two walkers: one tells a story along a grammar, one reads a text along it.

use crate::grammar::{Grammar, Part, Sequence};
use crate::rng::Rng;

/// Why a text does not belong to the grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not in the grammar: after \"{read}\" nothing goes on with \"{unread}\"")]
pub struct ParseError {
    /// The longest beginning of the text that the grammar can read.
    pub read: String,
    /// What follows it.
    pub unread: String,
}

/// The row each role has taken so far.
#[derive(Clone)]
struct Cast(Vec<Option<usize>>);

impl Cast {
    fn new(grammar: &Grammar) -> Self {
        Self(vec![None; grammar.roles.len()])
    }

    /// Whether a role may have this row: its own, or one that no role of the same table has.
    fn allows(&self, grammar: &Grammar, role: usize, row: usize) -> bool {
        match self.0[role] {
            Some(own) => own == row,
            None => !(0..self.0.len()).any(|other| grammar.roles[other] == grammar.roles[role] && self.0[other] == Some(row)),
        }
    }
}

impl Grammar {
    /// The story of a seed.
    pub fn story(&self, seed: u64) -> String {
        let mut teller = Teller { grammar: self, rng: Rng::new(seed), cast: Cast::new(self), text: String::new() };
        let plot = teller.rng.below(self.plots.len());
        teller.tell(&self.plots[plot]);
        teller.text
    }

    /// Whether one sentence belongs to the grammar; its slots must agree within the sentence.
    ///
    /// # Errors
    /// [`ParseError`] says how far the sentence can be read.
    pub fn parse_sentence(&self, sentence: &str) -> Result<(), ParseError> {
        self.read_as_any(&self.sentences, sentence.trim())
    }

    /// Whether a text is one whole story of the grammar, its slots agreeing throughout.
    ///
    /// # Errors
    /// [`ParseError`] says how far the text can be read.
    pub fn parse_story(&self, text: &str) -> Result<(), ParseError> {
        self.read_as_any(&self.plots, text.trim())
    }

    fn read_as_any(&self, sequences: &[Sequence], text: &str) -> Result<(), ParseError> {
        let mut reader = Reader { grammar: self, text, cast: Cast::new(self), furthest: 0 };
        let found = sequences.iter().any(|parts| reader.read(Some(&Todo { parts, then: None }), 0));
        if found {
            return Ok(());
        }
        let (read, unread) = text.split_at(reader.furthest);
        Err(ParseError { read: read.to_owned(), unread: unread.to_owned() })
    }
}

struct Teller<'a> {
    grammar: &'a Grammar,
    rng: Rng,
    cast: Cast,
    text: String,
}

impl Teller<'_> {
    fn tell(&mut self, parts: &[Part]) {
        for part in parts {
            match part {
                Part::Text(text) => self.text.push_str(text),
                Part::Choice(choices) => {
                    let chosen = self.rng.below(choices.len());
                    self.tell(&choices[chosen]);
                }
                &Part::Slot { role, column, capital } => {
                    let row = self.row(role);
                    let word = self.grammar.word(role, row, column);
                    self.text.extend(capitals(word, capital));
                }
            }
        }
    }

    /// The row of a role; its first use draws one.
    fn row(&mut self, role: usize) -> usize {
        let free: Vec<usize> = (0..self.grammar.rows(role)).filter(|&row| self.cast.allows(self.grammar, role, row)).collect();
        let row = free[self.rng.below(free.len())];
        self.cast.0[role] = Some(row);
        row
    }
}

fn capitals(word: &str, capital: bool) -> impl Iterator<Item = char> {
    let first = word.chars().next().filter(|_| capital).map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(word.chars().skip(usize::from(capital)))
}

struct Reader<'a> {
    grammar: &'a Grammar,
    text: &'a str,
    cast: Cast,
    furthest: usize,
}

/// What is still to be read: these parts, and then those around them.
#[derive(Clone, Copy)]
struct Todo<'a> {
    parts: &'a [Part],
    then: Option<&'a Todo<'a>>,
}

impl Reader<'_> {
    /// Whether the text from `at` on can be read as exactly `todo`. Every way is tried: which row
    /// a "he" stands for may show only at the sentence's end.
    fn read(&mut self, todo: Option<&Todo>, at: usize) -> bool {
        let Some(&Todo { parts, then }) = todo else {
            return at == self.text.len();
        };
        let Some((first, parts)) = parts.split_first() else {
            return self.read(then, at);
        };
        let rest = Todo { parts, then };
        match first {
            Part::Text(text) => {
                let end = self.skip(text.chars(), at);
                end.is_some_and(|at| self.read(Some(&rest), at))
            }
            Part::Choice(choices) => choices.iter().any(|parts| self.read(Some(&Todo { parts, then: Some(&rest) }), at)),
            &Part::Slot { role, column, capital } => (0..self.grammar.rows(role)).any(|row| {
                let word = capitals(self.grammar.word(role, row, column), capital);
                let end = if self.cast.allows(self.grammar, role, row) { self.skip(word, at) } else { None };
                end.is_some_and(|at| self.read_cast(role, row, &rest, at))
            }),
        }
    }

    /// Reads on with a role cast; undoes it afterwards, for another row may be tried.
    fn read_cast(&mut self, role: usize, row: usize, rest: &Todo, at: usize) -> bool {
        let before = self.cast.0[role].replace(row);
        let found = self.read(Some(rest), at);
        self.cast.0[role] = before;
        found
    }

    /// The place after `words` if the text goes on with them; remembers how far it agreed.
    fn skip(&mut self, words: impl Iterator<Item = char>, at: usize) -> Option<usize> {
        let mut rest = self.text[at..].chars();
        for expected in words {
            let here = self.text.len() - rest.as_str().len();
            self.furthest = self.furthest.max(here);
            if rest.next() != Some(expected) {
                return None;
            }
        }
        let end = self.text.len() - rest.as_str().len();
        self.furthest = self.furthest.max(end);
        Some(end)
    }
}
