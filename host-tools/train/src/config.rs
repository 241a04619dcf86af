//! Training configuration: corpus, model, optimizer, evaluation.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::report::Report;
use crate::shape::Shape;

/// Configuration of a training run. Two runs of one configuration on one machine produce the same model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Seed of the initial weights, the order of the texts and the samples.
    pub seed: u64,
    /// Training corpus.
    pub corpus: Corpus,
    /// Sizes of the model.
    pub model: Shape,
    /// Optimizer and schedule.
    pub training: Training,
    /// Evaluation after training.
    pub judging: Judging,
    /// Results; written by `train`, ignored in the configuration of a new run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<Report>,
}

/// Source of the texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Corpus {
    /// The built-in story grammar: unlimited, and each sentence can be checked.
    Tales,
    /// A UTF-8 file whose texts are separated by lines that read `<|endoftext|>`.
    File(PathBuf),
}

/// Optimizer and schedule. A step processes `rows * row_tokens` tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Texts that the tokenizer is trained on.
    pub tokenizer_texts: usize,
    /// Optimizer steps.
    pub steps: usize,
    /// Rows of tokens per step; every row starts with a new text.
    pub rows: usize,
    /// Tokens per row, at most the context.
    pub row_tokens: usize,
    /// Threads that share the rows of a step. Part of the configuration because sums of floats depend on how they are split.
    pub threads: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Warm-up steps, in which the learning rate rises linearly to its peak.
    pub warm_up: usize,
    /// Final learning rate of the cosine schedule as a fraction of the peak.
    pub final_share: f64,
    /// AdamW's decay of the first moment.
    pub beta1: f64,
    /// AdamW's decay of the second moment.
    pub beta2: f64,
    /// AdamW's weight decay; norms have none.
    pub weight_decay: f64,
    /// Gradient clipping norm.
    pub clip: f64,
    /// Steps between checkpoints.
    pub checkpoint_every: usize,
}

/// Evaluation of a trained model on held-out texts and samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judging {
    /// Held-out texts whose perplexity is reported.
    pub held_out: usize,
    /// Texts to sample; their sentences are checked against the grammar if the corpus has one.
    pub samples: usize,
    /// Sampling temperature.
    pub temperature: f64,
}

impl TrainConfig {
    /// The preset `name`: `tales` (the default model), `tales-linear` (the same corpus with linear attention) or `smoke` (seconds, for tests).
    pub fn preset(name: &str) -> Option<Self> {
        let text = match name {
            "tales" => include_str!("presets/tales.toml"),
            "tales-linear" => include_str!("presets/tales-linear.toml"),
            "smoke" => include_str!("presets/smoke.toml"),
            _ => return None,
        };
        Some(Self::parse(text).expect("a test reads every preset"))
    }

    /// Names of the presets.
    pub const PRESETS: [&str; 3] = ["tales", "tales-linear", "smoke"];

    /// Parses a configuration in TOML.
    ///
    /// # Errors
    /// [`TrainError::Config`] with the field that is missing, unknown or out of range.
    pub fn parse(text: &str) -> Result<Self, TrainError> {
        let config: Self = toml::from_str(text).map_err(|e| TrainError::Config(e.to_string()))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), TrainError> {
        self.model.check()?;
        let t = &self.training;
        let rules = [
            (t.rows > 0 && t.threads > 0, "rows and threads must not be 0"),
            (t.rows.is_multiple_of(t.threads.max(1)), "rows must be a multiple of threads"),
            ((2..=self.model.context).contains(&t.row_tokens), "row_tokens must be 2 to the context"),
            (t.checkpoint_every > 0, "checkpoint_every must not be 0"),
            (self.judging.temperature > 0.0, "the temperature must be above 0"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(TrainError::Config((*rule).to_owned())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_valid() {
        for name in TrainConfig::PRESETS {
            let config = TrainConfig::preset(name).expect(name);
            let text = toml::to_string(&config).unwrap();
            assert_eq!(TrainConfig::parse(&text).unwrap(), config);
        }
        assert!(TrainConfig::preset("no such").is_none());
    }

    #[test]
    fn invalid_configurations_are_refused_with_a_reason() {
        let good = include_str!("presets/smoke.toml");
        let cases = [
            ("dim = 16", "dim = 15", "dim must be an even multiple of heads"),
            ("kv_heads = 1", "kv_heads = 3", "heads must be a multiple of kv_heads"),
            ("vocab = 384", "vocab = 200", "the vocabulary must have 260"),
            ("rows = 4", "rows = 3", "rows must be a multiple of threads"),
            ("row_tokens = 64", "row_tokens = 4000", "row_tokens must be 2 to the context"),
            ("clip = 1.0", "clop = 1.0", "unknown field `clop`"),
        ];
        for (from, to, reason) in cases {
            assert!(good.contains(from));
            let error = TrainConfig::parse(&good.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
