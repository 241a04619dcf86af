//! Negative log-likelihood (cross-entropy) of the targets as one tensor operation.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use crate::floats::{floats, list};

/// Takes logits `(tokens, vocab)` and returns the negative log-likelihood summed over the targets.
pub(crate) struct Nll {
    targets: Arc<[u32]>,
}

impl Nll {
    pub(crate) fn apply(logits: &Tensor, targets: Arc<[u32]>) -> Result<Tensor> {
        logits.contiguous()?.apply_op1(Self { targets })
    }
}

/// Replaces logits by probabilities (softmax) and returns the logarithm of their sum.
fn softmax(logits: &mut [f32]) -> f32 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for logit in logits.iter_mut() {
        *logit = (*logit - highest).exp();
        sum += *logit;
    }
    logits.iter_mut().for_each(|p| *p /= sum);
    highest + sum.ln()
}

impl CustomOp1 for Nll {
    fn name(&self) -> &'static str {
        "negative log-likelihood"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (tokens, vocab) = layout.shape().dims2()?;
        if tokens != self.targets.len() {
            bail!("{} targets for {tokens} tokens", self.targets.len());
        }
        let mut logits = floats(storage, layout)?.to_vec();
        let nll = |(row, target): (&mut [f32], &u32)| {
            let own = row[*target as usize];
            f64::from(softmax(row) - own)
        };
        let sum: f64 = logits.chunks_exact_mut(vocab).zip(self.targets.iter()).map(nll).sum();
        Ok((CpuStorage::F32(vec![sum as f32]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _loss: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let vocab = logits.dim(1)?;
        let factor = grad.to_scalar::<f32>()?;
        let mut slopes = list(logits)?;
        for (row, &target) in slopes.chunks_exact_mut(vocab).zip(self.targets.iter()) {
            softmax(row);
            row[target as usize] -= 1.0;
            row.iter_mut().for_each(|slope| *slope *= factor);
        }
        Ok(Some(Tensor::from_vec(slopes, logits.shape(), logits.device())?))
    }
}
