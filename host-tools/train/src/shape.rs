//! Sizes of a model, and the range of each tensor in the flat list of weights.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// Sizes of a Llama-type decoder with tied embeddings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Width of the residual stream.
    pub dim: usize,
    /// Width of the MLP.
    pub hidden: usize,
    /// Number of layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; each serves `heads / kv_heads` query heads (grouped-query attention).
    pub kv_heads: usize,
    /// Vocabulary size.
    pub vocab: usize,
    /// Context length in tokens.
    pub context: usize,
    /// Kind of attention.
    #[serde(default, skip_serializing_if = "AttentionKind::is_softmax")]
    pub attention: AttentionKind,
}

/// Kind of attention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttentionKind {
    /// Softmax attention.
    #[default]
    Softmax,
    /// Linear attention: weights are products of positive features, so a state of constant size replaces the KV cache
    /// (Katharopoulos et al., 2020).
    Linear,
}

impl AttentionKind {
    fn is_softmax(&self) -> bool {
        *self == Self::Softmax
    }
}

/// Kinds of tensors in the order of a llama2.c file.
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

/// A tensor in the flat list of weights: `rows * columns` floats in row-major order.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) layer: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) at: Range<usize>,
}

impl Shape {
    /// Head dimension.
    pub fn head_dim(&self) -> usize {
        self.dim / self.heads
    }

    /// Width of the keys (and of the values) of a token.
    pub fn kv_dim(&self) -> usize {
        self.head_dim() * self.kv_heads
    }

    /// Number of trained parameters.
    pub fn parameters(&self) -> usize {
        self.places().last().map_or(0, |place| place.at.end)
    }

    /// Checks that the sizes are consistent.
    ///
    /// # Errors
    /// [`TrainError::Config`] with the violated rule.
    pub fn check(&self) -> Result<(), TrainError> {
        let sizes = [self.dim, self.hidden, self.layers, self.heads, self.kv_heads, self.context];
        let rule = if sizes.contains(&0) || sizes.iter().any(|&n| n > 1 << 20) {
            "every size of the model must be 1 to 2^20"
        } else if !self.dim.is_multiple_of(self.heads) || !self.head_dim().is_multiple_of(2) {
            "dim must be an even multiple of heads"
        } else if !self.heads.is_multiple_of(self.kv_heads) {
            "heads must be a multiple of kv_heads"
        } else if !(260..=1 << 20).contains(&self.vocab) {
            "the vocabulary must have 260 to 2^20 tokens, because 259 are special and byte tokens"
        } else {
            return Ok(());
        };
        Err(TrainError::Config(rule.to_owned()))
    }

    /// All tensors in the order of a llama2.c file: by kind, then by layer.
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
