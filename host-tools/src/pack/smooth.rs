//! Column scaling of the matrices before quantization, from smoothing factors. The inverse factors are folded into the preceding norm if only
//! this matrix reads its output; otherwise the engine applies them as `in_scale`.

use attoformer::image::Role;
use attoformer::image::{Config, NormPlacement};

use super::prepare::ActivationBits;
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
