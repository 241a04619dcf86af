//! Generator and recognizer, which walk the same grammar.

use crate::grammar::{Grammar, Part, Sequence};
use crate::rng::Rng;

/// A text that does not belong to the grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not in the grammar: \"{read}\" cannot be followed by \"{unread}\"")]
pub struct ParseError {
    /// Longest prefix that belongs to the grammar.
    pub read: String,
    /// Rest of the text.
    pub unread: String,
}

/// Row of each role so far.
#[derive(Clone)]
struct Cast(Vec<Option<usize>>);

impl Cast {
    fn new(grammar: &Grammar) -> Self {
        Self(vec![None; grammar.roles.len()])
    }

    /// Whether a role can have this row: its own, or one that no role of the same table has.
    fn allows(&self, grammar: &Grammar, role: usize, row: usize) -> bool {
        match self.0[role] {
            Some(own) => own == row,
            None => !(0..self.0.len()).any(|other| grammar.roles[other] == grammar.roles[role] && self.0[other] == Some(row)),
        }
    }
}

impl Grammar {
    /// Generates the story of a seed.
    pub fn story(&self, seed: u64) -> String {
        let mut teller = Teller { grammar: self, rng: Rng::new(seed), cast: Cast::new(self), text: String::new() };
        let plot = teller.rng.below(self.plots.len());
        teller.tell(&self.plots[plot]);
        teller.text
    }

    /// Checks that a sentence belongs to the grammar; its slots must agree within the sentence.
    ///
    /// # Errors
    /// [`ParseError`] with the longest prefix that belongs to the grammar.
    pub fn parse_sentence(&self, sentence: &str) -> Result<(), ParseError> {
        self.read_as_any(&self.sentences, sentence.trim())
    }

    /// Checks that a text is one whole story of the grammar; its slots must agree throughout.
    ///
    /// # Errors
    /// [`ParseError`] with the longest prefix that belongs to a story.
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

    /// Row of a role, drawn on first use.
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

/// Remaining parts: these, then those of the enclosing sequences.
#[derive(Clone, Copy)]
struct Todo<'a> {
    parts: &'a [Part],
    then: Option<&'a Todo<'a>>,
}

impl Reader<'_> {
    /// Whether the text from `at` on matches `todo` exactly. Backtracks over all possibilities: the row of a "he" may become clear only at the end
    /// of the sentence.
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

    /// Continues with a role cast; undoes it afterwards, so that another row can be tried.
    fn read_cast(&mut self, role: usize, row: usize, rest: &Todo, at: usize) -> bool {
        let before = self.cast.0[role].replace(row);
        let found = self.read(Some(rest), at);
        self.cast.0[role] = before;
        found
    }

    /// Offset after `words` if the text continues with them; records how far it matched.
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
