//! RMSNorm as one tensor operation (Zhang and Sennrich, 2019).

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::floats::{floats, list};

/// Takes `(tokens, dim)` and weights `(dim)`; divides every row by its root mean square and multiplies it by the weights.
pub(crate) struct RmsNorm;

/// Epsilon of llama2.c.
const EPSILON: f32 = 1e-5;

impl RmsNorm {
    pub(crate) fn apply(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op2(weight, Self)
    }
}

fn inverse_rms(row: &[f32]) -> f32 {
    let squares: f32 = row.iter().map(|x| x * x).sum();
    (squares / row.len() as f32 + EPSILON).sqrt().recip()
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, x_layout: &Layout, weight: &CpuStorage, weight_layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let weight = floats(weight, weight_layout)?;
        let mut out = floats(x, x_layout)?.to_vec();
        for row in out.chunks_exact_mut(weight.len()) {
            let inverse = inverse_rms(row);
            row.iter_mut().zip(weight).for_each(|(x, w)| *x *= inverse * w);
        }
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (xs, w, mut grads) = (list(x)?, list(weight)?, list(grad)?);
        let dim = w.len();
        let mut grad_w = vec![0.0; dim];
        for (row, grad) in xs.chunks_exact(dim).zip(grads.chunks_exact_mut(dim)) {
            let inverse = inverse_rms(row);
            let mut along = 0.0; // component of the gradient along the row
            for at in 0..dim {
                grad_w[at] += grad[at] * row[at] * inverse;
                grad[at] *= w[at];
                along += grad[at] * row[at];
            }
            let along = along * inverse * inverse / dim as f32;
            grad.iter_mut().zip(row).for_each(|(g, x)| *g = inverse * (*g - x * along));
        }
        let grad_x = Tensor::from_vec(grads, x.shape(), x.device())?;
        Ok((Some(grad_x), Some(Tensor::from_vec(grad_w, weight.shape(), x.device())?)))
    }
}
