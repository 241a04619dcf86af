//! Compiles the text of a grammar into tables and sequences.

use std::collections::{BTreeMap, BTreeSet};

use crate::grammar::{Grammar, Part, Sequence, Table};
use crate::split::sentences;

/// An invalid grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// A line outside any block, or a beat outside a plot.
    #[error("line {0}: this line belongs to no table, rule or plot")]
    Stray(usize),
    /// A table row with more or fewer cells than the table has columns.
    #[error("line {0}: the row and the table differ in their number of columns")]
    Ragged(usize),
    /// An unknown table, role, column or rule, or a recursive rule.
    #[error("\"{0}\" is unknown or recursive")]
    Unknown(String),
    /// An unmatched bracket.
    #[error("a bracket is not closed in \"{0}\"")]
    Open(String),
    /// A table with fewer rows than roles, each of which needs a row of its own.
    #[error("more roles take a row of \"{0}\" than it has rows")]
    Crowded(String),
    /// A table without rows, a rule without lines, a beat without alternatives, no plot.
    #[error("\"{0}\" is empty")]
    Empty(String),
}

/// The blocks of the text before name resolution.
#[derive(Default)]
struct Source<'a> {
    tables: BTreeMap<&'a str, Table>,
    roles: Vec<(&'a str, &'a str)>,
    rules: BTreeMap<&'a str, Vec<&'a str>>,
    plots: Vec<(&'a str, Vec<Vec<&'a str>>)>,
}

pub(crate) fn compile(text: &str) -> Result<Grammar, GrammarError> {
    let source = Source::read(text)?;
    let names: Vec<&str> = source.tables.keys().copied().collect();
    let roles = source
        .roles
        .iter()
        .map(|(_, table)| names.iter().position(|name| name == table).ok_or_else(|| unknown(table)))
        .collect::<Result<_, _>>()?;
    let mut plots = Vec::new();
    let mut lines = BTreeSet::new();
    for (_, beats) in &source.plots {
        plots.push(source.plot(beats)?);
        for line in beats.iter().flatten() {
            source.collect_sentences(line, &mut lines, 0)?;
        }
    }
    if plots.is_empty() {
        return Err(GrammarError::Empty("the grammar".to_owned()));
    }
    let sentences = lines.into_iter().map(|line| source.sequence(line, 0)).collect::<Result<_, _>>()?;
    Ok(Grammar { tables: source.tables.into_values().collect(), roles, plots, sentences })
}

fn unknown(name: &str) -> GrammarError {
    GrammarError::Unknown(name.to_owned())
}

/// Maximum nesting of rules; deeper nesting counts as recursion.
const MAX_DEPTH: usize = 16;

