//! Attention weights of each head and its characteristics (self-attention of the prompt).

use std::iter;

use attoformer::probe::HeadSite;
use attoformer::{Probe, Session};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::model::{InspectedModel, feed, is_causal, layers};
use super::numbers::rounded;
use crate::error::Error;

/// A weight of 1 in the page's data.
pub const UNIT: u16 = u16::MAX;
/// Random tokens in each half of a repeated sequence (as in Olsson et al. 2022).
const REPEATED: usize = 25;
/// Sequences over which an induction score is averaged.
const SEQUENCES: u32 = 4;

/// Attention weights of all heads on one prompt, `(layers, heads, queries, keys)`. Each row sums to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Patterns {
    /// Layers.
    pub layers: usize,
    /// Query heads of a layer.
    pub heads: usize,
    /// Tokens of the prompt.
    pub tokens: usize,
    /// The weights; 0 for masked keys.
    pub weights: Vec<f32>,
}

impl Patterns {
    /// Runs a prompt.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn of(session: &mut Session, tokens: &[u32]) -> Result<Self, attoformer::Error> {
        let (layers, heads) = (layers(session.config()) as usize, session.config().heads as usize);
        let mut patterns = Patterns { layers, heads, tokens: tokens.len(), weights: vec![0.0; layers * heads * tokens.len().pow(2)] };
        feed(session, tokens, &mut patterns)?;
        Ok(patterns)
    }

    /// The weights `(keys)` of one head at one query.
    pub fn row(&self, layer: usize, head: usize, query: usize) -> &[f32] {
        &self.weights[((layer * self.heads + head) * self.tokens + query) * self.tokens..][..self.tokens]
    }

    /// The weights `(queries, keys)` of each head, in order of layer and head.
    pub fn of_heads(&self) -> impl Iterator<Item = &[f32]> {
        self.weights.chunks(self.tokens.pow(2))
    }

    /// The weights in units of 1 / [`UNIT`] as little-endian u16 in base64; for a causal model only the keys up to the query. The units of a row sum to
    /// [`UNIT`] exactly: the largest remainders are rounded up.
    pub(super) fn packed(&self, causal: bool) -> String {
        let mut bytes = Vec::new();
        for (index, row) in self.weights.chunks(self.tokens).enumerate() {
            let visible = if causal { index % self.tokens + 1 } else { self.tokens };
            bytes.extend(steps(&row[..visible]).into_iter().flat_map(u16::to_le_bytes));
        }
        STANDARD.encode(bytes)
    }
}

impl Probe for Patterns {
    fn wants_attention(&self) -> bool {
        true
    }

    fn attention(&mut self, site: HeadSite, weights: impl Iterator<Item = (usize, u32)>) {
        let start = ((site.layer as usize * self.heads + site.head) * self.tokens + site.position) * self.tokens;
        let row = &mut self.weights[start..][..self.tokens];
        let mut sum = 0.0;
        for (key, weight) in weights {
            // At most 2^30: f32 is precise enough because the sum is the divisor.
            row[key] = weight as f32;
            sum += weight as f64;
        }
        row.iter_mut().for_each(|weight| *weight = (*weight as f64 / sum) as f32);
    }
}

/// Rounds weights that sum to 1 to units of 1 / [`UNIT`] (largest remainder method).
fn steps(row: &[f32]) -> Vec<u16> {
    let exact: Vec<f64> = row.iter().map(|&weight| weight as f64 * UNIT as f64).collect();
    let mut steps: Vec<u16> = exact.iter().map(|exact| exact.floor() as u16).collect();
    let given: u32 = steps.iter().map(|&step| step as u32).sum();
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&a, &b| (exact[b] - exact[b].floor()).total_cmp(&(exact[a] - exact[a].floor())));
    let missing = (UNIT as u32).saturating_sub(given) as usize;
    order.into_iter().take(missing).for_each(|index| steps[index] += 1);
    steps
}

/// Characteristics of a head. All but `induction` are means over the positions of the prompt after the first, which can only attend to itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The layer.
    pub layer: usize,
    /// The head.
    pub head: usize,
    /// Entropy of the weights in bits.
    pub entropy: f32,
    /// Mean attention distance in tokens (Vig and Belinkov 2019).
    pub distance: f32,
    /// Weight of the first token (attention sinks, Xiao et al. 2023).
    pub first: f32,
    /// Weight of the previous token (previous-token heads).
    pub previous: f32,
    /// On repeated random tokens, the weight of the token after the earlier occurrence: the prefix matching score of Olsson et al. 2022. Causal
    /// models only.
    pub induction: Option<f32>,
}

/// Characterizes each head by its weights.
pub fn summaries(patterns: &Patterns, induction: Option<&[f64]>) -> Vec<Summary> {
    let tokens = patterns.tokens;
    let describe = |(index, weights): (usize, &[f32])| {
        let mean = |of: &dyn Fn(usize, &[f32]) -> f64| {
            let rows = weights.chunks(tokens).enumerate().skip(1);
            rows.map(|(query, row)| of(query, row)).sum::<f64>() / (tokens - 1).max(1) as f64
        };
        let each =
            |of: &dyn Fn(usize, f64) -> f64, row: &[f32]| row.iter().enumerate().map(|(key, &weight)| of(key, weight as f64)).sum::<f64>();
        Summary {
            layer: index / patterns.heads,
            head: index % patterns.heads,
            entropy: rounded(mean(&|_, row| each(&|_, weight| if weight > 0.0 { -weight * weight.log2() } else { 0.0 }, row))),
            distance: rounded(mean(&|query, row| each(&|key, weight| weight * query.abs_diff(key) as f64, row))),
            first: rounded(mean(&|_, row| row[0] as f64)),
            previous: rounded(mean(&|query, row| row[query - 1] as f64)),
            induction: induction.map(|scores| rounded(scores[index])),
        }
    };
    patterns.of_heads().enumerate().map(describe).collect()
}

