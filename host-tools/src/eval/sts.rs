//! Semantic textual similarity: how well the cosine of two sentences' embeddings follows what people said of them.
//!
//! A file of pairs is tab separated, without quotes: column 5 is the score, 6 and 7 are the sentences (the STS benchmark's form).

use std::path::Path;

use attoformer::Session;

use crate::engine::{OpenImage, Setup};
use crate::error::Error;
use crate::report::progress::Progress;
use crate::run::embed::{Embedding, Refused, embed_together};
use crate::threads::map_in_order;

/// Pairs that go to a thread together.
const TOGETHER: usize = 32;

/// Two sentences and how alike people found them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair<'t> {
    /// The more alike, the higher.
    pub score: f64,
    /// The sentences.
    pub sentences: [&'t str; 2],
}

/// What was measured.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Metrics {
    /// Rank correlation of cosines and scores, ties sharing their mean rank.
    pub spearman: f64,
    /// Linear correlation of cosines and scores.
    pub pearson: f64,
    /// Pairs in the file.
    pub pairs: usize,
    /// Sentences that are longer than the context, so that their ends were left out.
    pub cut: usize,
    /// The reference's rank correlation on the same pairs.
    pub reference_spearman: Option<f64>,
    /// Mean cosine of the image's embedding and the reference's, over all sentences.
    pub reference_cosine: Option<f64>,
}

/// Reads pairs.
///
/// # Errors
/// A sentence's end that names the line.
pub fn pairs(text: &str) -> Result<Vec<Pair<'_>>, String> {
    let pairs: Vec<Pair<'_>> = text
        .lines()
        .enumerate()
        .map(|(index, line)| pair(line).map_err(|what| format!("line {}: {what}", index + 1)))
        .collect::<Result<_, String>>()?;
    match pairs.first() {
        Some(first) if pairs.iter().any(|pair| pair.score != first.score) => Ok(pairs),
        Some(first) if pairs.len() > 1 => Err(format!("all its scores are {}: nothing follows them", first.score)),
        _ => Err("it holds fewer than two pairs".to_owned()),
    }
}

fn pair(line: &str) -> Result<Pair<'_>, String> {
    let columns: Vec<&str> = line.split('\t').collect();
    let [_, _, _, _, score, first, second, ..] = columns[..] else {
        return Err(format!("it has {} columns, a pair has at least 7, parted by tabs", columns.len()));
    };
    let number = score.trim().parse::<f64>().ok().filter(|score| score.is_finite());
    let score = number.ok_or_else(|| format!("its score {score:?} is no number"))?;
    Ok(Pair { score, sentences: [first, second] })
}

/// Embeds all pairs with an image, and with another where one is given, on some threads; no figure depends on how many.
///
/// # Errors
/// One sentence that names the image, and the pair's line where one is to blame.
pub fn measure(
    subject: OpenImage<'_>,
    reference: Option<OpenImage<'_>>,
    setup: &Setup,
    threads: usize,
    pairs: &[Pair],
    progress: &Progress,
) -> Result<Metrics, Error> {
    let (mut found, mut expected, mut between, mut cut) = (Vec::new(), Vec::new(), 0.0, 0);
    let chunks = pairs.chunks(TOGETHER).zip((1..).step_by(TOGETHER));
    let worker = |chunks: &mut dyn Iterator<Item = (&[Pair], usize)>, give: &mut dyn FnMut(Result<Vec<Cosines>, Error>) -> bool| {
        let worked = setup.with_session(subject, |session| match reference {
            None => work(chunks, |pairs, line| Ok((embed_pairs(session, subject.path, pairs, line)?, None)), give),
            Some(reference) => setup.with_session(reference, |other| {
                let both = |pairs: &[Pair], line| {
                    let found = embed_pairs(session, subject.path, pairs, line)?;
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
            cut += cosines.cut;
            expected.extend(cosines.reference.map(|(expected, _)| expected));
            between += cosines.reference.map_or(0.0, |(_, between)| between);
        }
        Ok::<(), Error>(())
    })?;
    let scores: Vec<f64> = pairs.iter().map(|pair| pair.score).collect();
    let rank_correlation = |cosines: &[f64]| correlation(&ranks(cosines), &ranks(&scores));
    Ok(Metrics {
        spearman: rank_correlation(&found),
        pearson: correlation(&found, &scores),
        pairs: pairs.len(),
        cut,
        reference_spearman: reference.is_some().then(|| rank_correlation(&expected)),
        reference_cosine: reference.is_some().then(|| between / (2 * pairs.len()) as f64),
    })
}

/// What one pair came to.
struct Cosines {
    found: f64,
    /// Its sentences that were cut.
    cut: usize,
    /// The reference's cosine, and the two cosines between its embeddings and the image's, added up.
    reference: Option<(f64, f64)>,
}

/// Embeddings of pairs, two each, by the image and by the reference.
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
    embed_together(session, &sentences, false).map_err(|Refused { index, error }| match error {
        attoformer::Error::Architecture { .. } | attoformer::Error::NoTokenizer => Error::engine(path)(error),
        _ => Error::file(path)(format!("line {} of the pairs: {error}", line + index / 2)),
    })
}

fn cosines((found, expected): &Both) -> Vec<Cosines> {
    let mut reference = expected.iter().flatten();
    let mut of = |[a, b]: &[Embedding; 2]| {
        let reference = reference.next().zip(reference.next());
        let between = |c: &Embedding, d: &Embedding| cosine(&a.values, &c.values) + cosine(&b.values, &d.values);
        let cut = [a, b].into_iter().filter(|embedding| embedding.left_out > 0).count();
        Cosines {
            found: cosine(&a.values, &b.values),
            cut,
            reference: reference.map(|(c, d)| (cosine(&c.values, &d.values), between(c, d))),
        }
    };
    found.as_chunks().0.iter().map(&mut of).collect()
}

/// Cosine of two vectors; 0 where one of them is zero.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| a as f64 * b as f64).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths == 0.0 { 0.0 } else { dot(a, b) / lengths }
}

/// Pearson's correlation; NaN where one side is constant.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let sum = |of: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(&a, &b)| of(a - mean_a, b - mean_b)).sum::<f64>();
    sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
}

/// Each value's place in ascending order; equal values share the mean of their places.
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
    fn correlations_are_pearson_s() {
        assert_eq!(correlation(&[1.0, 2.0, 3.0], &[0.0, 3.0, 0.0]), 0.0);
        assert!((correlation(&[1.0, 2.0, 4.0], &[-3.0, -1.0, 3.0]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_pair_without_its_columns_is_named_by_its_line() {
        let whole = "g\tf\ty\t1\t2.5\tone\ttwo\tmore\n";
        let twice = format!("{whole}{}", whole.replace("2.5", "3"));
        let read = pairs(&twice).unwrap();
        assert_eq!((read.len(), read[0].score, read[1].sentences), (2, 2.5, ["one", "two"]));
        assert!(pairs(&whole.repeat(2)).unwrap_err().starts_with("all its scores are 2.5"));
        assert!(pairs(&format!("{whole}a\tb\n")).unwrap_err().starts_with("line 2: it has 2 columns"));
        assert!(pairs(&whole.replace("2.5", "x").repeat(2)).unwrap_err().starts_with("line 1: its score \"x\""));
        assert!(pairs(whole).is_err());
    }
}
