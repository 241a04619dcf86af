//! Column scaling of the matrices before quantization, from smoothing factors. The inverse factors are folded into the preceding norm if only
//! this matrix reads its output; otherwise the engine applies them as `in_scale`.

use attoformer::image::{Architecture, Config, NormPlacement, Role};

use super::activations::{ActivationBits, Activations};
use crate::quantize::error::{ProductError, product_error};
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

/// Rows of the input on which errors are measured.
const ERROR_ROWS: usize = 64;
/// Outputs, at most, on which they are measured.
const ERROR_OUTPUTS: usize = 2048;
/// Factors that the engine has to apply are kept if they leave at most this share of the error.
const WORTH_IN_SCALE: f64 = 0.5;

/// A matrix and the rows that it is multiplied with.
#[derive(Clone, Copy, Debug)]
pub struct Product<'a> {
    /// What the matrix does.
    pub role: Role,
    /// Shape of the model.
    pub config: &'a Config,
    /// Samples of the input `(rows, columns)`.
    pub inputs: Matrix<'a>,
    /// The weights `(outputs, columns)`.
    pub weights: Matrix<'a>,
    /// Format of the weights.
    pub format: Format,
    /// Grid of the weights.
    pub grid: Grid,
}

/// How a matrix's input is quantized.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// Its bits.
    pub activations: ActivationBits,
    /// One smoothing factor per column; `None` for 1.
    pub factors: Option<Vec<f32>>,
}

impl Product<'_> {
    /// Chooses the bits of the input and the smoothing factors. With `folds`, the factors cost nothing when the model runs.
    pub fn inputs(&self, wanted: Activations, folds: bool) -> Inputs {
        let activations = match wanted {
            Activations::Twelve if self.format == Format::Int8 => ActivationBits::Twelve,
            Activations::Auto if self.format == Format::Int8 => self.measured_bits(folds),
            _ => ActivationBits::Eight,
        };
        Inputs { activations, factors: self.factors(activations, folds) }
    }

    /// Twelve bits where eight lose too much. The rule depends on the measured error alone: the squared error of the products that rounding the
    /// smoothed inputs to eight bits causes, relative to the products, times the number of layers.
    fn measured_bits(&self, folds: bool) -> ActivationBits {
        let error = self.error(self.factors(ActivationBits::Eight, folds).as_deref()).activations_8;
        if error * f64::from(self.config.all_layers()) > self.error_limit() { ActivationBits::Twelve } else { ActivationBits::Eight }
    }

    /// Share of the outputs' energy that rounding the inputs to eight bits may cost if every layer lost as much. A head's errors reach the logits
    /// undamped, and a down projection that is not smoothed has the largest errors of all; both are few, so twelve bits cost little there.
    fn error_limit(&self) -> f64 {
        match self.role {
            Role::Head | Role::Embedding => 0.0002,
            Role::MlpDown if !self.config.gated => 0.001,
            _ => 0.006,
        }
    }

    /// The smoothing factors, where they help. Rows of a gated `mlp_down`'s input differ so much in magnitude that each counts by its relative
    /// error. Without a gate it is not smoothed: its outliers are in other columns for other inputs, and factors made Whisper worse.
    fn factors(&self, activations: ActivationBits, folds: bool) -> Option<Vec<f32>> {
        if self.role == Role::MlpDown && !self.config.gated {
            return None;
        }
        let options = SmoothingOptions {
            activation_limit: activations.limit(),
            relative_rows: self.role == Role::MlpDown && activations == ActivationBits::Eight,
            ..SmoothingOptions::new(self.grid)
        };
        let factors = smoothing::factors(self.inputs, self.weights, &options);
        let total = |factors: Option<&[f32]>| {
            let error = self.error(factors);
            let of_inputs = if activations == ActivationBits::Eight { error.activations_8 } else { error.activations_12 };
            error.weights + of_inputs
        };
        let lost = (self.lookup_error(Some(&factors)) - self.lookup_error(None)).max(0.0);
        (folds || total(Some(&factors)) + lost <= WORTH_IN_SCALE * total(None)).then_some(factors)
    }

    /// Errors of the products after smoothing, on a part of the rows and outputs.
    fn error(&self, factors: Option<&[f32]>) -> ProductError {
        let stride = (self.inputs.rows().len() / ERROR_ROWS).max(1);
        let x: Vec<f32> = self.inputs.rows().step_by(stride).flat_map(|row| divided(row, factors)).collect();
        let w = self.scaled_weights(factors);
        let [x, w] = [&x, &w].map(|values| Matrix { columns: self.inputs.columns, values });
        product_error(x, w, &quantize(w, self.format, Rounding::NEAREST))
    }

    /// Squared error, relative to the weights, of the rows of a tied head that are looked up as embeddings. A factor gives the other columns of a
    /// row a coarser step, which embeddings that are not normed before the first layer do not bear.
    fn lookup_error(&self, factors: Option<&[f32]>) -> f64 {
        if self.role != Role::Embedding {
            return 0.0;
        }
        let columns = self.weights.columns;
        let (exact, scaled) = (self.scaled_weights(None), self.scaled_weights(factors));
        let rounded = quantize(Matrix { columns, values: &scaled }, self.format, Rounding::NEAREST);
        let rounded = (0..rounded.rows()).flat_map(|row| divided(&rounded.dequantized_row(row).collect::<Vec<f32>>(), factors));
        let [error, norm] = exact.iter().zip(rounded).fold([0.0, 0.0], |[error, norm], (&exact, rounded)| {
            let (exact, rounded) = (f64::from(exact), f64::from(rounded));
            [error + (rounded - exact) * (rounded - exact), norm + exact * exact]
        });
        if norm > 0.0 { error / norm } else { 0.0 }
    }

    /// Some of the rows of the weights, multiplied by the factors.
    fn scaled_weights(&self, factors: Option<&[f32]>) -> Vec<f32> {
        let stride = self.weights.rows().len().div_ceil(ERROR_OUTPUTS).max(1);
        let scaled = |row: &[f32]| match factors {
            None => row.to_vec(),
            Some(factors) => row.iter().zip(factors).map(|(x, factor)| x * factor).collect::<Vec<f32>>(),
        };
        self.weights.rows().step_by(stride).flat_map(scaled).collect()
    }
}

/// A row divided by the factors, as the engine does it.
fn divided(row: &[f32], factors: Option<&[f32]>) -> Vec<f32> {
    match factors {
        None => row.to_vec(),
        Some(factors) => row.iter().zip(factors).map(|(x, factor)| x * (1.0 / factor)).collect(),
    }
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

/// The norm whose output only this matrix reads, and which takes its factors.
pub fn norm_before(config: &Config, role: Role) -> Option<Role> {
    let norms = [Role::AttnNorm, Role::CrossNorm, Role::MlpNorm, Role::FinalNorm];
    norms.into_iter().find(|&norm| only_reader(config, norm) == Some(role))
}

/// Whether a tensor is multiplied with activations; tables are only read row by row.
pub fn is_product(config: &Config, role: Role) -> bool {
    match role {
        Role::Positions | Role::EncoderPositions | Role::LayerTable => false,
        Role::Embedding => config.tied_head && config.architecture != Architecture::Encoder,
        _ => !role.is_always_f32(),
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
