//! Perplexity of an encoder-decoder on pairs of a source and a target, and KL divergence from a reference.
//!
//! A file of pairs has one pair per line, source and target separated by a tab. The source is encoded with its special tokens. The decoder is fed its
//! prompt (the start token of the model) and the target; each token of the target and EOS after it are scored.

use std::path::Path;

use super::perplexity::score_all;
use super::scoring::{Data, Scorer, check};
use super::tally::{Metrics, Score, Tally};
use crate::engine::{OpenImage, Setup};
use crate::error::Error;
use crate::report::progress::Progress;

/// A source and its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'t> {
    /// Line in the file, from 1.
    pub line: usize,
    /// Text that the encoder reads.
    pub source: &'t str,
    /// Text that the decoder writes.
    pub target: &'t str,
}

/// A file of pairs that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PairsError {
    /// A line does not have two columns.
    #[error("line {line}: it has {columns} columns; a pair is a source and a target, separated by one tab")]
    Columns {
        /// Line from 1.
        line: usize,
        /// Its columns.
        columns: usize,
    },
    /// A source or target has no text.
    #[error("line {line}: the {side} is empty")]
    EmptySide {
        /// Line from 1.
        line: usize,
        /// `source` or `target`.
        side: &'static str,
    },
    /// All lines are blank.
    #[error("it has no pairs; a pair is a source and a target, separated by one tab")]
    Empty,
    /// A pair that the model cannot read.
    #[error("line {line} of the pairs: {source}")]
    Unreadable {
        /// Line from 1.
        line: usize,
        /// Error of the engine.
        source: attoformer::Error,
    },
}

/// Parses pairs; blank lines are skipped.
///
/// # Errors
/// [`PairsError`].
pub fn parse(text: &str) -> Result<Vec<Pair<'_>>, PairsError> {
    let lines = text.lines().zip(1..).filter(|(text, _)| !text.trim().is_empty());
    let pairs: Vec<Pair> = lines.map(|(text, line)| pair(text, line)).collect::<Result<_, _>>()?;
    if pairs.is_empty() { Err(PairsError::Empty) } else { Ok(pairs) }
}

fn pair(text: &str, line: usize) -> Result<Pair<'_>, PairsError> {
    let columns: Vec<&str> = text.split('\t').map(str::trim).collect();
    match columns[..] {
        ["", _] => Err(PairsError::EmptySide { line, side: "source" }),
        [_, ""] => Err(PairsError::EmptySide { line, side: "target" }),
        [source, target] => Ok(Pair { line, source, target }),
        _ => Err(PairsError::Columns { line, columns: columns.len() }),
    }
}

/// Scores the targets of all pairs with an image, and with a reference of the same vocabulary if given. No result depends on the number of threads.
///
/// # Errors
/// [`super::scoring::ScoringError`]; [`PairsError::Unreadable`] for a pair that exceeds the context; others of the engine.
pub fn measure(
    open: OpenImage<'_>,
    reference: Option<OpenImage<'_>>,
    setup: &Setup,
    threads: usize,
    pairs: &[Pair],
    progress: &Progress,
) -> Result<Metrics, Error> {
    check(open, reference, Data::Pairs)?;
    let setup = Setup { context: setup.context.or(Some(open.image.config().context)), ..*setup };
    let encode = |pair: &Pair| encode(open, pair).map_err(|error| blame(open.path, pair.line, error));
    let sequences: Vec<Sequence> = pairs.iter().map(encode).collect::<Result<_, _>>()?;
    let mut tally = Tally::default();
    score_all(open, reference, &setup, threads, &sequences, score, |scores: Vec<Score>| {
        tally.add(&scores);
        progress.advance(1);
    })?;
    Ok(tally.metrics())
}

/// The tokens of a pair.
struct Sequence {
    line: usize,
    source: Vec<u32>,
    /// Prompt, target and EOS.
    decoder: Vec<u32>,
    /// Tokens of the prompt.
    prompt: usize,
}

fn encode(open: OpenImage<'_>, pair: &Pair) -> Result<Sequence, attoformer::Error> {
    let (tokenizer, config) = (open.image.tokenizer()?, open.image.config());
    let mut source = vec![0; tokenizer.max_tokens(pair.source.len())];
    let count = tokenizer.encode_with_special_tokens(pair.source, &mut source)?.tokens;
    source.truncate(count);
    let mut decoder = open.image.generation_config().map_or(vec![config.bos], |generation| generation.prompt.to_vec());
    let prompt = decoder.len();
    decoder.resize(prompt + tokenizer.max_tokens(pair.target.len()), 0);
    let count = tokenizer.encode(pair.target, &mut decoder[prompt..])?;
    decoder.truncate(prompt + count);
    decoder.push(config.eos);
    Ok(Sequence { line: pair.line, source, decoder, prompt })
}

fn score(scorer: &mut Scorer, sequence: &Sequence) -> Result<Vec<Score>, Error> {
    scorer.each(|session, path| {
        // EOS is scored but not fed.
        let (fed, context) = (sequence.decoder.len() - 1, session.position() + session.remaining());
        if fed > context {
            return Err(blame(path, sequence.line, attoformer::Error::ContextFull { tokens: fed, context }));
        }
        session.encode(&sequence.source).map(|_| ()).map_err(|error| blame(path, sequence.line, error))
    })?;
    scorer.score(&sequence.decoder, sequence.prompt)
}

/// Adds the line to an error of one pair; an image without a tokenizer is at fault for all of them.
fn blame(path: &Path, line: usize, error: attoformer::Error) -> Error {
    match error {
        attoformer::Error::NoTokenizer => Error::engine(path)(error),
        source => Error::file(path)(PairsError::Unreadable { line, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::{Pair, parse};

    #[test]
    fn pairs_have_two_columns() {
        let read = parse("\u{e9}a b\tc\r\n\n d\t e f \n").unwrap();
        assert_eq!(read, [Pair { line: 1, source: "\u{e9}a b", target: "c" }, Pair { line: 3, source: "d", target: "e f" }]);
        for (text, said) in [
            ("a\tb\nc\n", "line 2: it has 1 columns; a pair is a source and a target, separated by one tab"),
            ("a\tb\tc\n", "line 1: it has 3 columns; a pair is a source and a target, separated by one tab"),
            ("a\tb\n\tc\n", "line 2: the source is empty"),
            ("a\t \n", "line 1: the target is empty"),
            ("\n \t\n", "it has no pairs; a pair is a source and a target, separated by one tab"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), said);
        }
    }
}
