//! The sequences that losses are measured on, run with one tensor quantized.

use super::super::super::error::PackError;
use super::super::super::tensor_id::TensorId;
use super::super::samples::Sample;
use super::super::stream::{Rows, Runner};
use super::head::Head;
use crate::quantize::Format;

/// A model in which at most one tensor is quantized, as far as it has run.
#[derive(Clone, Default)]
pub struct Candidate {
    /// The quantized tensor and its format; `None` for the f32 model.
    pub tensor: Option<(TensorId, Format)>,
    /// Rows of each sequence after the last layer that has run.
    pub rows: Vec<Rows>,
    /// Rows of each sequence after the encoder, while the decoder runs.
    pub encoder: Vec<Rows>,
    /// Outputs of an encoder's last layer.
    pub outputs: Vec<Vec<f32>>,
    /// The head, if it is the quantized tensor.
    pub head: Option<Head>,
}

impl Candidate {
    /// The f32 model.
    pub fn exact() -> Self {
        Candidate::default()
    }

    /// Returns to the state before any layer.
    pub fn restart(&mut self) {
        (self.rows, self.encoder) = (Vec::new(), Vec::new());
    }

    /// Enters a stack with these rows; the rows of the stack before it, if any, are the encoder's.
    pub fn enter(&mut self, rows: &[Rows]) {
        self.encoder = std::mem::replace(&mut self.rows, rows.to_vec());
    }
}

/// The sequences in one stack.
pub struct Probes<'s> {
    /// The sequences.
    pub samples: &'s [Sample],
    /// Their tokens as indices into the vocabulary.
    pub tokens: Vec<Vec<u32>>,
}

impl Probes<'_> {
    /// Their rows before the first layer.
    pub fn embed(&self, runner: &Runner<'_>) -> Result<Vec<Rows>, PackError> {
        let samples: Vec<&Sample> = self.samples.iter().collect();
        let observed = runner.embed(&samples, &self.tokens).map_err(PackError::Calibration)?;
        Ok(observed.into_iter().map(|observed| observed.rows).collect())
    }

    /// Runs candidates through a layer.
    pub fn advance(&self, runner: &Runner<'_>, candidates: &mut [Candidate]) -> Result<(), PackError> {
        let count = self.samples.len();
        let samples: Vec<&Sample> = candidates.iter().flat_map(|_| self.samples).collect();
        let tokens: Vec<Vec<u32>> = candidates.iter().flat_map(|_| self.tokens.iter().cloned()).collect();
        let of = |rows: fn(&Candidate) -> &Vec<Rows>| candidates.iter().flat_map(rows).map(Vec::as_slice).collect::<Vec<&[f32]>>();
        let (rows, encoder) = (of(|candidate| &candidate.rows), of(|candidate| &candidate.encoder));
        let observed = runner.run(&samples, &tokens, &rows, &encoder).map_err(PackError::Calibration)?;
        let mut observed = observed.into_iter();
        for candidate in candidates {
            (candidate.rows, candidate.outputs) = observed.by_ref().take(count).map(|observed| (observed.rows, observed.output)).unzip();
        }
        Ok(())
    }
}
