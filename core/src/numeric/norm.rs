//! Normalization of one token's row: RMSNorm, layer norm, L2.

use super::float::sqrt;
use super::sum::{Lanes, dot};

/// RMSNorm: `x / sqrt(mean(x^2) + eps) * scale` (Zhang and Sennrich 2019, equation 4). All slices are `(d_model)`.
/// Error at most 2^-22 of the row's largest output, measured on rows of up to 4,096 values.
pub fn rms_norm(x: &[f32], scale: &[f32], eps: f32, out: &mut [f32]) {
    let inverse = 1.0 / sqrt(dot(x, x) / x.len() as f32 + eps);
    for ((out, &x), &scale) in out.iter_mut().zip(x).zip(scale) {
        *out = (x * inverse) * scale;
    }
}

/// Layer norm: `(x - mean) / sqrt(variance + eps) * scale + bias` (Ba et al. 2016, equation 4). All slices are `(d_model)`.
/// Error at most 2^-21 of the row's largest output, measured on rows of up to 4,096 values whose mean is within two standard deviations of 0.
pub fn layer_norm(x: &[f32], scale: &[f32], bias: &[f32], eps: f32, out: &mut [f32]) {
    let count = x.len() as f32;
    let mut sum = Lanes::default();
    sum.add_pairs(x, x, |x, _| x);
    let mean = sum.total() / count;
    let mut squares = Lanes::default();
    squares.add_pairs(x, x, |x, _| (x - mean) * (x - mean));
    let inverse = 1.0 / sqrt(squares.total() / count + eps);
    for (((out, &x), &scale), &bias) in out.iter_mut().zip(x).zip(scale).zip(bias) {
        *out = ((x - mean) * inverse) * scale + bias;
    }
}

/// L2-normalizes a row, `x / max(|x|, 1e-12)`; the norm is the square root of a sum in eight lanes.
pub fn l2_normalize(x: &mut [f32]) {
    const SHORTEST: f32 = 1e-12;
    let length = sqrt(dot(x, x));
    let length = if length > SHORTEST { length } else { SHORTEST };
    x.iter_mut().for_each(|x| *x /= length);
}
