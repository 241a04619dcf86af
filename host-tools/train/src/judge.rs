//! Evaluation: perplexity on texts, and samples.

use attoformer_stories::{Rng, parse_story, score};
use candle_core::IndexOp;

use crate::error::TrainError;
use crate::model::{Model, Rows};
use crate::vocabulary::{BOS, Vocabulary};

/// Negative log-likelihood summed over tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Likelihood {
    /// Sum in nats.
    pub nll: f64,
    /// Scored tokens.
    pub tokens: usize,
}

impl Likelihood {
    /// `exp` of the mean.
    pub fn perplexity(&self) -> f64 {
        (self.nll / self.tokens.max(1) as f64).exp()
    }
}

impl std::iter::Sum for Likelihood {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        let add = |a: Self, b: Self| Self { nll: a.nll + b.nll, tokens: a.tokens + b.tokens };
        parts.fold(Self::default(), add)
    }
}

impl Model {
    /// Scores a text: BOS and its tokens, split into windows of the context length. All tokens of a window but the first are scored.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn score(&self, vocabulary: &Vocabulary, text: &str) -> Result<Likelihood, TrainError> {
        let mut tokens = vec![BOS];
        tokens.extend(vocabulary.encode(text));
        let mut all = Likelihood::default();
        for window in tokens.chunks(self.shape().context).filter(|window| window.len() > 1) {
            let inputs = &window[..window.len() - 1];
            let rows = Rows { tokens: inputs, row_tokens: inputs.len() };
            all.nll += f64::from(self.nll(&rows, &window[1..])?.to_scalar::<f32>()?);
            all.tokens += inputs.len();
        }
        Ok(all)
    }

    /// Samples one text per seed, until BOS or `max_tokens`.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn sample(&self, vocabulary: &Vocabulary, temperature: f64, seeds: &[u64], max_tokens: usize) -> Result<Vec<String>, TrainError> {
        let mut texts: Vec<Vec<u32>> = vec![vec![BOS]; seeds.len()];
        let mut rngs: Vec<Rng> = seeds.iter().map(|&seed| Rng::new(seed)).collect();
        let mut running: Vec<usize> = (0..seeds.len()).collect();
        for length in 1..=max_tokens.min(self.shape().context) {
            if running.is_empty() {
                break;
            }
            let tokens: Vec<u32> = running.iter().flat_map(|&at| texts[at].clone()).collect();
            let hidden = self.hidden(&Rows { tokens: &tokens, row_tokens: length })?;
            let last = hidden.reshape((running.len(), length, ()))?.i((.., length - 1))?;
            let logits = self.logits(&last.contiguous()?)?.to_vec2::<f32>()?;
            for (&at, logits) in running.iter().zip(&logits) {
                texts[at].push(draw(logits, temperature, &mut rngs[at]));
            }
            running.retain(|&at| texts[at].last() != Some(&BOS));
        }
        Ok(texts.iter().map(|tokens| vocabulary.decode(tokens)).collect())
    }
}

/// Samples a token at a temperature.
fn draw(logits: &[f32], temperature: f64, rng: &mut Rng) -> u32 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |logit: f32| (f64::from(logit - highest) / temperature).exp();
    let sum: f64 = logits.iter().map(|&logit| weight(logit)).sum();
    let mut left = f64::from(rng.unit()) * sum;
    for (token, &logit) in (0..).zip(logits) {
        left -= weight(logit);
        if left < 0.0 {
            return token;
        }
    }
    logits.len() as u32 - 1
}

/// The fraction of sentences in the grammar, and the fraction of texts that are whole stories.
pub fn grammar_shares(texts: &[String]) -> (f64, f64) {
    let (parsed, total) = texts.iter().map(|text| score(text)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    let whole = texts.iter().filter(|text| parse_story(text).is_ok()).count();
    (parsed as f64 / total.max(1) as f64, whole as f64 / texts.len().max(1) as f64)
}
