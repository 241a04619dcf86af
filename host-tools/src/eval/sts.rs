//! Semantic textual similarity: the correlation of the cosine similarity of two sentences' embeddings with human scores.
//!
//! A file of pairs is tab-separated without quoting: column 5 is the score, columns 6 and 7 are the sentences (the format of the STS benchmark).

use std::path::Path;

use attoformer::Session;

use crate::engine::{OpenImage, Setup};
use crate::error::Error;
use crate::report::progress::Progress;
use crate::run::embed::{Embedding, TextError, embed_batch};
use crate::threads::map_in_order;

/// Pairs per work item of a thread.
const TOGETHER: usize = 32;

/// Two sentences and their human score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair<'t> {
    /// Similarity; higher is more similar.
    pub score: f64,
    /// The sentences.
    pub sentences: [&'t str; 2],
}

/// Results.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Metrics {
    /// Spearman's rank correlation of cosine similarities and scores; ties share their mean rank.
    pub spearman: f64,
    /// Pearson's linear correlation of cosine similarities and scores.
    pub pearson: f64,
    /// Pairs in the file.
    pub pairs: usize,
    /// Sentences truncated because they exceed the context.
    #[serde(rename = "cut")]
    pub truncated: usize,
    /// Spearman's rank correlation of the reference on the same pairs.
    pub reference_spearman: Option<f64>,
    /// Mean cosine similarity of the image's embedding and the reference's, over both sentences of every pair: a sentence that occurs twice counts twice.
    pub cosine_mean: Option<f64>,
    /// Least cosine similarity of the image's embedding and the reference's.
    pub cosine_min: Option<f64>,
}

/// A file of pairs that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PairsError {
    /// A line has too few columns.
    #[error("line {line}: it has {columns} columns; a pair has at least 7, separated by tabs")]
    Columns {
        /// Line from 1.
        line: usize,
        /// Its columns.
        columns: usize,
    },
    /// A score is not a number.
    #[error("line {line}: the score {score:?} is not a number")]
    Score {
        /// Line from 1.
        line: usize,
        /// The score.
        score: String,
    },
    /// The scores have no variance.
    #[error("all scores are {0}; a correlation needs different ones")]
    ConstantScores(f64),
    /// Fewer than two pairs.
    #[error("it has fewer than two pairs")]
    TooFew,
    /// A pair that the model cannot read.
    #[error("line {line} of the pairs: {source}")]
    Unreadable {
        /// Line from 1.
        line: usize,
        /// Error of the engine.
        source: attoformer::Error,
    },
}

/// Parses pairs.
///
/// # Errors
/// [`PairsError`].
pub fn pairs(text: &str) -> Result<Vec<Pair<'_>>, PairsError> {
    let pairs: Vec<Pair<'_>> = text.lines().enumerate().map(|(index, text)| pair(index + 1, text)).collect::<Result<_, PairsError>>()?;
    match pairs.first() {
        Some(first) if pairs.iter().any(|pair| pair.score != first.score) => Ok(pairs),
        Some(first) if pairs.len() > 1 => Err(PairsError::ConstantScores(first.score)),
        _ => Err(PairsError::TooFew),
    }
}

fn pair(line: usize, text: &str) -> Result<Pair<'_>, PairsError> {
    let columns: Vec<&str> = text.split('\t').collect();
    let [_, _, _, _, score, first, second, ..] = columns[..] else {
        return Err(PairsError::Columns { line, columns: columns.len() });
    };
    let number = score.trim().parse::<f64>().ok().filter(|score| score.is_finite());
    let score = number.ok_or_else(|| PairsError::Score { line, score: score.to_owned() })?;
    Ok(Pair { score, sentences: [first, second] })
}

/// Embeds all pairs with an image, and with a reference if given. No result depends on the number of threads.
///
/// # Errors
/// Those of the engine with the image; [`PairsError::Unreadable`] for a pair that the model cannot read.
pub fn measure(
    open: OpenImage<'_>,
    reference: Option<OpenImage<'_>>,
    setup: &Setup,
    threads: usize,
    pairs: &[Pair],
    progress: &Progress,
) -> Result<Metrics, Error> {
    let (mut found, mut expected, mut between, mut truncated) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let chunks = pairs.chunks(TOGETHER).zip((1..).step_by(TOGETHER));
    let worker = |chunks: &mut dyn Iterator<Item = (&[Pair], usize)>, give: &mut dyn FnMut(Result<Vec<Cosines>, Error>) -> bool| {
        let worked = setup.with_session(open, |session| match reference {
            None => work(chunks, |pairs, line| Ok((embed_pairs(session, open.path, pairs, line)?, None)), give),
            Some(reference) => setup.with_session(reference, |other| {
                let both = |pairs: &[Pair], line| {
                    let found = embed_pairs(session, open.path, pairs, line)?;
                    Ok((found, Some(embed_pairs(other, reference.path, pairs, line)?)))
                };
                work(chunks, both, give)
            }),
        });
        if let Err(error) = worked {
            give(Err(error));
        }
    };
    map_in_order(threads, chunks, worker, |answer: Result<Vec<Cosines>, Error>| {
        let answer = answer?;
        progress.advance(answer.len() as u64);
        for cosines in answer {
            found.push(cosines.found);
            truncated += cosines.truncated;
            if let Some((cosine, pair)) = cosines.reference {
                expected.push(cosine);
                between.extend(pair);
            }
        }
        Ok::<(), Error>(())
    })?;
    let scores: Vec<f64> = pairs.iter().map(|pair| pair.score).collect();
    let rank_correlation = |cosines: &[f64]| correlation(&ranks(cosines), &ranks(&scores));
    Ok(Metrics {
        spearman: rank_correlation(&found),
        pearson: correlation(&found, &scores),
        pairs: pairs.len(),
        truncated,
        reference_spearman: reference.is_some().then(|| rank_correlation(&expected)),
        cosine_mean: reference.is_some().then(|| between.iter().sum::<f64>() / between.len() as f64),
        cosine_min: between.into_iter().reduce(f64::min),
    })
}

