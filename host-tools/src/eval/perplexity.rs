//! Perplexity on a text, and KL divergence from a reference.
//!
//! Documents are separated by lines that read `<|endoftext|>`. Each is tokenized like a prompt and starts with an empty KV cache; every token but
//! its first is scored. A document longer than the context continues in further windows of that length, each with an empty KV cache and its
//! first token unscored.

use std::path::Path;

use attoformer::Session;

use crate::engine::{OpenImage, Setup};
use crate::error::Error;
use crate::report::progress::Progress;
use crate::run::generate;
use crate::threads::map_in_order;

/// The line between two documents.
const SEPARATOR: &str = "<|endoftext|>";
/// Positions whose reference logits are held in memory at a time.
const CHUNK: usize = 64;

/// Results.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Metrics {
    /// `exp` of the mean negative log-likelihood.
    pub perplexity: f64,
    /// Tokens scored.
    pub tokens: u64,
    /// The reference's perplexity on the same tokens.
    pub reference_perplexity: Option<f64>,
    /// Mean KL divergence (Kullback-Leibler) of the image's distribution from the reference's, in nats.
    pub kl_mean: Option<f64>,
    /// Fraction of positions where both predict the same most likely token.
    pub top1_agreement: Option<f64>,
}

/// The non-empty documents of a text, trimmed.
pub fn documents(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    let pieces = std::iter::from_fn(move || {
        let text = rest?;
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            if line.trim_end_matches(['\r', '\n']) == SEPARATOR {
                rest = Some(&text[at + line.len()..]);
                return Some(&text[..at]);
            }
            at += line.len();
        }
        rest.take()
    });
    pieces.map(str::trim).filter(|document| !document.is_empty())
}

/// Scores documents with an image, and with a reference of the same vocabulary if given. No result depends on the number of threads.
///
/// # Errors
/// Those of the engine with the image.
pub fn measure<'t>(
    open: OpenImage<'_>,
    reference: Option<OpenImage<'_>>,
    setup: &Setup,
    threads: usize,
    documents: impl IntoIterator<Item = &'t str>,
    progress: &Progress,
) -> Result<Metrics, Error> {
    let windows = windows(open, setup.plan(open.image.config()).context as usize, documents.into_iter());
    let worker = |windows: &mut dyn Iterator<Item = Result<Window, Error>>, give: &mut dyn FnMut(Result<Scored, Error>) -> bool| {
        let worked = setup.with_session(open, |session| match reference {
            None => Scorer { session, path: open.path, reference: None }.work(windows, give),
            Some(reference) => setup.with_session(reference, |other| {
                Scorer { session, path: open.path, reference: Some((other, reference.path)) }.work(windows, give)
            }),
        });
        if let Err(error) = worked {
            give(Err(error));
        }
    };
    let mut sums = Sums::default();
    map_in_order(threads, windows, worker, |scored: Result<Scored, Error>| {
        let scored = scored?;
        sums.add(&scored.sums);
        progress.advance(scored.documents);
        Ok::<(), Error>(())
    })?;
    Ok(sums.metrics(reference.is_some()))
}

/// Tokens that are scored from an empty KV cache.
struct Window {
    tokens: Vec<u32>,
    /// Documents that end with this window.
    documents: u64,
}

/// Result of a window.
struct Scored {
    sums: Sums,
    documents: u64,
}

fn windows<'t>(
    open: OpenImage<'_>,
    context: usize,
    documents: impl Iterator<Item = &'t str>,
) -> impl Iterator<Item = Result<Window, Error>> {
    documents.flat_map(move |document| match generate::encode(open.image, document) {
        Err(error) => vec![Err(Error::engine(open.path)(error))],
        Ok(tokens) => {
            let count = tokens.len().div_ceil(context);
            let window = |(index, tokens): (usize, &[u32])| Window { tokens: tokens.to_vec(), documents: u64::from(index + 1 == count) };
            tokens.chunks(context).enumerate().map(|window_of| Ok(window(window_of))).collect()
        }
    })
}

/// Sessions that score, with their files for errors.
struct Scorer<'s, 'a, 'b> {
    session: &'s mut Session<'a>,
    path: &'s Path,
    reference: Option<(&'s mut Session<'b>, &'s Path)>,
}

