//! The loss of a model's outputs against those of the f32 model.

use attoformer::image::{Classifier, Config};
use rayon::prelude::*;

use super::super::loss::divergence;
use super::candidate::Candidate;
use super::head::Head;
use crate::eval::sts::cosine;

/// Rows whose logits a thread computes at a time.
const TOGETHER: usize = 32;

/// Mean KL divergence of each candidate from the first one, which is the f32 model and gets no loss of its own.
pub fn of_rows(head: &Head, candidates: &[Candidate]) -> Vec<f64> {
    let Some((exact, others)) = candidates.split_first() else { return Vec::new() };
    let columns = head.columns();
    let (mut sums, mut count) = (vec![0.0; others.len()], 0);
    for (sample, rows) in exact.rows.iter().enumerate() {
        for (chunk, rows) in rows.chunks(TOGETHER * columns).enumerate() {
            let expected = head.logits(rows);
            let at = chunk * TOGETHER * columns;
            let losses = others.par_iter().map(|candidate| {
                let logits = candidate.head.as_ref().unwrap_or(head).logits(&candidate.rows[sample][at..at + rows.len()]);
                let rows = expected.chunks_exact(head.vocab()).zip(logits.chunks_exact(head.vocab()));
                rows.map(|(expected, logits)| divergence(logits, expected)).sum::<f64>()
            });
            let losses: Vec<f64> = losses.collect();
            sums.iter_mut().zip(losses).for_each(|(sum, loss)| *sum += loss);
            count += rows.len() / columns;
        }
    }
    sums.into_iter().map(|sum| sum / count.max(1) as f64).collect()
}

/// Mean loss of each candidate of an encoder against the first one: KL divergence of labels, or 1 - cosine of embeddings.
pub fn of_outputs(config: &Config, candidates: &[Candidate]) -> Vec<f64> {
    let Some((exact, others)) = candidates.split_first() else { return Vec::new() };
    let loss = |expected: &Vec<f32>, found: &Vec<f32>| match config.classifier {
        Classifier::None => 1.0 - cosine(found, expected),
        _ => {
            let rows = expected.chunks_exact(config.labels as usize).zip(found.chunks_exact(config.labels as usize));
            let count = rows.len().max(1) as f64;
            rows.map(|(expected, found)| divergence(found, expected)).sum::<f64>() / count
        }
    };
    let count = exact.outputs.len().max(1) as f64;
    let of = |other: &Candidate| exact.outputs.iter().zip(&other.outputs).map(|(a, b)| loss(a, b)).sum::<f64>() / count;
    others.iter().map(of).collect()
}
