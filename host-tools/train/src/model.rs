//! The decoder: weights, forward pass and gradients.

use std::sync::Arc;

use candle_core::{Device, Tensor, Var};

use crate::attention::Attention;
use crate::error::TrainError;
use crate::floats::list;
use crate::linear_attention::LinearAttention;
use crate::loss::Nll;
use crate::norm::RmsNorm;
use crate::rope::Rope;
use crate::shape::{AttentionKind, Kind, Shape};
use crate::vocabulary::BOS;

/// A Llama-type decoder with differentiable weights.
pub struct Model {
    shape: Shape,
    rope: Arc<Rope>,
    /// In the order of [`Shape::places`].
    weights: Vec<Var>,
}

/// Concatenated rows of tokens of one length.
pub(crate) struct Rows<'a> {
    pub(crate) tokens: &'a [u32],
    pub(crate) row_tokens: usize,
}

impl Model {
    /// Creates a model from weights in the order of a llama2.c file.
    ///
    /// # Errors
    /// [`TrainError::Format`] if the number of weights does not match the shape.
    pub fn new(shape: Shape, weights: &[f32]) -> Result<Self, TrainError> {
        shape.check()?;
        if weights.len() != shape.parameters() {
            let (have, need) = (weights.len(), shape.parameters());
            return Err(TrainError::Format(format!("{have} weights, the shape has {need}")));
        }
        let var = |place: crate::shape::Place| {
            let size = (place.rows, place.columns);
            let slice = &weights[place.at];
            match place.kind.is_norm() {
                true => Var::from_slice(slice, place.columns, &Device::Cpu),
                false => Var::from_slice(slice, size, &Device::Cpu),
            }
        };
        let weights = shape.places().into_iter().map(var).collect::<Result<_, _>>()?;
        Ok(Self { shape, rope: Arc::new(Rope::new(shape.context, shape.head_dim())), weights })
    }

    /// Sizes of the model.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// All weights in the order of a llama2.c file.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn weights(&self) -> Result<Vec<f32>, TrainError> {
        let mut all = Vec::with_capacity(self.shape.parameters());
        for var in &self.weights {
            all.extend(list(var)?);
        }
        Ok(all)
    }

    fn weight(&self, kind: Kind, layer: usize) -> &Tensor {
        let places = self.shape.places();
        let at = places.iter().position(|place| place.kind == kind && place.layer == layer);
        self.weights[at.expect("every layer has a tensor of every kind")].as_tensor()
    }

    /// Final hidden states `(tokens, dim)` after the final norm.
    pub(crate) fn hidden(&self, rows: &Rows) -> Result<Tensor, TrainError> {
        let ids = Tensor::from_slice(rows.tokens, rows.tokens.len(), &Device::Cpu)?;
        let attention = Attention {
            heads: self.shape.heads,
            kv_heads: self.shape.kv_heads,
            row_tokens: rows.row_tokens,
            text_start: text_starts(rows),
            rope: self.rope.clone(),
        };
        let mut x = self.weight(Kind::Embedding, 0).index_select(&ids, 0)?;
        for layer in 0..self.shape.layers {
            let linear = |x: &Tensor, kind| x.matmul(&self.weight(kind, layer).t()?);
            let normed = RmsNorm::apply(&x, self.weight(Kind::AttentionNorm, layer))?;
            let [q, k, v] = [Kind::Query, Kind::Key, Kind::Value].map(|kind| linear(&normed, kind));
            let attended = match self.shape.attention {
                AttentionKind::Softmax => attention.apply(&q?, &k?, &v?),
                AttentionKind::Linear => LinearAttention(attention.clone()).apply(&q?, &k?, &v?),
            };
            x = (x + linear(&attended?, Kind::Output)?)?;
            let normed = RmsNorm::apply(&x, self.weight(Kind::MlpNorm, layer))?;
            let gated = (linear(&normed, Kind::Gate)?.silu()? * linear(&normed, Kind::Up)?)?;
            x = (x + linear(&gated, Kind::Down)?)?;
        }
        Ok(RmsNorm::apply(&x, self.weight(Kind::FinalNorm, 0))?)
    }

    /// Logits `(tokens, vocab)` of hidden states (tied embeddings).
    pub(crate) fn logits(&self, hidden: &Tensor) -> Result<Tensor, TrainError> {
        Ok(hidden.matmul(&self.weight(Kind::Embedding, 0).t()?)?)
    }

    /// Negative log-likelihood summed over `targets`.
    pub(crate) fn nll(&self, rows: &Rows, targets: &[u32]) -> Result<Tensor, TrainError> {
        Ok(Nll::apply(&self.logits(&self.hidden(rows)?)?, targets.into())?)
    }

    /// The loss of [`Model::nll`] and its gradient with respect to every weight.
    pub(crate) fn gradient(&self, rows: &Rows, targets: &[u32]) -> Result<(f64, Vec<f32>), TrainError> {
        let loss = self.nll(rows, targets)?;
        let grads = loss.backward()?;
        let mut flat = Vec::with_capacity(self.shape.parameters());
        for var in &self.weights {
            match grads.get(var) {
                Some(grad) => flat.extend(list(grad)?),
                None => flat.resize(flat.len() + var.elem_count(), 0.0),
            }
        }
        Ok((f64::from(loss.to_scalar::<f32>()?), flat))
    }
}

