//! Results of a training run.

use serde::{Deserialize, Serialize};

/// Results of a finished run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Trained parameters.
    pub parameters: usize,
    /// Size of `model.bin`.
    pub model_bytes: usize,
    /// Optimizer steps.
    pub steps: usize,
    /// Training tokens.
    pub tokens: usize,
    /// Wall-clock seconds of training, over all parts of a resumed run.
    pub seconds: f64,
    /// Mean loss per token over the last tenth of the steps, in nats.
    pub train_loss: f64,
    /// Perplexity on held-out texts; each is scored alone after BOS.
    pub held_out_perplexity: f64,
    /// Mean length of a held-out text in tokens, BOS included.
    pub text_tokens: f64,
    /// The longest held-out text in tokens, BOS included.
    pub longest_text_tokens: usize,
    /// Fraction of the sampled sentences in the grammar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentences_parsed: Option<f64>,
    /// Fraction of the samples that are a whole story of the grammar with one cast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stories_parsed: Option<f64>,
}
