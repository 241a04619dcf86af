//! Perplexity on a text, and how far an image is from a reference on it.
//!
//! Documents are parted by lines that read `<|endoftext|>`. Each is tokenized alone, as a prompt is, and starts with an empty
//! cache; every token but its first is scored. A document longer than the context goes on in further windows of that length,
//! each with an empty cache and its first token unscored.

use attoformer::{Error, Session};

use crate::report::progress::Progress;
use crate::run;

/// The line between two documents.
const SEPARATOR: &str = "<|endoftext|>";
/// Positions whose reference logits are held at a time.
const CHUNK: usize = 64;

/// What was measured.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Measures {
    /// `exp` of the mean negative log-likelihood.
    pub perplexity: f64,
    /// Tokens scored.
    pub tokens: u64,
    /// The reference's perplexity on the same tokens.
    pub reference_perplexity: Option<f64>,
    /// Mean Kullback-Leibler divergence of the image's distribution from the reference's, in nats.
    pub kl_mean: Option<f64>,
    /// Share of positions where both find the same token likeliest.
    pub top1_agreement: Option<f64>,
}

/// The documents of a text, without white space at their ends; empty ones are left out.
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

/// Scores documents with `session`, and with `reference` where one is given; both have the same context.
///
/// # Errors
/// What the engine says.
pub fn measure<'t>(
    session: &mut Session,
    mut reference: Option<&mut Session>,
    documents: impl IntoIterator<Item = &'t str>,
    progress: &Progress,
) -> Result<Measures, Error> {
    let mut sums = Sums::default();
    for document in documents {
        let tokens = run::encode(session.image(), document)?;
        session.reset();
        let context = session.room();
        for window in tokens.chunks(context) {
            session.reset();
            if let Some(reference) = &mut reference {
                reference.reset();
            }
            for start in (0..window.len() - 1).step_by(CHUNK) {
                let end = (start + CHUNK).min(window.len() - 1);
                sums.score(session, reference.as_deref_mut(), &window[start..end], &window[start + 1..end + 1])?;
            }
        }
        progress.advance(1);
    }
    Ok(sums.measures(reference.is_some()))
}

/// Running sums over all scored positions.
#[derive(Default)]
struct Sums {
    tokens: u64,
    loss: f64,
    reference_loss: f64,
    divergence: f64,
    agreements: u64,
}

impl Sums {
    /// Feeds `inputs` and scores that `targets` follow, each one its input.
    fn score(&mut self, session: &mut Session, reference: Option<&mut Session>, inputs: &[u32], targets: &[u32]) -> Result<(), Error> {
        let mut expected: Vec<LogProbabilities> = Vec::new();
        if let Some(reference) = reference {
            reference.prefill_each(inputs, |_, logits| expected.push(LogProbabilities::of(logits)))?;
        }
        let mut index = 0;
        session.prefill_each(inputs, |_, logits| {
            let found = LogProbabilities::of(logits);
            let target = targets[index] as usize;
            self.tokens += 1;
            self.loss -= found.0[target];
            if let Some(expected) = expected.get(index) {
                self.reference_loss -= expected.0[target];
                self.divergence += expected.divergence(&found);
                self.agreements += u64::from(expected.likeliest() == found.likeliest());
            }
            index += 1;
        })
    }

    fn measures(&self, compared: bool) -> Measures {
        let count = self.tokens as f64;
        Measures {
            perplexity: (self.loss / count).exp(),
            tokens: self.tokens,
            reference_perplexity: compared.then(|| (self.reference_loss / count).exp()),
            kl_mean: compared.then(|| self.divergence / count),
            top1_agreement: compared.then(|| self.agreements as f64 / count),
        }
    }
}

/// Natural logarithms of a distribution over the vocabulary.
struct LogProbabilities(Vec<f64>);

impl LogProbabilities {
    fn of(logits: &[f32]) -> Self {
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max) as f64;
        let sum: f64 = logits.iter().map(|&logit| (logit as f64 - max).exp()).sum();
        let normalizer = max + sum.ln();
        LogProbabilities(logits.iter().map(|&logit| logit as f64 - normalizer).collect())
    }

    /// Kullback-Leibler divergence of `other` from this.
    fn divergence(&self, other: &Self) -> f64 {
        self.0.iter().zip(&other.0).map(|(p, q)| p.exp() * (p - q)).sum()
    }

    /// The first of the likeliest tokens.
    fn likeliest(&self) -> usize {
        let better = |best: usize, index: usize| if self.0[index] > self.0[best] { index } else { best };
        (0..self.0.len()).fold(0, better)
    }
}

#[cfg(test)]
mod tests {
    use super::documents;

    #[test]
    fn documents_are_parted_by_whole_lines() {
        let text = "one\n<|endoftext|>\n\n \n<|endoftext|>\r\n two <|endoftext|>\nmore\n<|endoftext|>";
        assert_eq!(documents(text).collect::<Vec<_>>(), ["one", "two <|endoftext|>\nmore"]);
        assert_eq!(documents("").count(), 0);
        assert_eq!(documents("only").collect::<Vec<_>>(), ["only"]);
    }
}