impl<'a> Source<'a> {
    fn read(text: &'a str) -> Result<Self, GrammarError> {
        let mut source = Self::default();
        let mut block = ("", "");
        for (number, line) in (1..).zip(text.lines()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                _ if line.starts_with(' ') => source.add(block, line.trim(), number)?,
                ["role", name, table] => source.roles.push((name, table)),
                ["plot", name] => source.plots.push((name, Vec::new())),
                ["beat"] => {
                    let (_, beats) = source.plots.last_mut().ok_or(GrammarError::Stray(number))?;
                    beats.push(Vec::new());
                    block = ("beat", "");
                }
                [kind @ ("table" | "rule"), name] => block = (kind, name),
                _ => return Err(GrammarError::Stray(number)),
            }
        }
        source.well_filled()?;
        Ok(source)
    }

    /// Adds one line to a block.
    fn add(&mut self, block: (&str, &'a str), line: &'a str, number: usize) -> Result<(), GrammarError> {
        match block {
            ("table", name) => {
                let cells: Vec<String> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
                let Some(table) = self.tables.get_mut(name) else {
                    self.tables.insert(name, Table { columns: cells, rows: Vec::new() });
                    return Ok(());
                };
                if cells.len() != table.columns.len() {
                    return Err(GrammarError::Ragged(number));
                }
                table.rows.push(cells);
            }
            ("rule", name) => self.rules.entry(name).or_default().push(line),
            ("beat", _) => {
                let beat = self.plots.last_mut().and_then(|(_, beats)| beats.last_mut());
                beat.ok_or(GrammarError::Stray(number))?.push(line);
            }
            _ => return Err(GrammarError::Stray(number)),
        }
        Ok(())
    }

    fn well_filled(&self) -> Result<(), GrammarError> {
        for (name, table) in &self.tables {
            if self.roles.iter().filter(|(_, of)| of == name).count() > table.rows.len().max(1) {
                return Err(GrammarError::Crowded((*name).to_owned()));
            }
        }
        let table = self.tables.iter().find(|(_, table)| table.rows.is_empty()).map(|(name, _)| *name);
        let plot = self.plots.iter().find(|(_, beats)| beats.is_empty() || beats.iter().any(Vec::is_empty)).map(|(name, _)| *name);
        table.or(plot).map_or(Ok(()), |name| Err(GrammarError::Empty(name.to_owned())))
    }

    /// A plot: its beats, separated by spaces.
    fn plot(&self, beats: &[Vec<&str>]) -> Result<Sequence, GrammarError> {
        let mut parts = Vec::new();
        for beat in beats {
            if !parts.is_empty() {
                parts.push(Part::Text(" ".to_owned()));
            }
            parts.push(self.choice(beat, 0)?);
        }
        Ok(parts)
    }

    fn choice(&self, lines: &[&str], depth: usize) -> Result<Part, GrammarError> {
        lines.iter().map(|line| self.sequence(line, depth)).collect::<Result<_, _>>().map(Part::Choice)
    }

    /// Compiles the text of one alternative.
    fn sequence(&self, line: &str, depth: usize) -> Result<Sequence, GrammarError> {
        let mut parts = Vec::new();
        let mut rest = line;
        while let Some(at) = rest.find(['{', '<', '(']) {
            if at > 0 {
                parts.push(Part::Text(rest[..at].to_owned()));
            }
            let close = match rest.as_bytes()[at] {
                b'{' => '}',
                b'<' => '>',
                _ => ')',
            };
            let (inside, after) = rest[at + 1..].split_once(close).ok_or_else(|| GrammarError::Open(line.to_owned()))?;
            parts.push(match close {
                '}' => self.slot(inside)?,
                '>' => self.choice(self.rule(inside, depth)?, depth + 1)?,
                _ => self.choice(&inside.split('|').collect::<Vec<_>>(), depth + 1)?,
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(parts)
    }

    fn rule(&self, name: &str, depth: usize) -> Result<&[&'a str], GrammarError> {
        let lines = self.rules.get(name).filter(|_| depth < MAX_DEPTH);
        lines.map(Vec::as_slice).ok_or_else(|| unknown(name))
    }

    /// `role` or `role:column` or `role:Column`.
    fn slot(&self, inside: &str) -> Result<Part, GrammarError> {
        let (name, column) = inside.split_once(':').unwrap_or((inside, ""));
        let role = self.roles.iter().position(|(role, _)| *role == name).ok_or_else(|| unknown(name))?;
        let table = self.tables.get(self.roles[role].1).ok_or_else(|| unknown(self.roles[role].1))?;
        let lower = column.to_ascii_lowercase();
        let column_index = match column {
            "" => Some(0),
            _ => table.columns.iter().position(|name| *name == lower),
        };
        let column_index = column_index.ok_or_else(|| unknown(inside))?;
        Ok(Part::Slot { role, column: column_index, capital: column != lower })
    }

    /// Collects the sentences of one alternative; an alternative that is only a `<rule>` expands to the lines of the rule.
    fn collect_sentences<'s>(&'s self, line: &'s str, into: &mut BTreeSet<&'s str>, depth: usize) -> Result<(), GrammarError> {
        match line.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
            Some(name) if !name.contains('<') => {
                for line in self.rule(name, depth)? {
                    self.collect_sentences(line, into, depth + 1)?;
                }
            }
            _ => into.extend(sentences(line)),
        }
        Ok(())
    }
}
