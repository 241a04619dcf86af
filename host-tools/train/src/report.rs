//! What a training run came to.

use serde::{Deserialize, Serialize};

/// The figures of a finished run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Trained weights.
    pub parameters: usize,
    /// Length of `model.bin`.
    pub model_bytes: usize,
    /// Optimiser steps taken.
    pub steps: usize,
    /// Tokens trained on.
    pub tokens: usize,
    /// Wall-clock seconds of training, all parts of a resumed run together.
    pub seconds: f64,
    /// Mean loss of a token over the last tenth of the steps, in nats.
    pub train_loss: f64,
    /// Perplexity on held-out texts: each alone after BOS, every token after it scored.
    pub held_out_perplexity: f64,
    /// Mean length of a held-out text in tokens, BOS included.
    pub text_tokens: f64,
    /// The longest held-out text in tokens, BOS included.
    pub longest_text_tokens: usize,
    /// Of the samples' sentences, the share that the grammar can read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentences_parsed: Option<f64>,
    /// Of the samples, the share that is one whole story of the grammar with one cast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stories_parsed: Option<f64>,
}
