//! Mapping of a file's tensors to a checkpoint: names, shapes and the order of rotary pairs.

use std::ops::Range;

use attoformer::image::{Config, NormKind};

use super::checkpoint::{SourceRole, Tensor};
use super::tensor_data::TensorData;
use super::weights::{Weights, WeightsError};

/// Takes tensors by name and adds them to a checkpoint.
pub struct TensorMapper<'w> {
    /// The source.
    pub weights: &'w mut Weights,
    /// Prefix of all names.
    pub prefix: &'static str,
    /// The tensors of the checkpoint.
    pub tensors: Vec<Tensor>,
}

/// Names of a layer's tensors in a family, after the name of the layer itself. A name that the config does not need is not read.
pub struct LayerNames {
    /// Norm of the self-attention.
    pub attn_norm: &'static str,
    /// Query projection.
    pub query: &'static str,
    /// Key projection.
    pub key: &'static str,
    /// Value projection.
    pub value: &'static str,
    /// Output projection of the attention.
    pub attn_out: &'static str,
    /// Norm of each query head.
    pub query_norm: &'static str,
    /// Norm of each key head.
    pub key_norm: &'static str,
    /// Norm of the MLP.
    pub mlp_norm: &'static str,
    /// Gate projection of the MLP.
    pub gate: &'static str,
    /// First projection of the MLP.
    pub up: &'static str,
    /// Second projection of the MLP.
    pub down: &'static str,
}

impl LayerNames {
    /// No names: a start for families that have some of them.
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

/// Properties of a family's layers that the config does not state.
#[derive(Clone, Copy)]
pub struct LayerSpec {
    /// Names of the tensors.
    pub names: &'static LayerNames,
    /// Whether queries, keys and values have biases.
    pub qkv_bias: [bool; 3],
    /// Whether the attention's output projection has a bias.
    pub out_bias: bool,
    /// Whether the MLP's projections have biases.
    pub mlp_bias: bool,
    /// Order of the rotary pairs.
    pub pairs: RotaryPairs,
}

/// Which dimensions of a head RoPE rotates together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotaryPairs {
    /// Dimensions 0 and 1, 2 and 3, and so on, as in the engine.
    Interleaved,
    /// Dimensions `i` and `i + rotary_dim / 2`, as in Hugging Face's `rotate_half`.
    RotateHalf,
}

impl<'w> TensorMapper<'w> {
    /// A mapper of `weights`, whose names begin with `prefix`.
    pub fn new(weights: &'w mut Weights, prefix: &'static str) -> Self {
        TensorMapper { weights, prefix, tensors: Vec::new() }
    }

    /// Sets the prefix if the name of any tensor begins with it; a model that was saved without its head has no prefix.
    pub fn prefix_if(&mut self, prefix: &'static str) {
        if self.weights.any(prefix) {
            self.prefix = prefix;
        }
    }

    /// Takes a tensor, whose values are decoded when they are read.
    ///
    /// # Errors
    /// Those of [`Weights::take`].
    pub fn data(&mut self, name: &str, shape: &[usize]) -> Result<TensorData, WeightsError> {
        self.weights.take(&format!("{}{name}", self.prefix), shape)
    }

    /// Takes the values of a small tensor, such as a bias.
    ///
    /// # Errors
    /// Those of [`Weights::take`].
    pub fn values(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
        self.data(name, shape).map(|data| data.read().into_owned())
    }

    /// Ignores tensors.
    pub fn skip(&mut self, names: &[&str]) {
        for name in names {
            self.weights.skip(&format!("{}{name}", self.prefix));
        }
    }

    /// Adds a tensor to the checkpoint; `data` are whole rows of `columns`.
    pub fn put(&mut self, role: SourceRole, layer: Option<u32>, columns: usize, data: impl Into<TensorData>, bias: Option<Vec<f32>>) {
        let data = data.into();
        self.tensors.push(Tensor { role, layer, rows: data.len() / columns, columns, data, bias });
    }

