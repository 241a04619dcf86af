//! Tensors on their way from a file to a checkpoint: what the families have in common.

use attoformer::image::{Config, NormKind};

use super::checkpoint::{SourceRole, Tensor};
use super::weights::Weights;

/// Takes tensors by name and puts them where they belong.
pub struct TensorMapper<'w, 'b> {
    /// Where they come from.
    pub weights: &'w mut Weights<'b>,
    /// What all names begin with.
    pub prefix: &'static str,
    /// Where they go.
    pub tensors: Vec<Tensor>,
}

/// What a family calls the parts of a layer, behind the layer's own name. Parts that a config does not ask for are not looked at.
pub struct LayerNames {
    /// Norm of the attention.
    pub attn_norm: &'static str,
    /// Query projection.
    pub query: &'static str,
    /// Key projection.
    pub key: &'static str,
    /// Value projection.
    pub value: &'static str,
    /// Output projection.
    pub attn_out: &'static str,
    /// Norm of each query head.
    pub query_norm: &'static str,
    /// Norm of each key head.
    pub key_norm: &'static str,
    /// Norm of the MLP.
    pub mlp_norm: &'static str,
    /// Gate of the MLP.
    pub gate: &'static str,
    /// First projection of the MLP.
    pub up: &'static str,
    /// Second projection of the MLP.
    pub down: &'static str,
}

impl LayerNames {
    /// No part at all.
    pub const NONE: LayerNames = LayerNames {
        attn_norm: "",
        query: "",
        key: "",
        value: "",
        attn_out: "",
        query_norm: "",
        key_norm: "",
        mlp_norm: "",
        gate: "",
        up: "",
        down: "",
    };
}

/// What a family's layers have beside their config.
#[derive(Clone, Copy)]
pub struct LayerSpec {
    /// The names of the parts.
    pub names: &'static LayerNames,
    /// Whether queries, keys and values have biases.
    pub qkv_bias: [bool; 3],
    /// Whether the attention's output has one.
    pub out_bias: bool,
    /// Whether the MLP's projections have biases.
    pub mlp_bias: bool,
    /// Which dimensions of a head turn together.
    pub pairs: RotaryPairs,
}

/// Which dimensions of a head turn together under rotary positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotaryPairs {
    /// 0 and 1, 2 and 3: as the engine has them.
    Interleaved,
    /// Dimension `i` and `i + rotary_dim / 2`.
    RotateHalf,
}

impl<'w, 'b> TensorMapper<'w, 'b> {
    /// Over these weights, whose names begin with `prefix`.
    pub fn new(weights: &'w mut Weights<'b>, prefix: &'static str) -> Self {
        TensorMapper { weights, prefix, tensors: Vec::new() }
    }

    /// Makes all later names begin with `prefix` if any tensor's does: a model saved without its head has none.
    pub fn prefix_if(&mut self, prefix: &'static str) {
        if self.weights.any(prefix) {
            self.prefix = prefix;
        }
    }

    /// A tensor's values.
    ///
    /// # Errors
    /// Those of [`Weights::take`].
    pub fn values(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        self.weights.take(&format!("{}{name}", self.prefix), shape)
    }

    /// Leaves tensors out.
    pub fn skip(&mut self, names: &[&str]) {
        for name in names {
            self.weights.skip(&format!("{}{name}", self.prefix));
        }
    }

    /// Adds a tensor to the checkpoint; its values are whole rows of this many columns.
    pub fn put(&mut self, role: SourceRole, layer: Option<u32>, columns: usize, values: Vec<f32>, bias: Option<Vec<f32>>) {
        self.tensors.push(Tensor { role, layer, rows: values.len() / columns, columns, values, bias });
    }

    /// A matrix without a bias, under its full name.
    ///
    /// # Errors
    /// Those of [`Weights::take`].
    pub fn matrix(&mut self, role: SourceRole, layer: Option<u32>, name: &str, rows: u32, columns: u32) -> Result<(), String> {
        let (rows, columns) = (rows as usize, columns as usize);
        let values = self.values(name, &[rows, columns])?;
        self.put(role, layer, columns, values, None);
        Ok(())
    }