impl Scorer<'_, '_, '_> {
    fn work(
        mut self,
        windows: &mut dyn Iterator<Item = Result<Window, Error>>,
        give: &mut dyn FnMut(Result<Scored, Error>) -> bool,
    ) -> Result<(), Error> {
        for window in windows {
            let scored = window.and_then(|window| Ok(Scored { sums: self.score(&window.tokens)?, documents: window.documents }));
            if !give(scored) {
                break;
            }
        }
        Ok(())
    }

    /// Scores each token of a window but the first, given those before it.
    fn score(&mut self, window: &[u32]) -> Result<Sums, Error> {
        let mut sums = Sums::default();
        self.session.reset();
        if let Some((reference, _)) = &mut self.reference {
            reference.reset();
        }
        for start in (0..window.len() - 1).step_by(CHUNK) {
            let end = (start + CHUNK).min(window.len() - 1);
            let (inputs, targets) = (&window[start..end], &window[start + 1..end + 1]);
            let mut expected: Vec<LogProbabilities> = Vec::new();
            if let Some((reference, path)) = &mut self.reference {
                let fed = reference.prefill_each(inputs, |_, logits| expected.push(LogProbabilities::of(logits)));
                fed.map_err(Error::engine(path))?;
            }
            let mut index = 0;
            let fed = self.session.prefill_each(inputs, |_, logits| {
                sums.score(&LogProbabilities::of(logits), expected.get(index), targets[index] as usize);
                index += 1;
            });
            fed.map_err(Error::engine(self.path))?;
        }
        Ok(sums)
    }
}

/// Sums over all scored positions.
#[derive(Default)]
struct Sums {
    tokens: u64,
    loss: f64,
    reference_loss: f64,
    divergence: f64,
    agreements: u64,
}

impl Sums {
    /// Adds one position, followed by `target`.
    fn score(&mut self, found: &LogProbabilities, expected: Option<&LogProbabilities>, target: usize) {
        self.tokens += 1;
        self.loss -= found.0[target];
        if let Some(expected) = expected {
            self.reference_loss -= expected.0[target];
            self.divergence += expected.divergence(found);
            self.agreements += u64::from(expected.likeliest() == found.likeliest());
        }
    }

    fn add(&mut self, other: &Sums) {
        self.tokens += other.tokens;
        self.loss += other.loss;
        self.reference_loss += other.reference_loss;
        self.divergence += other.divergence;
        self.agreements += other.agreements;
    }

    fn metrics(&self, has_reference: bool) -> Metrics {
        let count = self.tokens as f64;
        Metrics {
            perplexity: (self.loss / count).exp(),
            tokens: self.tokens,
            reference_perplexity: has_reference.then(|| (self.reference_loss / count).exp()),
            kl_mean: has_reference.then(|| self.divergence / count),
            top1_agreement: has_reference.then(|| self.agreements as f64 / count),
        }
    }
}

/// Log-probabilities over the vocabulary (log-softmax).
struct LogProbabilities(Vec<f64>);

impl LogProbabilities {
    fn of(logits: &[f32]) -> Self {
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max) as f64;
        let sum: f64 = logits.iter().map(|&logit| (logit as f64 - max).exp()).sum();
        let normalizer = max + sum.ln();
        LogProbabilities(logits.iter().map(|&logit| logit as f64 - normalizer).collect())
    }

    /// KL divergence of `other` from this distribution.
    fn divergence(&self, other: &Self) -> f64 {
        self.0.iter().zip(&other.0).map(|(p, q)| p.exp() * (p - q)).sum()
    }

    /// The most likely token, the first of equal ones.
    fn likeliest(&self) -> usize {
        let better = |best: usize, index: usize| if self.0[index] > self.0[best] { index } else { best };
        (0..self.0.len()).fold(0, better)
    }
}

#[cfg(test)]
mod tests {
    use super::documents;

    #[test]
    fn documents_are_separated_by_whole_lines() {
        let text = "one\n<|endoftext|>\n\n \n<|endoftext|>\r\n two <|endoftext|>\nmore\n<|endoftext|>";
        assert_eq!(documents(text).collect::<Vec<_>>(), ["one", "two <|endoftext|>\nmore"]);
        assert_eq!(documents("").count(), 0);
        assert_eq!(documents("only").collect::<Vec<_>>(), ["only"]);
    }
}
