//! Attention weights of a head on a board, compared with those on this PC.

use attoformer::Probe;
use attoformer::probe::HeadSite;
use serde::{Deserialize, Serialize};

use super::attention::{Patterns, UNIT};
use super::error::InspectError;
use super::model::{InspectedModel, feed, is_causal};
use crate::error::Error;

/// Attention weights of one head on a machine, as printed by `cargo xtask attention`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Rows {
    /// Name of the machine.
    pub machine: String,
    /// The layer.
    pub layer: u32,
    /// The head.
    pub head: u32,
    /// Weights `(queries, keys)`, in units of the row's sum.
    pub rows: Vec<Vec<u32>>,
}

/// A probe that records the weights of one head.
struct HeadRecorder {
    layer: u32,
    head: u32,
    rows: Vec<Vec<u32>>,
}

impl Probe for HeadRecorder {
    fn wants_attention(&self) -> bool {
        true
    }

    fn attention(&mut self, site: HeadSite, weights: impl Iterator<Item = (usize, u32)>) {
        if site.layer == self.layer && site.head == self.head as usize {
            let mut row = Vec::new();
            for (key, weight) in weights {
                row.resize(key, 0);
                row.push(weight);
            }
            self.rows.push(row);
        }
    }
}

/// Data of the view.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// Name of the machine.
    pub machine: String,
    /// The layer.
    pub layer: u32,
    /// The head.
    pub head: u32,
    /// A weight of 1.
    pub unit: u16,
    /// Weights, u16 little-endian in base64: query, key.
    pub weights: String,
    /// Weights that differ from those on this PC.
    pub differing: usize,
    /// Compared weights.
    pub compared: usize,
}

/// Compares the rows of a board with those of this PC for the same prompt.
///
/// # Errors
/// [`InspectError::BoardRows`] if they do not match this model and prompt, or those of the engine.
pub fn view(model: &InspectedModel, tokens: &[u32], board: &Rows) -> Result<View, Error> {
    model.check_decoder("a board's attention")?;
    model.check_softmax()?;
    let mut recorder = HeadRecorder { layer: board.layer, head: board.head, rows: Vec::new() };
    model.session(|session| feed(session, tokens, &mut recorder).map(|_| ()))?;
    let fits = board.rows.iter().zip(&recorder.rows).all(|(board, here)| board.len() == here.len());
    if recorder.rows.is_empty() || board.rows.len() != recorder.rows.len() || !fits {
        let (machine, layer, head) = (board.machine.clone(), board.layer, board.head);
        return Err(Error::request(InspectError::BoardRows { machine, layer, head }));
    }
    let mut patterns = Patterns { layers: 1, heads: 1, tokens: tokens.len(), weights: vec![0.0; tokens.len().pow(2)] };
    for (position, row) in board.rows.iter().enumerate() {
        let weights = row.iter().copied().enumerate();
        patterns.attention(HeadSite { layer: 0, head: 0, position }, weights);
    }
    let pairs = || board.rows.iter().flatten().zip(recorder.rows.iter().flatten());
    Ok(View {
        machine: board.machine.clone(),
        layer: board.layer,
        head: board.head,
        unit: UNIT,
        weights: patterns.packed(is_causal(model.config())),
        differing: pairs().filter(|(board, here)| board != here).count(),
        compared: pairs().count(),
    })
}
