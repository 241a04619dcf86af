//! The table of kernels and how one is chosen.

use super::{KeyRows, Matrix, QuantizedRows, QueryTile, SoftmaxNorm, ValueBlocks, scalar};
use crate::format::Activation;

/// Of a row, with a scale, a bias and an epsilon.
pub type LayerNorm = fn(&[f32], &[f32], &[f32], f32, &mut [f32]);

/// One implementation of every kernel. [`scalar`] documents what each must compute.
#[derive(Clone, Copy, Debug)]
pub struct Kernels {
    /// The name users select it by.
    pub name: &'static str,
    /// Quantizes one row: [`scalar::quantize`].
    pub quantize: fn(&[f32], &[f32], &mut [i16]) -> f32,
    /// int8 weights: [`scalar::matmul_i8`].
    pub matmul_i8: fn(&Matrix<'_>, &QuantizedRows<'_>, &mut [f32]),
    /// int4 weights: [`scalar::matmul_i4`].
    pub matmul_i4: fn(&Matrix<'_>, &QuantizedRows<'_>, &mut [f32]),
    /// f16 weights: [`scalar::matmul_f16`].
    pub matmul_f16: fn(&Matrix<'_>, &[f32], &mut [f32]),
    /// f32 weights: [`scalar::matmul_f32`].
    pub matmul_f32: fn(&Matrix<'_>, &[f32], &mut [f32]),
    /// Quantizes one head's query: [`scalar::quantize_query`].
    pub quantize_query: fn(&[f32], f32, &mut [i16]) -> i32,
    /// Scores over int8 keys: [`scalar::scores`].
    pub scores: fn(&[i16], i32, &KeyRows<'_>, &mut [i32]) -> i32,
    /// Scores of several queries: [`scalar::scores_tile`].
    pub scores_tile: fn(&QueryTile<'_>, &KeyRows<'_>, usize, &mut [i32], &mut [i32]),
    /// Weights of the values: [`scalar::softmax_weights`].
    pub softmax_weights: fn(&mut [i32], i32, &[f32], &mut [i16]) -> SoftmaxNorm,
    /// Weighted sum over int8 values: [`scalar::weighted_value_sum`].
    pub weighted_value_sum: fn(&[i16], &ValueBlocks<'_>, &mut [i32]),
    /// Weighted sums for several queries: [`scalar::weighted_value_sum_tile`].
    pub weighted_value_sum_tile: fn(&[i16], usize, &ValueBlocks<'_>, usize, &mut [i32]),
    /// Layer norm of one row, with scale and bias: [`crate::numeric::layer_norm`].
    pub layer_norm: LayerNorm,
    /// RMS norm of one row: [`crate::numeric::rms_norm`].
    pub rms_norm: fn(&[f32], &[f32], f32, &mut [f32]),
    /// Non-linearity in place: [`scalar::activate`].
    pub activate: fn(Activation, &mut [f32]),
    /// Activated gate times up projection: [`scalar::gate`].
    pub gate: fn(Activation, &[f32], &[f32], &mut [f32]),
}

/// The specification.
pub static SCALAR: Kernels = Kernels {
    name: "scalar",
    quantize: scalar::quantize,
    matmul_i8: scalar::matmul_i8,
    matmul_i4: scalar::matmul_i4,
    matmul_f16: scalar::matmul_f16,
    matmul_f32: scalar::matmul_f32,
    quantize_query: scalar::quantize_query,
    scores: scalar::scores,
    scores_tile: scalar::scores_tile,
    softmax_weights: scalar::softmax_weights,
    weighted_value_sum: scalar::weighted_value_sum,
    weighted_value_sum_tile: scalar::weighted_value_sum_tile,
    layer_norm: crate::numeric::layer_norm,
    rms_norm: crate::numeric::rms_norm,
    activate: scalar::activate,
    gate: scalar::gate,
};

/// Kernel sets beyond scalar that this CPU can run, the fastest last: found at run time on a PC, known to the compiler on a microcontroller.
fn native() -> impl DoubleEndedIterator<Item = &'static Kernels> {
    #[cfg(target_arch = "x86_64")]
    return [super::x86::avx2(), super::x86::avx512_vnni()].into_iter().flatten();
    #[cfg(attoformer_backend = "cortex-m-dsp")]
    return core::iter::once(&super::cortex_m::CORTEX_M_DSP);
    #[cfg(not(any(target_arch = "x86_64", attoformer_backend = "cortex-m-dsp")))]
    core::iter::empty()
}

/// Every kernel set that this CPU can run, scalar first.
pub fn all() -> impl Iterator<Item = &'static Kernels> {
    core::iter::once(&SCALAR).chain(native())
}

/// The fastest kernel set that this CPU can run.
pub fn best() -> &'static Kernels {
    native().next_back().unwrap_or(&SCALAR)
}

/// A kernel set by its name, when this CPU can run it.
pub fn by_name(name: &str) -> Option<&'static Kernels> {
    all().find(|kernels| kernels.name == name)
}