/// For each token the index in its row of the last BOS up to it, or 0.
fn text_starts(rows: &Rows) -> Arc<[usize]> {
    let mut starts = Vec::with_capacity(rows.tokens.len());
    for row in rows.tokens.chunks(rows.row_tokens) {
        let mut start = 0;
        for (at, &token) in row.iter().enumerate() {
            if token == BOS {
                start = at;
            }
            starts.push(start);
        }
    }
    starts.into()
}

#[cfg(test)]
mod tests {
    use attoformer_stories::Rng;

    use super::*;

    const SHAPE: Shape =
        Shape { dim: 16, hidden: 12, layers: 2, heads: 4, kv_heads: 2, vocab: 260, context: 12, attention: AttentionKind::Softmax };
    const SHAPES: [Shape; 2] = [SHAPE, Shape { attention: AttentionKind::Linear, ..SHAPE }];

    fn model(shape: Shape, weights: &[f32]) -> Model {
        Model::new(shape, weights).unwrap()
    }

    fn weights() -> Vec<f32> {
        let mut rng = Rng::new(1);
        (0..SHAPE.parameters()).map(|_| rng.unit() - 0.5).collect()
    }

    /// Two rows of two texts each.
    const INPUTS: [u32; 16] = [1, 50, 60, 50, 1, 70, 80, 90, 1, 9, 8, 7, 6, 1, 50, 60];
    const TARGETS: [u32; 16] = [50, 60, 50, 1, 70, 80, 90, 1, 9, 8, 7, 6, 1, 50, 60, 50];

    #[test]
    fn gradients_equal_differences() {
        SHAPES.into_iter().for_each(compare_with_differences);
    }

    fn compare_with_differences(shape: Shape) {
        let rows = Rows { tokens: &INPUTS, row_tokens: 8 };
        let weights = weights();
        let (_, grad) = model(shape, &weights).gradient(&rows, &TARGETS).unwrap();
        let loss = |weights: &[f32]| model(shape, weights).gradient(&rows, &TARGETS).unwrap().0;
        let mut rng = Rng::new(2);
        for place in shape.places() {
            for _ in 0..6 {
                // Only embeddings of tokens that occur have a gradient worth comparing.
                let row = if place.kind == Kind::Embedding { INPUTS[rng.below(16)] as usize } else { rng.below(place.rows) };
                let at = place.at.start + row * place.columns + rng.below(place.columns);
                let step = 4e-3;
                let (mut more, mut less) = (weights.clone(), weights.clone());
                more[at] += step;
                less[at] -= step;
                let slope = (loss(&more) - loss(&less)) / f64::from(more[at] - less[at]);
                let got = f64::from(grad[at]);
                let near = 0.02 * slope.abs().max(0.5);
                let attention = shape.attention;
                assert!((got - slope).abs() < near, "{attention:?}, {place:?} at {at}: {got} where differences give {slope}");
            }
        }
    }

    #[test]
    fn a_text_does_not_see_the_one_before() {
        for shape in SHAPES {
            let model = model(shape, &weights());
            let nll = |tokens: &[u32], targets: &[u32]| {
                let rows = Rows { tokens, row_tokens: tokens.len() };
                model.nll(&rows, targets).unwrap().to_scalar::<f32>().unwrap()
            };
            let both = nll(&INPUTS[..8], &TARGETS[..8]);
            let alone = nll(&INPUTS[..4], &TARGETS[..4]) + nll(&INPUTS[4..8], &TARGETS[4..8]);
            assert!((both - alone).abs() < 1e-3, "{both} and {alone}");
        }
    }

    #[test]
    fn files_read_back_and_damaged_ones_do_not() {
        for shape in SHAPES {
            let model = model(shape, &weights());
            let bytes = model.to_bytes().unwrap();
            let read = Model::from_bytes(&bytes).unwrap();
            assert_eq!((read.shape(), read.weights().unwrap()), (&shape, weights()));
            for end in [0, 27, 28, bytes.len() - 1] {
                assert!(Model::from_bytes(&bytes[..end]).is_err(), "{end} bytes");
            }
            for size in 0..7 {
                for value in [0i32, -1, i32::MAX, i32::MIN, 1 << 20] {
                    let mut wrong = bytes.clone();
                    wrong[4 * size..4 * size + 4].copy_from_slice(&value.to_le_bytes());
                    assert!(Model::from_bytes(&wrong).is_err(), "size {size} is {value}");
                }
            }
        }
    }
}
