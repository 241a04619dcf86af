//! The sizes of a model, and where each tensor lies in the flat list of its weights.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// Sizes of a llama-type decoder with tied embeddings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Width of the residual stream.
    pub dim: usize,
    /// Width of the feed-forward layer.
    pub hidden: usize,
    /// Number of layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Key and value heads; each serves `heads / kv_heads` attention heads.
    pub kv_heads: usize,
    /// Size of the vocabulary.
    pub vocab: usize,
    /// The longest sequence.
    pub context: usize,
    /// How queries find values.
    #[serde(default, skip_serializing_if = "AttentionKind::is_softmax")]
    pub attention: AttentionKind,
}

/// How queries find values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttentionKind {
    /// Weights are a softmax of scores.
    #[default]
    Softmax,
    /// Weights are products of positive features, so that a state of constant size replaces the tokens before
    /// (Katharopoulos et al., 2020).
    Linear,
}

impl AttentionKind {
    fn is_softmax(&self) -> bool {
        *self == Self::Softmax
    }
}

/// The tensors of a layer, and the ones that are no layer's, in the order of a llama2.c file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Embedding,
    AttentionNorm,
    Query,
    Key,
    Value,
    Output,
    MlpNorm,
    Gate,
    Down,
    Up,
    FinalNorm,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Embedding,
        Self::AttentionNorm,
        Self::Query,
        Self::Key,
        Self::Value,
        Self::Output,
        Self::MlpNorm,
        Self::Gate,
        Self::Down,
        Self::Up,
        Self::FinalNorm,
    ];

    pub(crate) fn is_norm(self) -> bool {
        matches!(self, Self::AttentionNorm | Self::MlpNorm | Self::FinalNorm)
    }

    fn once(self) -> bool {
        matches!(self, Self::Embedding | Self::FinalNorm)
    }
}

/// One tensor among the flat weights: `rows * columns` floats, row by row.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) layer: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) at: Range<usize>,
}

impl Shape {
    /// Width of one head.
    pub fn head_dim(&self) -> usize {
        self.dim / self.heads
    }

    /// Width of the keys, and of the values, of one token.
    pub fn kv_dim(&self) -> usize {
        self.head_dim() * self.kv_heads
    }

    /// Number of trained weights.
    pub fn parameters(&self) -> usize {
        self.places().last().map_or(0, |place| place.at.end)
    }

    /// Whether the sizes fit each other.
    ///
    /// # Errors
    /// [`TrainError::Config`] names the rule that is broken.
    pub fn check(&self) -> Result<(), TrainError> {
        let sizes = [self.dim, self.hidden, self.layers, self.heads, self.kv_heads, self.context];
        let rule = if sizes.contains(&0) || sizes.iter().any(|&n| n > 1 << 20) {
            "every size of the model must be 1 to 2^20"
        } else if !self.dim.is_multiple_of(self.heads) || !self.head_dim().is_multiple_of(2) {
            "dim must be an even multiple of heads"
        } else if !self.heads.is_multiple_of(self.kv_heads) {
            "heads must be a multiple of kv_heads"
        } else if !(260..=1 << 20).contains(&self.vocab) {
            "the vocabulary must have 260 to 2^20 tokens, for 259 are control and byte tokens"
        } else {
            return Ok(());
        };
        Err(TrainError::Config(rule.to_owned()))
    }

    /// Every tensor in the order of a llama2.c file: kind by kind, and in each layer by layer.
    pub(crate) fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        let mut start = 0;
        for kind in Kind::ALL {
            let (rows, columns) = self.size(kind);
            for layer in 0..if kind.once() { 1 } else { self.layers } {
                let at = start..start + rows * columns;
                start = at.end;
                places.push(Place { kind, layer, rows, columns, at });
            }
        }
        places
    }

    fn size(&self, kind: Kind) -> (usize, usize) {
        match kind {
            Kind::Embedding => (self.vocab, self.dim),
            Kind::AttentionNorm | Kind::MlpNorm | Kind::FinalNorm => (1, self.dim),
            Kind::Query | Kind::Output => (self.dim, self.dim),
            Kind::Key | Kind::Value => (self.kv_dim(), self.dim),
            Kind::Gate | Kind::Up => (self.hidden, self.dim),
            Kind::Down => (self.dim, self.hidden),
        }
    }
}
