//! Scores of predicted tokens: log-likelihoods, KL divergences from a reference, and agreement on the most likely token.

use super::softmax::{LogSoftmax, divergence};

/// Positions of a block, which the standard error takes as one sample; see [`Metrics::kl_stderr`].
const BLOCK: usize = 64;

/// Results.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Metrics {
    /// `exp` of the mean negative log-likelihood.
    pub perplexity: f64,
    /// Tokens scored.
    pub tokens: u64,
    /// The reference's perplexity on the same tokens.
    pub reference_perplexity: Option<f64>,
    /// Mean KL divergence (Kullback-Leibler) of the image's distribution from the reference's, in nats.
    pub kl_mean: Option<f64>,
    /// Standard error of `kl_mean`: blocks of up to 64 consecutive positions of one document are taken as independent, positions of one block are not.
    /// `None` for fewer than two blocks.
    pub kl_stderr: Option<f64>,
    /// Median of the divergences: the least one that at least half of the positions do not exceed.
    pub kl_median: Option<f64>,
    /// 99th percentile of the divergences: the least one that at least 99 % of the positions do not exceed.
    pub kl_p99: Option<f64>,
    /// Fraction of positions where both predict the same most likely token.
    pub top1_agreement: Option<f64>,
}

/// Score of one position.
#[derive(Clone, Copy, Debug, Default)]
pub struct Score {
    /// Negative log-likelihood of the token.
    loss: f64,
    /// Comparison with the reference.
    reference: Option<Comparison>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Comparison {
    /// The reference's negative log-likelihood of the token.
    loss: f64,
    /// KL divergence.
    divergence: f32,
    /// Whether both predict the same most likely token.
    agrees: bool,
}

impl Score {
    /// Scores the token that follows, from the logits of the image and of the reference.
    pub fn new(logits: &[f32], reference: Option<&[f32]>, target: u32) -> Self {
        let Some(other) = reference else { return Score { loss: LogSoftmax::of(logits).loss(logits, target), reference: None } };
        let (divergence, found, expected) = divergence(logits, other);
        let agrees = found.likeliest == expected.likeliest;
        let comparison = Comparison { loss: expected.loss(other, target), divergence, agrees };
        Score { loss: found.loss(logits, target), reference: Some(comparison) }
    }
}

/// Scores of all positions so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    tokens: u64,
    loss: f64,
    reference_loss: f64,
    agreements: u64,
    divergences: Vec<f32>,
    /// Positions and sum of divergences of each block.
    blocks: Vec<(f64, f64)>,
}

impl Tally {
    /// Adds the scores of one document, window or target.
    pub fn add(&mut self, scores: &[Score]) {
        for block in scores.chunks(BLOCK) {
            let mut sum = 0.0;
            for score in block {
                self.tokens += 1;
                self.loss += score.loss;
                if let Some(reference) = score.reference {
                    self.reference_loss += reference.loss;
                    self.agreements += u64::from(reference.agrees);
                    self.divergences.push(reference.divergence);
                    sum += f64::from(reference.divergence);
                }
            }
            self.blocks.push((block.len() as f64, sum));
        }
    }

    /// Number of positions.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The results; the fields of the reference are `None` if there is none.
    pub fn metrics(mut self) -> Metrics {
        let count = self.tokens as f64;
        let compared = self.tokens > 0 && self.divergences.len() as u64 == self.tokens;
        self.divergences.sort_unstable_by(f32::total_cmp);
        let mean = self.blocks.iter().map(|&(_, sum)| sum).sum::<f64>() / count;
        let quantile = |part: f64| f64::from(self.divergences[((count * part).ceil() as usize).max(1) - 1]);
        Metrics {
            perplexity: libm::exp(self.loss / count),
            tokens: self.tokens,
            reference_perplexity: compared.then(|| libm::exp(self.reference_loss / count)),
            kl_mean: compared.then_some(mean),
            kl_stderr: if compared { standard_error(&self.blocks, mean) } else { None },
            kl_median: compared.then(|| quantile(0.5)),
            kl_p99: compared.then(|| quantile(0.99)),
            top1_agreement: compared.then(|| self.agreements as f64 / count),
        }
    }
}

/// Standard error of a mean over blocks of different sizes (cluster-robust, of a ratio estimator): the square root of `B / (B - 1)` times the sum of
/// `(sum - mean * count)^2` over the `B` blocks, divided by the number of positions.
fn standard_error(blocks: &[(f64, f64)], mean: f64) -> Option<f64> {
    let (count, total) = (blocks.len() as f64, blocks.iter().map(|&(positions, _)| positions).sum::<f64>());
    let squares: f64 = blocks.iter().map(|&(positions, sum)| sum - mean * positions).map(|residual| residual * residual).sum();
    (blocks.len() > 1).then(|| (count / (count - 1.0) * squares).sqrt() / total)
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Comparison, Score, Tally, standard_error};

    fn score(loss: f64, divergence: f32, agrees: bool) -> Score {
        Score { loss, reference: Some(Comparison { loss: loss - 1.0, divergence, agrees }) }
    }

    #[test]
    fn quantiles_are_values_of_the_sample() {
        let mut tally = Tally::default();
        let scores: Vec<Score> = (1..=200).rev().map(|rank| score(2.0, rank as f32, rank % 4 > 0)).collect();
        tally.add(&scores);
        let metrics = tally.metrics();
        assert_eq!((metrics.tokens, metrics.kl_mean), (200, Some(100.5)));
        assert_eq!((metrics.kl_median, metrics.kl_p99, metrics.top1_agreement), (Some(100.0), Some(198.0), Some(0.75)));
        assert!((metrics.perplexity / metrics.reference_perplexity.unwrap() - 1f64.exp()).abs() < 1e-12);
    }

    /// Blocks of one position each: the sample's standard deviation divided by the root of its size.
    #[test]
    fn the_standard_error_is_that_of_independent_blocks() {
        let values = [1.0, 2.0, 4.0, 9.0];
        let blocks = values.map(|value| (1.0, value));
        // Deviations -3, -2, 0, 5: variance 38 / 3.
        let error = standard_error(&blocks, 4.0).unwrap();
        assert!((error - (38f64 / 3.0 / 4.0).sqrt()).abs() < 1e-12, "{error}");
        assert_eq!(standard_error(&blocks[..1], 1.0), None);
        // Positions of one block are not independent: repeating each changes nothing.
        let repeated = values.map(|value| (8.0, 8.0 * value));
        assert!((standard_error(&repeated, 4.0).unwrap() - error).abs() < 1e-12);
    }

    #[test]
    fn a_tally_without_a_reference_has_only_the_perplexity() {
        let mut tally = Tally::default();
        tally.add(&[Score { loss: 0.0, reference: None }; BLOCK + 1]);
        let metrics = tally.metrics();
        assert_eq!((metrics.perplexity, metrics.tokens, metrics.kl_mean, metrics.kl_stderr), (1.0, 65, None, None));
    }
}