/// Induction scores of all heads in order: on the second half of a random sequence that is repeated, the mean weight of the token after the earlier
/// occurrence of the query token. `None` if the context is too short.
///
/// # Errors
/// Those of the engine.
pub fn induction(model: &InspectedModel) -> Result<Option<Vec<f64>>, Error> {
    let config = model.config();
    let half = REPEATED.min((config.context as usize - 1) / 2);
    if !is_causal(config) || half < 2 || config.vocab < 8 {
        return Ok(None);
    }
    let setup = crate::engine::Setup { context: Some(2 * half as u32 + 1), ..model.setup };
    let scores = InspectedModel { setup, ..*model }.session(|session| {
        let mut scores = vec![0.0; (config.layers * config.heads) as usize];
        for sequence in 0..SEQUENCES {
            let patterns = Patterns::of(session, &repeated(config.bos, config.eos, config.vocab, half, sequence))?;
            for (score, weights) in scores.iter_mut().zip(patterns.of_heads()) {
                let rows = weights.chunks(2 * half + 1).enumerate().skip(1 + half);
                *score += rows.map(|(query, row)| row[query - half + 1] as f64).sum::<f64>() / (half * SEQUENCES as usize) as f64;
            }
        }
        Ok(scores)
    })?;
    Ok(Some(scores))
}

/// BOS, then `half` random tokens twice.
fn repeated(begin: u32, end: u32, vocab: u32, half: usize, sequence: u32) -> Vec<u32> {
    // SplitMix64: the same tokens on every machine.
    let draw = |index: usize| {
        let mixed = (index as u64 + 1 + ((sequence as u64) << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % vocab as u64) as u32
    };
    let drawn: Vec<u32> = (0..).map(draw).filter(|&token| token != begin && token != end).take(half).collect();
    iter::once(begin).chain(drawn.iter().copied()).chain(drawn.iter().copied()).collect()
}

/// Data of the view.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// Layers.
    pub layers: usize,
    /// Query heads of a layer.
    pub heads: usize,
    /// Whether only keys up to the query are stored.
    pub causal: bool,
    /// A weight of 1.
    pub unit: u16,
    /// Weights, u16 little-endian in base64: layer, head, query, key.
    pub weights: String,
    /// Each head, in order.
    pub summaries: Vec<Summary>,
    /// The weights before rounding.
    #[serde(skip)]
    pub patterns: Patterns,
}

/// Computes the view.
///
/// # Errors
/// [`InspectError`](super::InspectError) for linear attention, or those of the engine.
pub fn view(model: &InspectedModel, tokens: &[u32]) -> Result<View, Error> {
    model.check_softmax()?;
    let patterns = model.session(|session| Patterns::of(session, tokens))?;
    let induction = induction(model)?;
    let causal = is_causal(model.config());
    Ok(View {
        layers: patterns.layers,
        heads: patterns.heads,
        causal,
        unit: UNIT,
        weights: patterns.packed(causal),
        summaries: summaries(&patterns, induction.as_deref()),
        patterns,
    })
}

#[cfg(test)]
mod tests {
    use super::{Patterns, UNIT, repeated, steps, summaries};

    /// Rounded weights still sum to 1.
    #[test]
    fn steps_of_a_row_sum_to_one() {
        for row in [vec![1.0], vec![0.5, 0.5], vec![1.0 / 7.0; 7], (0..64).map(|key| (key as f32 + 0.5) / 2048.0).collect()] {
            assert_eq!(steps(&row).iter().map(|&step| step as u32).sum::<u32>(), UNIT as u32);
        }
    }

    /// By hand: a previous-token head and a uniform head.
    #[test]
    fn heads_are_described_as_defined() {
        let previous = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
        let even = [1.0, 0.0, 0.0, 0.5, 0.5, 0.0, 0.25, 0.25, 0.5];
        let patterns = Patterns { layers: 1, heads: 2, tokens: 3, weights: [previous, even].concat() };
        let [back, wide] = summaries(&patterns, Some(&[0.25, 0.0]))[..] else { panic!("two heads") };
        assert_eq!((back.entropy, back.distance, back.first, back.previous, back.induction), (0.0, 1.0, 0.5, 1.0, Some(0.25)));
        assert_eq!((wide.entropy, wide.distance, wide.first, wide.previous), (1.25, 0.625, 0.375, 0.375));
    }

    #[test]
    fn repeated_tokens_repeat_and_are_ordinary() {
        let tokens = repeated(1, 2, 9, 6, 3);
        assert_eq!((tokens.len(), tokens[0]), (13, 1));
        assert_eq!(tokens[1..7], tokens[7..]);
        assert!(tokens[1..].iter().all(|&token| token != 1 && token != 2 && token < 9));
        assert_ne!(tokens, repeated(1, 2, 9, 6, 4));
    }
}