    /// `name.weight`, and `name.bias` where the family has one.
    ///
    /// # Errors
    /// Those of [`Weights::take`].
    pub fn linear(
        &mut self,
        role: SourceRole,
        layer: Option<u32>,
        name: &str,
        (rows, columns): (u32, u32),
        bias: bool,
    ) -> Result<(), String> {
        let (values, bias) = self.weight_and_bias(name, (rows, columns), bias)?;
        self.put(role, layer, columns as usize, values, bias);
        Ok(())
    }

    /// The values of `name.weight` and `name.bias`.
    ///
    /// # Errors
    /// Those of [`Weights::take`].
    pub fn weight_and_bias(&mut self, name: &str, shape: (u32, u32), bias: bool) -> Result<(Vec<f32>, Option<Vec<f32>>), String> {
        let (rows, columns) = (shape.0 as usize, shape.1 as usize);
        let values = self.values(&format!("{name}.weight"), &[rows, columns])?;
        let bias = if bias { Some(self.values(&format!("{name}.bias"), &[rows])?) } else { None };
        Ok((values, bias))
    }

    /// A norm's scale, and its bias when it is a layer norm.
    ///
    /// # Errors
    /// Those of [`Weights::take`].
    pub fn norm(&mut self, role: SourceRole, layer: Option<u32>, name: &str, width: u32, kind: NormKind) -> Result<(), String> {
        let width = width as usize;
        let mut values = self.values(&format!("{name}.weight"), &[width])?;
        if kind == NormKind::Layer {
            values.extend(self.values(&format!("{name}.bias"), &[width])?);
        }
        self.put(role, layer, width, values, None);
        Ok(())
    }

    /// All parts of a layer whose names begin with `front`.
    ///
    /// # Errors
    /// Those of [`Weights::take`].
    pub fn layer(&mut self, config: &Config, layers: &LayerSpec, layer: u32, front: &str) -> Result<(), String> {
        let LayerSpec { names, qkv_bias, out_bias, mlp_bias, pairs } = *layers;
        let (at, width, hidden) = (Some(layer), config.d_model, config.d_hidden);
        let name = |rest: &str| format!("{front}{rest}");
        self.norm(SourceRole::AttnNorm, at, &name(names.attn_norm), width, config.norm)?;
        self.turned(SourceRole::Query, at, &name(names.query), config, config.q_dim(), qkv_bias[0], pairs)?;
        self.turned(SourceRole::Key, at, &name(names.key), config, config.kv_dim(), qkv_bias[1], pairs)?;
        self.linear(SourceRole::Value, at, &name(names.value), (config.kv_dim(), width), qkv_bias[2])?;
        self.linear(SourceRole::AttnOut, at, &name(names.attn_out), (width, config.q_dim()), out_bias)?;
        if config.qk_norm {
            for (role, own) in [(SourceRole::QueryNorm, names.query_norm), (SourceRole::KeyNorm, names.key_norm)] {
                self.norm(role, at, &name(own), config.head_dim, config.norm)?;
                self.interleave_last(config, pairs, 1);
            }
        }
        self.norm(SourceRole::MlpNorm, at, &name(names.mlp_norm), width, config.norm)?;
        if config.gated {
            self.linear(SourceRole::Gate, at, &name(names.gate), (hidden, width), mlp_bias)?;
        }
        self.linear(SourceRole::Up, at, &name(names.up), (hidden, width), mlp_bias)?;
        self.linear(SourceRole::Down, at, &name(names.down), (width, hidden), mlp_bias)
    }

    /// The attention of a decoder's layer to the encoder's rows: its norm, and the projections of query, key, value and output with what
    /// their names begin with.
    ///
    /// # Errors
    /// Those of [`Weights::take`].
    pub fn cross(&mut self, config: &Config, layer: u32, norm: &str, front: &str, projections: [(&str, bool); 4]) -> Result<(), String> {
        let (at, width, inner) = (Some(layer), config.d_model, config.q_dim());
        self.norm(SourceRole::CrossNorm, at, norm, width, config.norm)?;
        for (role, (own, bias)) in
            [SourceRole::CrossQuery, SourceRole::CrossKey, SourceRole::CrossValue, SourceRole::CrossOut].into_iter().zip(projections)
        {
            let shape = if role == SourceRole::CrossOut { (width, inner) } else { (inner, width) };
            self.linear(role, at, &format!("{front}{own}"), shape, bias)?;
        }
        Ok(())
    }

