//! A compiled grammar: tables, roles, plots and their sentences.

use std::sync::LazyLock;

use crate::compile::{GrammarError, compile};

/// A story grammar. [`Grammar::tales`] is the built-in one; [`Grammar::parse`] compiles another.
#[derive(Debug)]
pub struct Grammar {
    pub(crate) tables: Vec<Table>,
    /// For each role the index of its table.
    pub(crate) roles: Vec<usize>,
    /// A whole plot is one sequence, so that it has one cast throughout.
    pub(crate) plots: Vec<Sequence>,
    /// The distinct sentences of all plots.
    pub(crate) sentences: Vec<Sequence>,
}

/// Concatenated parts.
pub(crate) type Sequence = Vec<Part>;

/// Rows of words; the words of a row agree with each other.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// One step of a production.
#[derive(Debug)]
pub(crate) enum Part {
    /// Literal words.
    Text(String),
    /// A column of the role's row, capitalized or not.
    Slot { role: usize, column: usize, capital: bool },
    /// One of several alternatives.
    Choice(Vec<Sequence>),
}

impl Grammar {
    /// The grammar of the built-in tales.
    pub fn tales() -> &'static Self {
        static TALES: LazyLock<Grammar> =
            LazyLock::new(|| Grammar::parse(include_str!("grammar.txt")).expect("a test reads the built-in grammar"));
        &TALES
    }

    /// Compiles a grammar; the first lines of `grammar.txt` document the syntax.
    ///
    /// # Errors
    /// [`GrammarError`].
    pub fn parse(text: &str) -> Result<Self, GrammarError> {
        compile(text)
    }

    /// The text of one slot.
    pub(crate) fn word(&self, role: usize, row: usize, column: usize) -> &str {
        &self.tables[self.roles[role]].rows[row][column]
    }

    /// Number of rows that a role can have.
    pub(crate) fn rows(&self, role: usize) -> usize {
        self.tables[self.roles[role]].rows.len()
    }
}
