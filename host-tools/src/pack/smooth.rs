//! Column scaling of the matrices before quantization, from smoothing factors. The inverse factors are folded into the preceding norm if only
//! this matrix reads its output; otherwise the engine applies them as `in_scale`.

use attoformer::image::Role;
use attoformer::image::{Config, NormPlacement};

use super::activations::ActivationBits;
use crate::quantize::error::product_error;
use crate::quantize::smoothing::{self, SmoothingOptions};
use crate::quantize::{Format, Grid, Matrix, Rounding, quantize};

/// Scaling of a tensor's columns.
#[derive(Clone, Debug, Default)]
pub struct ColumnScaling {
    /// One factor per column; `None` for 1.
    pub factors: Option<Vec<f32>>,
    /// Whether the engine multiplies the input by the inverse factors.
    pub in_scale: bool,
}

/// The smoothing factors of a matrix. Rows of `mlp_down`'s input differ so much in magnitude that each counts by its relative error.
pub fn factors(inputs: Matrix, weights: Matrix, grid: Grid, activations: ActivationBits, role: Role) -> Vec<f32> {
    let options = SmoothingOptions {
        activation_limit: activations.limit(),
        relative_rows: role == Role::MlpDown && activations == ActivationBits::Eight,
        ..SmoothingOptions::new(grid)
    };
    smoothing::factors(inputs, weights, &options)
}

/// Rows of the input on which the error of eight bits is measured.
const ERROR_ROWS: usize = 64;
/// Outputs, at most, on which it is measured.
const ERROR_OUTPUTS: usize = 2048;
/// Share of the outputs' energy that rounding the inputs to eight bits may cost if every layer lost as much.
const ERROR_OF_ALL_LAYERS: f64 = 0.006;

/// Bits of the inputs of an int8 matrix in a model of so many layers: twelve where eight lose too much. The rule depends on the measured error alone: the
/// squared error of the products that rounding the smoothed inputs to eight bits causes, relative to the products, times the number of layers.
pub fn activations(inputs: Matrix, weights: Matrix, role: Role, layers: u32) -> ActivationBits {
    let grid = Grid { group: weights.columns, limit: ActivationBits::Eight.limit() };
    let factors = factors(inputs, weights, grid, ActivationBits::Eight, role);
    let scaled = |row: &[f32], factor: &dyn Fn(f32) -> f32| row.iter().zip(&factors).map(|(x, &f)| x * factor(f)).collect::<Vec<f32>>();
    let stride = (inputs.rows().len() / ERROR_ROWS).max(1);
    let x: Vec<f32> = inputs.rows().step_by(stride).flat_map(|row| scaled(row, &|factor| 1.0 / factor)).collect();
    let stride = weights.rows().len().div_ceil(ERROR_OUTPUTS).max(1);
    let w: Vec<f32> = weights.rows().step_by(stride).flat_map(|row| scaled(row, &|factor| factor)).collect();
    let (x, w) = (Matrix { columns: inputs.columns, values: &x }, Matrix { columns: inputs.columns, values: &w });
    let error = product_error(x, w, &quantize(w, Format::Int8, Rounding::NEAREST)).activations_8;
    if error * f64::from(layers) > ERROR_OF_ALL_LAYERS { ActivationBits::Twelve } else { ActivationBits::Eight }
}

/// The only matrix that reads the output of this norm. With post-norm the residual stream reads it too; rows of a tied head are also looked up
/// as embeddings.
pub fn only_reader(config: &Config, norm: Role) -> Option<Role> {
    match norm {
        _ if config.placement == NormPlacement::Post => None,
        Role::AttnNorm => Some(Role::Qkv),
        Role::CrossNorm => Some(Role::CrossQuery),
        Role::MlpNorm => Some(Role::MlpUp),
        Role::FinalNorm => Some(Role::Head),
        _ => None,
    }
}

/// Outputs of the matrix that makes another one's input, element by element up to a linear operation.
#[derive(Clone, Copy, Debug)]
pub struct MakerRows {
    /// The first of the outputs.
    pub first: usize,
    /// Number of outputs that take a factor together: the width of a head, or of the MLP.
    width: usize,
    /// Columns of width `width` that read the same outputs: the query heads of a key/value head.
    readers: usize,
}

impl MakerRows {
    /// Gives columns that read the same output one factor, their geometric mean.
    pub fn share(self, factors: &mut [f32]) {
        if self.readers < 2 {
            return;
        }
        for group in factors.chunks_mut(self.width * self.readers) {
            for column in 0..self.width {
                let logarithms = group.iter().skip(column).step_by(self.width).map(|&factor| libm::logf(factor)).sum::<f32>();
                let mean = libm::expf(logarithms / self.readers as f32);
                group.iter_mut().skip(column).step_by(self.width).for_each(|factor| *factor = mean);
            }
        }
    }

    /// The factor of each output.
    pub fn of(self, factors: &[f32]) -> Vec<f32> {
        factors.chunks(self.width * self.readers).flat_map(|group| &group[..self.width]).copied().collect()
    }
}

/// The matrix whose outputs are this one's input, so that factors need no work at run time: the values before an attention's output projection, and
/// the up projection of a gated MLP before its down projection.
pub fn maker(config: &Config, role: Role) -> Option<(Role, MakerRows)> {
    let (q_dim, kv_dim, hidden) = (config.q_dim() as usize, config.kv_dim() as usize, config.d_hidden as usize);
    let values = |first| MakerRows { first, width: config.head_dim as usize, readers: (config.heads / config.kv_heads) as usize };
    match role {
        Role::AttnOut => Some((Role::Qkv, values(q_dim + kv_dim))),
        Role::CrossOut => Some((Role::CrossKv, values(kv_dim))),
        Role::MlpDown if config.gated => Some((Role::MlpUp, MakerRows { first: hidden, width: hidden, readers: 1 })),
        _ => None,
    }
}

/// Whether a matrix makes the input of another one.
pub fn makes_input(role: Role) -> bool {
    matches!(role, Role::Qkv | Role::CrossKv | Role::MlpUp)
}