    /// Maps a matrix without a bias, by its full name.
    ///
    /// # Errors
    /// Those of [`Weights::take`].
    pub fn matrix(&mut self, role: SourceRole, layer: Option<u32>, name: &str, rows: u32, columns: u32) -> Result<(), WeightsError> {
        let (rows, columns) = (rows as usize, columns as usize);
        let data = self.data(name, &[rows, columns])?;
        self.put(role, layer, columns, data, None);
        Ok(())
    }

    /// Maps `name.weight` of the shape `(rows, columns)`, and `name.bias` if `bias`.
    ///
    /// # Errors
    /// Those of [`Weights::take`].
    pub fn linear(&mut self, role: SourceRole, layer: Option<u32>, name: &str, shape: (u32, u32), bias: bool) -> Result<(), WeightsError> {
        let (data, bias) = self.weight_and_bias(name, shape, bias)?;
        self.put(role, layer, shape.1 as usize, data, bias);
        Ok(())
    }

    /// Takes `name.weight` of the shape `(rows, columns)`, and the values of `name.bias` if `bias`.
    ///
    /// # Errors
    /// Those of [`Weights::take`].
    pub fn weight_and_bias(&mut self, name: &str, shape: (u32, u32), bias: bool) -> Result<(TensorData, Option<Vec<f32>>), WeightsError> {
        let (rows, columns) = (shape.0 as usize, shape.1 as usize);
        let data = self.data(&format!("{name}.weight"), &[rows, columns])?;
        let bias = if bias { Some(self.values(&format!("{name}.bias"), &[rows])?) } else { None };
        Ok((data, bias))
    }

    /// Maps the scale of a norm, and its bias if it is a layer norm.
    ///
    /// # Errors
    /// Those of [`Weights::take`].
    pub fn norm(&mut self, role: SourceRole, layer: Option<u32>, name: &str, width: u32, kind: NormKind) -> Result<(), WeightsError> {
        let width = width as usize;
        let mut values = self.values(&format!("{name}.weight"), &[width])?;
        if kind == NormKind::Layer {
            values.extend(self.values(&format!("{name}.bias"), &[width])?);
        }
        self.put(role, layer, width, values, None);
        Ok(())
    }

