//! What a grammar is once it is read: tables, roles, plots and the sentences they are made of.

use std::sync::LazyLock;

use crate::compile::{GrammarError, compile};

/// A story grammar. [`Grammar::tales`] is the built-in one; [`Grammar::parse`] reads another.
#[derive(Debug)]
pub struct Grammar {
    pub(crate) tables: Vec<Table>,
    /// For each role the index of the table it takes its row from.
    pub(crate) roles: Vec<usize>,
    /// A whole plot is one sequence, so that walking it keeps one cast from beginning to end.
    pub(crate) plots: Vec<Sequence>,
    /// Every sentence of every plot, each once.
    pub(crate) sentences: Vec<Sequence>,
}

/// Parts that follow each other without anything between.
pub(crate) type Sequence = Vec<Part>;

/// Rows of words; the words of one row agree with each other.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// One step of a production.
#[derive(Debug)]
pub(crate) enum Part {
    /// These very words.
    Text(String),
    /// One column of the row a role has, with a capital letter or without.
    Slot { role: usize, column: usize, capital: bool },
    /// Any one of these.
    Choice(Vec<Sequence>),
}

impl Grammar {
    /// The grammar of the built-in tales.
    pub fn tales() -> &'static Self {
        static TALES: LazyLock<Grammar> =
            LazyLock::new(|| Grammar::parse(include_str!("grammar.txt")).expect("a test reads the built-in grammar"));
        &TALES
    }

    /// Reads a grammar; `grammar.txt` beside this file explains the form in its first lines.
    ///
    /// # Errors
    /// [`GrammarError`] names the line and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, GrammarError> {
        compile(text)
    }

    /// The text of one slot.
    pub(crate) fn word(&self, role: usize, row: usize, column: usize) -> &str {
        &self.tables[self.roles[role]].rows[row][column]
    }

    /// The number of rows a role can take.
    pub(crate) fn rows(&self, role: usize) -> usize {
        self.tables[self.roles[role]].rows.len()
    }
}
