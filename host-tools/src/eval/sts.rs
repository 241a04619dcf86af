//! Semantic textual similarity: how well the cosine of two sentences' embeddings follows what people said of them.
//!
//! A file of pairs is tab separated, without quotes: column 5 is the score, 6 and 7 are the sentences (the STS benchmark's form).

use attoformer::{Error, Session};

use crate::embed::embed;
use crate::report::progress::Progress;

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
pub struct Measures {
    /// Rank correlation of cosines and scores, ties sharing their mean rank.
    pub spearman: f64,
    /// Linear correlation of cosines and scores.
    pub pearson: f64,
    /// Pairs in the file.
    pub pairs: usize,
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
    if pairs.len() < 2 { Err("it holds fewer than two pairs".to_owned()) } else { Ok(pairs) }
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

/// Embeds all pairs with `session`, and with `reference` where one is given.
///
/// # Errors
/// What the engine says.
pub fn measure(session: &mut Session, mut reference: Option<&mut Session>, pairs: &[Pair], progress: &Progress) -> Result<Measures, Error> {
    let (mut found, mut expected, mut between) = (Vec::new(), Vec::new(), 0.0);
    for pair in pairs {
        let [a, b] = embed_both(session, pair)?;
        found.push(cosine(&a, &b));
        if let Some(reference) = &mut reference {
            let [c, d] = embed_both(reference, pair)?;
            expected.push(cosine(&c, &d));
            between += cosine(&a, &c) + cosine(&b, &d);
        }
        progress.advance(1);
    }
    let scores: Vec<f64> = pairs.iter().map(|pair| pair.score).collect();
    let rank_correlation = |cosines: &[f64]| correlation(&ranks(cosines), &ranks(&scores));
    Ok(Measures {
        spearman: rank_correlation(&found),
        pearson: correlation(&found, &scores),
        pairs: pairs.len(),
        reference_spearman: reference.is_some().then(|| rank_correlation(&expected)),
        reference_cosine: reference.is_some().then(|| between / (2 * pairs.len()) as f64),
    })
}

fn embed_both(session: &mut Session, pair: &Pair) -> Result<[Vec<f32>; 2], Error> {
    let [first, second] = pair.sentences;
    Ok([embed(session, first, false)?.values, embed(session, second, false)?.values])
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
        let twice = whole.repeat(2);
        let read = pairs(&twice).unwrap();
        assert_eq!((read.len(), read[1].score, read[1].sentences), (2, 2.5, ["one", "two"]));
        assert!(pairs(&format!("{whole}a\tb\n")).unwrap_err().starts_with("line 2: it has 2 columns"));
        assert!(pairs(&whole.replace("2.5", "x").repeat(2)).unwrap_err().starts_with("line 1: its score \"x\""));
        assert!(pairs(whole).is_err());
    }
}