    /// Maps all tensors of a layer, whose names begin with `prefix`.
    ///
    /// # Errors
    /// Those of [`Weights::take`].
    pub fn layer(&mut self, config: &Config, spec: &LayerSpec, layer: u32, prefix: &str) -> Result<(), WeightsError> {
        let LayerSpec { names, qkv_bias, out_bias, mlp_bias, pairs } = *spec;
        let (at, width, hidden) = (Some(layer), config.d_model, config.d_hidden);
        let name = |own: &str| format!("{prefix}{own}");
        self.norm(SourceRole::AttnNorm, at, &name(names.attn_norm), width, config.norm)?;
        let query = (SourceRole::Query, names.query, config.q_dim(), qkv_bias[0]);
        let key = (SourceRole::Key, names.key, config.kv_dim(), qkv_bias[1]);
        for (role, own, rows, bias) in [query, key] {
            self.linear(role, at, &name(own), (rows, width), bias)?;
            self.interleave_last(config, pairs, width as usize);
        }
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

    /// Maps the cross-attention of a decoder's layer: its norm, and the query, key, value and output projections, whose names begin with `prefix`.
    /// Each projection has its name and whether it has a bias.
    ///
    /// # Errors
    /// Those of [`Weights::take`].
    pub fn cross(
        &mut self,
        config: &Config,
        layer: u32,
        norm: &str,
        prefix: &str,
        projections: [(&str, bool); 4],
    ) -> Result<(), WeightsError> {
        let (at, width, inner) = (Some(layer), config.d_model, config.q_dim());
        self.norm(SourceRole::CrossNorm, at, norm, width, config.norm)?;
        let roles = [SourceRole::CrossQuery, SourceRole::CrossKey, SourceRole::CrossValue, SourceRole::CrossOut];
        for (role, (own, bias)) in roles.into_iter().zip(projections) {
            let shape = if role == SourceRole::CrossOut { (width, inner) } else { (inner, width) };
            self.linear(role, at, &format!("{prefix}{own}"), shape, bias)?;
        }
        Ok(())
    }

    /// Reorders the rows (of `columns` values) of the last tensor and its bias, so that rotary pairs are interleaved.
    pub fn interleave_last(&mut self, config: &Config, pairs: RotaryPairs, columns: usize) {
        if pairs == RotaryPairs::Interleaved {
            return;
        }
        let (head, rotary_dim) = (config.head_dim as usize, config.rotary_dim() as usize);
        if let Some(tensor) = self.tensors.last_mut() {
            let (data, len) = (tensor.data.clone(), tensor.data.len());
            tensor.data = data.map(len, move |values| interleave_rotary_pairs(values, columns, head, rotary_dim));
            tensor.bias = tensor.bias.as_ref().map(|bias| interleave_rotary_pairs(bias, 1, head, rotary_dim));
        }
    }
}

/// Reorders the rows of heads from `rotate_half` order to interleaved rotary pairs: of the first `rotary_dim` rows of a head, row `2 i` becomes the
/// former row `i`, and row `2 i + 1` the former row `i + rotary_dim / 2`; the others stay.
pub fn interleave_rotary_pairs(values: &[f32], columns: usize, head: usize, rotary_dim: usize) -> Vec<f32> {
    let from = |row: usize| if row < rotary_dim { row / 2 + row % 2 * (rotary_dim / 2) } else { row };
    let rows =
        values.chunks_exact(head * columns).flat_map(|head_rows| (0..head).map(move |row| &head_rows[from(row) * columns..][..columns]));
    rows.flatten().copied().collect()
}

/// The transpose of some columns of a matrix with rows of `width` values.
pub fn transposed(values: &[f32], width: usize, columns: Range<usize>) -> Vec<f32> {
    columns.flat_map(|column| values.chunks_exact(width).map(move |row| row[column])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hugging Face's `rotate_half` and the engine's rotation of interleaved pairs give the same scores, once the rows are reordered.
    #[test]
    fn interleaved_rows_give_the_same_scores() {
        const HEAD: usize = 10;
        const ROTARY_DIM: usize = 8;
        let angle = |position: usize, pair: usize| position as f64 * 0.7 / (pair + 1) as f64;
        let rotated = |row: &[f32], position: usize, ends: fn(usize) -> (usize, usize)| {
            let mut out: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
            for pair in 0..ROTARY_DIM / 2 {
                let ((first, second), (sin, cos)) = (ends(pair), angle(position, pair).sin_cos());
                let (x, y) = (f64::from(row[first]), f64::from(row[second]));
                (out[first], out[second]) = (x * cos - y * sin, y * cos + x * sin);
            }
            out
        };
        let halves: fn(usize) -> (usize, usize) = |pair| (pair, pair + ROTARY_DIM / 2);
        let interleaved: fn(usize) -> (usize, usize) = |pair| (2 * pair, 2 * pair + 1);
        let dot = |a: Vec<f64>, b: Vec<f64>| -> f64 { a.iter().zip(&b).map(|(a, b)| a * b).sum() };
        let row = |seed: usize| -> Vec<f32> { (0..HEAD).map(|at| ((at * 37 + seed * 11) % 29) as f32 / 7.0 - 2.0).collect() };
        for (query, key) in [(row(1), row(2)), (row(3), row(4))] {
            let reordered = |row: &[f32]| interleave_rotary_pairs(row, 1, HEAD, ROTARY_DIM);
            for (at, before) in [(0, 0), (5, 2), (9, 9)] {
                let expected = dot(rotated(&query, at, halves), rotated(&key, before, halves));
                let found = dot(rotated(&reordered(&query), at, interleaved), rotated(&reordered(&key), before, interleaved));
                assert!((expected - found).abs() < 1e-12, "{found}, expected {expected}");
            }
        }
        // Row 2 i is the former row i, with all its columns; rows that are not rotated stay.
        assert_eq!(interleave_rotary_pairs(&[0., 1., 2., 3., 4., 5., 6., 7., 8., 9.], 2, 5, 4), [0., 1., 4., 5., 2., 3., 6., 7., 8., 9.]);
        assert_eq!(transposed(&[1., 2., 3., 4., 5., 6.], 3, 0..3), [1., 4., 2., 5., 3., 6.]);
        assert_eq!(transposed(&[1., 2., 3., 4., 5., 6.], 3, 1..2), [2., 5.]);
    }
}