    /// A query or key projection, its rows in the engine's order.
    #[expect(clippy::too_many_arguments, reason = "a linear layer's, and how its rows turn")]
    fn turned(
        &mut self,
        role: SourceRole,
        layer: Option<u32>,
        name: &str,
        config: &Config,
        rows: u32,
        bias: bool,
        pairs: RotaryPairs,
    ) -> Result<(), String> {
        self.linear(role, layer, name, (rows, config.d_model), bias)?;
        self.interleave_last(config, pairs, config.d_model as usize);
        Ok(())
    }

    /// Brings the rows (of this many columns) of the tensor put last, and its bias, from half-split to neighbour pairs.
    pub fn interleave_last(&mut self, config: &Config, pairs: RotaryPairs, columns: usize) {
        if pairs == RotaryPairs::Interleaved {
            return;
        }
        let (head, turning) = (config.head_dim as usize, config.rotary_dim() as usize);
        if let Some(tensor) = self.tensors.last_mut() {
            tensor.values = interleave_rotary_pairs(&tensor.values, columns, head, turning);
            tensor.bias = tensor.bias.as_ref().map(|bias| interleave_rotary_pairs(bias, 1, head, turning));
        }
    }
}

/// Rows of heads from half-split to neighbour pairs: of the first `turning` rows of a head, row `2 i` becomes what was row `i`, row `2 i + 1`
/// what was row `i + turning / 2`; the others stay.
pub fn interleave_rotary_pairs(values: &[f32], columns: usize, head: usize, turning: usize) -> Vec<f32> {
    let from = |row: usize| if row < turning { row / 2 + row % 2 * (turning / 2) } else { row };
    let rows =
        values.chunks_exact(head * columns).flat_map(|head_rows| (0..head).map(move |row| &head_rows[from(row) * columns..][..columns]));
    rows.flatten().copied().collect()
}

/// A matrix stored with its inputs as rows, turned.
pub fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns;
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores under Hugging Face's rotation of halves are those under the engine's of neighbours, once rows are in its order.
    #[test]
    fn turned_rows_make_the_same_scores() {
        const HEAD: usize = 10;
        const TURNING: usize = 8;
        let angle = |place: usize, pair: usize| place as f64 * 0.7 / (pair + 1) as f64;
        let rotated = |row: &[f32], place: usize, ends: fn(usize) -> (usize, usize)| {
            let mut out: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
            for pair in 0..TURNING / 2 {
                let ((first, second), (sin, cos)) = (ends(pair), angle(place, pair).sin_cos());
                let (x, y) = (f64::from(row[first]), f64::from(row[second]));
                (out[first], out[second]) = (x * cos - y * sin, y * cos + x * sin);
            }
            out
        };
        let halves: fn(usize) -> (usize, usize) = |pair| (pair, pair + TURNING / 2);
        let neighbours: fn(usize) -> (usize, usize) = |pair| (2 * pair, 2 * pair + 1);
        let dot = |a: Vec<f64>, b: Vec<f64>| -> f64 { a.iter().zip(&b).map(|(a, b)| a * b).sum() };
        let row = |seed: usize| -> Vec<f32> { (0..HEAD).map(|at| ((at * 37 + seed * 11) % 29) as f32 / 7.0 - 2.0).collect() };
        for (query, key) in [(row(1), row(2)), (row(3), row(4))] {
            let turned = |row: &[f32]| interleave_rotary_pairs(row, 1, HEAD, TURNING);
            for (at, before) in [(0, 0), (5, 2), (9, 9)] {
                let wanted = dot(rotated(&query, at, halves), rotated(&key, before, halves));
                let found = dot(rotated(&turned(&query), at, neighbours), rotated(&turned(&key), before, neighbours));
                assert!((wanted - found).abs() < 1e-12, "{wanted} became {found}");
            }
        }
        // Row 2 i of a head is what was row i, whole columns at a time; rows that do not turn stay.
        assert_eq!(interleave_rotary_pairs(&[0., 1., 2., 3., 4., 5., 6., 7., 8., 9.], 2, 5, 4), [0., 1., 4., 5., 2., 3., 6., 7., 8., 9.]);
        assert_eq!(transposed(&[1., 2., 3., 4., 5., 6.], 3), [1., 4., 2., 5., 3., 6.]);
    }
}