/// Result of a pair.
struct Cosines {
    found: f64,
    /// Truncated sentences.
    truncated: usize,
    /// The reference's cosine, and those between its embeddings and the image's.
    reference: Option<(f64, [f64; 2])>,
}

/// Embeddings of pairs, two each, from the image and from the reference.
type Both = (Vec<Embedding>, Option<Vec<Embedding>>);

fn work(
    chunks: &mut dyn Iterator<Item = (&[Pair], usize)>,
    mut embed: impl FnMut(&[Pair], usize) -> Result<Both, Error>,
    give: &mut dyn FnMut(Result<Vec<Cosines>, Error>) -> bool,
) -> Result<(), Error> {
    for (pairs, line) in chunks {
        if !give(embed(pairs, line).map(|both| cosines(&both))) {
            break;
        }
    }
    Ok(())
}

fn embed_pairs(session: &mut Session, path: &Path, pairs: &[Pair], line: usize) -> Result<Vec<Embedding>, Error> {
    let sentences: Vec<&str> = pairs.iter().flat_map(|pair| pair.sentences).collect();
    embed_batch(session, &sentences, false).map_err(|TextError { index, error }| match error {
        attoformer::Error::Architecture { .. } | attoformer::Error::NoTokenizer => Error::engine(path)(error),
        _ => Error::file(path)(PairsError::Unreadable { line: line + index / 2, source: error }),
    })
}

fn cosines((found, expected): &Both) -> Vec<Cosines> {
    let mut reference = expected.iter().flatten();
    let mut of = |[a, b]: &[Embedding; 2]| {
        let reference = reference.next().zip(reference.next());
        let between = |c: &Embedding, d: &Embedding| [cosine(&a.values, &c.values), cosine(&b.values, &d.values)];
        let truncated = [a, b].into_iter().filter(|embedding| embedding.truncated > 0).count();
        Cosines {
            found: cosine(&a.values, &b.values),
            truncated,
            reference: reference.map(|(c, d)| (cosine(&c.values, &d.values), between(c, d))),
        }
    };
    found.as_chunks().0.iter().map(&mut of).collect()
}

/// Cosine similarity of two vectors; 0 if one of them is zero.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| a as f64 * b as f64).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths == 0.0 { 0.0 } else { dot(a, b) / lengths }
}

/// Pearson's correlation; NaN if one side is constant.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let sum = |of: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(&a, &b)| of(a - mean_a, b - mean_b)).sum::<f64>();
    sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
}

/// Rank of each value in ascending order; equal values share their mean rank.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for run in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let mean = start as f64 + (run.len() - 1) as f64 / 2.0;
        run.iter().for_each(|&index| ranks[index] = mean);
        start += run.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::{correlation, pairs, ranks};

    #[test]
    fn equal_values_share_their_rank() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0, 3.0]), [3.0, 0.0, 3.0, 1.0, 3.0]);
    }

    /// By hand: deviations -1, 0, 1 and -1, 2, -1 give 0; a rising line gives 1.
    #[test]
    fn correlations_are_pearsons() {
        assert_eq!(correlation(&[1.0, 2.0, 3.0], &[0.0, 3.0, 0.0]), 0.0);
        assert!((correlation(&[1.0, 2.0, 4.0], &[-3.0, -1.0, 3.0]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_pair_without_its_columns_is_named_by_its_line() {
        let whole = "g\tf\ty\t1\t2.5\tone\ttwo\tmore\n";
        let twice = format!("{whole}{}", whole.replace("2.5", "3"));
        let read = pairs(&twice).unwrap();
        assert_eq!((read.len(), read[0].score, read[1].sentences), (2, 2.5, ["one", "two"]));
        assert!(pairs(&whole.repeat(2)).unwrap_err().to_string().starts_with("all scores are 2.5"));
        assert!(pairs(&format!("{whole}a\tb\n")).unwrap_err().to_string().starts_with("line 2: it has 2 columns"));
        assert!(pairs(&whole.replace("2.5", "x").repeat(2)).unwrap_err().to_string().starts_with("line 1: the score \"x\""));
        assert!(pairs(whole).is_err());
    }
}
