//! What a head looked at on a board, beside what it looks at here.

use attoformer::Probe;
use attoformer::probe::HeadSite;
use serde::{Deserialize, Serialize};

use super::attention::{Patterns, UNIT};
use super::is_causal;
use super::model::{InspectedModel, feed};
use crate::error::Error;

/// The weights of one head on a machine, as `cargo xtask attention` prints them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Rows {
    /// The machine's name.
    pub machine: String,
    /// The layer.
    pub layer: u32,
    /// The head.
    pub head: u32,
    /// For each position a weight for each key, in units of the row's sum.
    pub rows: Vec<Vec<u32>>,
}

/// A probe that keeps the weights of one head as they are.
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

/// The view.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// The machine's name.
    pub machine: String,
    /// The layer.
    pub layer: u32,
    /// The head.
    pub head: u32,
    /// A weight of 1.
    pub unit: u16,
    /// Weights, u16 little-endian in base64: query, key.
    pub weights: String,
    /// Weights that are other than on this PC.
    pub differing: usize,
    /// Weights in all.
    pub compared: usize,
}

/// Compares a board's rows with this PC's for the same prompt.
///
/// # Errors
/// [`Error::Request`] when they are not of this model and prompt, or what the engine says.
pub fn view(model: &InspectedModel, tokens: &[u32], board: &Rows) -> Result<View, Error> {
    model.check_writes("a board's attention")?;
    model.check_attends()?;
    let mut recorder = HeadRecorder { layer: board.layer, head: board.head, rows: Vec::new() };
    model.session(|session| feed(session, tokens, &mut recorder).map(|_| ()))?;
    let fits = board.rows.iter().zip(&recorder.rows).all(|(board, here)| board.len() == here.len());
    if recorder.rows.is_empty() || board.rows.len() != recorder.rows.len() || !fits {
        let (machine, layer, head) = (&board.machine, board.layer, board.head);
        return Err(Error::request(format!("the rows of {machine} (layer {layer}, head {head}) are not those of this model and prompt")));
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
