//! Logit lens (nostalgebraist 2020): the predictions of the final norm and head on the residual stream after each layer.

use attoformer::probe::{Part, Site};
use attoformer::{Probe, Session};
use serde::Serialize;

use super::model::{InspectedModel, feed, layers};
use super::numbers::{likeliest, log_sum_exp, rounded};
use crate::error::Error;
use crate::report::progress::Progress;

/// Tokens shown of each distribution.
pub const TOP: usize = 5;

/// Residual stream of a prompt, `(layers + 1, tokens, d_model)`; the embedding first.
#[derive(Clone, Debug, PartialEq)]
pub struct Residuals {
    /// Tokens of the prompt.
    pub tokens: usize,
    /// Width of a row.
    pub width: usize,
    /// Values `(layers + 1, tokens, d_model)`.
    pub values: Vec<f32>,
}

impl Residuals {
    /// Runs a prompt.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn of(session: &mut Session, tokens: &[u32]) -> Result<Self, attoformer::Error> {
        let (layers, width) = (layers(session.config()) as usize, session.config().d_model as usize);
        let mut residuals = Residuals { tokens: tokens.len(), width, values: vec![0.0; (layers + 1) * tokens.len() * width] };
        feed(session, tokens, &mut residuals)?;
        Ok(residuals)
    }

    /// The rows `(tokens, d_model)` after this many layers.
    pub fn after_layers(&self, layers: usize) -> impl Iterator<Item = &[f32]> {
        let size = self.tokens * self.width;
        self.values[layers * size..][..size].chunks(self.width)
    }
}

impl Residuals {
    /// Replaces rows of a run by the recorded rows after this many layers.
    pub(super) fn restore(&self, layers: usize, start: usize, rows: &mut [f32]) {
        let from = (layers * self.tokens + start) * self.width;
        rows.copy_from_slice(&self.values[from..][..rows.len()]);
    }
}

impl Probe for Residuals {
    fn rows(&mut self, site: Site, width: usize, rows: &mut [f32]) {
        let passed = match site.part {
            Part::Embedded => 0,
            Part::Residual => site.layer as usize + 1,
            _ => return,
        };
        let start = (passed * self.tokens + site.start) * width;
        self.values[start..][..rows.len()].copy_from_slice(rows);
    }
}

/// Data of the view. Lists are ordered by layers passed (0 is the embedding), then by position.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// Rows: the embedding, then one per layer.
    pub rows: usize,
    /// Tokens shown of each distribution.
    pub top: usize,
    /// The most likely tokens, best first.
    pub ids: Vec<u32>,
    /// Their probabilities.
    pub p: Vec<f32>,
    /// Entropy of each distribution in bits.
    pub entropy: Vec<f32>,
    /// The answer at each position: the most likely token after the last layer.
    pub answers: Vec<u32>,
    /// Rank of the answer in each distribution, from 1.
    pub rank: Vec<u32>,
    /// Probability of the answer in each distribution.
    pub answer_p: Vec<f32>,
}

/// Predictions from one row.
struct Cell {
    top: [(u32, f32); TOP],
    entropy: f32,
    rank: u32,
    answer_p: f32,
}

/// Computes the view.
///
/// # Errors
/// [`InspectError`](super::InspectError) for models that are not decoders, or those of the engine.
pub fn view(model: &InspectedModel, tokens: &[u32], progress: &Progress) -> Result<View, Error> {
    model.check_decoder("the logit lens")?;
    let residuals = model.session(|session| Residuals::of(session, tokens))?;
    let layers = layers(model.config()) as usize;
    let answers = model
        .session(|session| residuals.after_layers(layers).map(|row| session.lens(row).map(likeliest)).collect::<Result<Vec<_>, _>>())?;
    let cells = model.sweep(layers + 1, progress, |session, passed| {
        residuals
            .after_layers(passed)
            .zip(&answers)
            .map(|(row, &answer)| session.lens(row).map(|logits| cell(logits, answer)))
            .collect::<Result<Vec<_>, _>>()
    })?;
    let cells: Vec<Cell> = cells.into_iter().flatten().collect();
    // The vocabulary may be smaller.
    let top = TOP.min(model.config().vocab as usize);
    let shown = || cells.iter().flat_map(|cell| &cell.top[..top]);
    Ok(View {
        rows: layers + 1,
        top,
        ids: shown().map(|&(token, _)| token).collect(),
        p: shown().map(|&(_, p)| p).collect(),
        entropy: cells.iter().map(|cell| cell.entropy).collect(),
        rank: cells.iter().map(|cell| cell.rank).collect(),
        answer_p: cells.iter().map(|cell| cell.answer_p).collect(),
        answers,
    })
}

fn cell(logits: &[f32], answer: u32) -> Cell {
    let normalizer = log_sum_exp(logits);
    let p = |token: u32| (logits[token as usize] as f64 - normalizer).exp();
    let mut best: Vec<u32> = Vec::with_capacity(TOP + 1);
    for token in 0..logits.len() as u32 {
        let worse = |other: &u32| logits[*other as usize] >= logits[token as usize];
        let place = best.iter().rposition(worse).map_or(0, |place| place + 1);
        if place < TOP {
            best.insert(place, token);
            best.truncate(TOP);
        }
    }
    let mut top = [(0, 0.0); TOP];
    top.iter_mut().zip(&best).for_each(|(slot, &token)| *slot = (token, rounded(p(token))));
    let answered = logits[answer as usize];
    let better =
        logits.iter().enumerate().filter(|&(token, &logit)| logit > answered || (logit == answered && token < answer as usize)).count();
    let entropy: f64 =
        logits.iter().map(|&logit| logit as f64 - normalizer).map(|log| -log.exp() * log).sum::<f64>() / std::f64::consts::LN_2;
    Cell { top, entropy: rounded(entropy), rank: better as u32 + 1, answer_p: rounded(p(answer)) }
}

#[cfg(test)]
mod tests {
    use super::cell;

    /// By hand: the first of two equal tokens ranks higher.
    #[test]
    fn a_cell_holds_the_best_and_the_answers_rank() {
        let cell = cell(&[0.0, 2.0, 1.0, 2.0, -1.0, 0.5, -2.0], 2);
        assert_eq!(cell.top.map(|(token, _)| token), [1, 3, 2, 5, 0]);
        assert_eq!(cell.rank, 3);
        assert!((cell.answer_p / cell.top[0].1 - (-1f32).exp()).abs() < 1e-3);
    }
}
