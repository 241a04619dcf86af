//! A kernel set: one implementation of every kernel.

#[cfg(feature = "kv-float")]
use super::float_cache::{FloatKeys, FloatTile, FloatValues};
use super::views::{ActivationBits, Matrix, QuantizedRows};
#[cfg(feature = "kv-int8")]
use super::views::{KeyRows, QueryTile, SoftmaxNorm, ValueBlocks};
#[cfg(any(feature = "int8", feature = "int4", feature = "f16", feature = "f32"))]
use crate::format::directory::Dtype;
use crate::format::types::Activation;
use core::fmt;

/// The kernels of one instruction set. All sets compute the same bits.
#[derive(Clone, Copy)]
pub struct Kernels {
    functions: Functions,
}

/// A field of [`Functions`] and a method of [`Kernels`] for each kernel. A kernel whose Cargo feature is off has no field, so it is not linked.
macro_rules! functions {
    ($($(#[$attribute:meta])* $name:ident($($argument:ident: $kind:ty),*) $(-> $out:ty)?;)+) => {
        /// The functions of a set, public for conformance tests and benchmarks.
        #[doc(hidden)]
        #[derive(Clone, Copy, Debug)]
        pub struct Functions {
            /// The name by which users select the set.
            pub name: &'static str,
            $($(#[$attribute])* pub $name: fn($($kind),*) $(-> $out)?,)+
        }

        impl Kernels {
            $(
                $(#[$attribute])*
                #[inline(always)]
                pub(crate) fn $name(&self, $($argument: $kind),*) $(-> $out)? {
                    (self.functions.$name)($($argument),*)
                }
            )+
        }
    };
}

functions! {
    /// Quantizes one row: [`super::scalar::quantize`].
    quantize(x: &[f32], in_scale: &[f32], out: &mut [i16]) -> f32;
    /// int8 weights: [`super::scalar::matmul_i8`].
    #[cfg(feature = "int8")]
    matmul_i8(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]);
    /// Quantizes one row to twelve bits: [`super::scalar::quantize_a12`].
    #[cfg(feature = "a12")]
    quantize_a12(x: &[f32], in_scale: &[f32], out: &mut [i16]) -> f32;
    /// int8 weights and activations of twelve bits: [`super::scalar::matmul_i8_a12`].
    #[cfg(feature = "a12")]
    matmul_i8_a12(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]);
    /// int4 weights: [`super::scalar::matmul_i4`].
    #[cfg(feature = "int4")]
    matmul_i4(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]);
    /// f16 weights: [`super::scalar::matmul_f16`].
    #[cfg(feature = "f16")]
    matmul_f16(matrix: &Matrix<'_>, x: &[f32], out: &mut [f32]);
    /// f32 weights: [`super::scalar::matmul_f32`].
    #[cfg(feature = "f32")]
    matmul_f32(matrix: &Matrix<'_>, x: &[f32], out: &mut [f32]);
    /// Quantizes one head's query: [`super::int8_cache::quantize_query`].
    #[cfg(feature = "kv-int8")]
    quantize_query(x: &[f32], factor: f32, out: &mut [i16]) -> i32;
    /// Scores over int8 keys: [`super::int8_cache::scores`].
    #[cfg(feature = "kv-int8")]
    scores(q: &[i16], exponent: i32, keys: &KeyRows<'_>, out: &mut [i32]) -> i32;
    /// Scores of several queries: [`super::int8_cache::scores_tile`].
    #[cfg(feature = "kv-int8")]
    scores_tile(queries: &QueryTile<'_>, keys: &KeyRows<'_>, stride: usize, out: &mut [i32], largest: &mut [i32]);
    /// Softmax weights of the values: [`super::int8_cache::softmax_weights`].
    #[cfg(feature = "kv-int8")]
    softmax_weights(scores: &mut [i32], largest: i32, value_scales: &[f32], out: &mut [i16]) -> SoftmaxNorm;
    /// Weighted sum over int8 values: [`super::int8_cache::weighted_value_sum`].
    #[cfg(feature = "kv-int8")]
    weighted_value_sum(weights: &[i16], values: &ValueBlocks<'_>, out: &mut [i32]);
    /// Weighted sums for several queries: [`super::int8_cache::weighted_value_sum_tile`].
    #[cfg(feature = "kv-int8")]
    weighted_value_sum_tile(weights: &[i16], stride: usize, values: &ValueBlocks<'_>, head_dim: usize, out: &mut [i32]);
    /// Scores over f32 keys: [`super::float_cache::scores_float`].
    #[cfg(feature = "kv-float")]
    scores_f32(queries: &FloatTile<'_>, keys: &FloatKeys<'_, f32>, scale: f32, stride: usize, out: &mut [f32]);
    /// Scores over f16 keys: [`super::float_cache::scores_float`].
    #[cfg(feature = "kv-float")]
    scores_f16(queries: &FloatTile<'_>, keys: &FloatKeys<'_, u16>, scale: f32, stride: usize, out: &mut [f32]);
    /// Softmax weights of float scores: [`super::float_cache::softmax_float`].
    #[cfg(feature = "kv-float")]
    softmax_float(scores: &mut [f32]) -> u64;
    /// Weighted sums of f32 values: [`super::float_cache::add_values_float`].
    #[cfg(feature = "kv-float")]
    add_values_f32(weights: &FloatTile<'_>, values: &FloatValues<'_, f32>, stride: usize, out: &mut [f32]);
    /// Weighted sums of f16 values: [`super::float_cache::add_values_float`].
    #[cfg(feature = "kv-float")]
    add_values_f16(weights: &FloatTile<'_>, values: &FloatValues<'_, u16>, stride: usize, out: &mut [f32]);
    /// Layer norm of one row, with scale and bias: [`crate::numeric::layer_norm`].
    layer_norm(x: &[f32], scale: &[f32], bias: &[f32], eps: f32, out: &mut [f32]);
    /// RMSNorm of one row: [`crate::numeric::rms_norm`].
    rms_norm(x: &[f32], scale: &[f32], eps: f32, out: &mut [f32]);
    /// Activation in place: [`super::scalar::activate`].
    activate(activation: Activation, x: &mut [f32]);
    /// Activated gate times up projection: [`super::scalar::gate`].
    gate(activation: Activation, gate: &[f32], up: &[f32], out: &mut [f32]);
}

impl Kernels {
    /// The name by which users select the set, such as `scalar` or `avx2`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.functions.name
    }

    /// f16 or f32 weights, by the matrix's type.
    pub(crate) fn matmul_float(&self, matrix: &Matrix<'_>, x: &[f32], out: &mut [f32]) {
        match matrix.dtype {
            #[cfg(feature = "f16")]
            Dtype::F16 => self.matmul_f16(matrix, x, out),
            #[cfg(feature = "f32")]
            Dtype::F32 => self.matmul_f32(matrix, x, out),
            dtype => debug_assert!(false, "{dtype:?} is not a float, or not built in; {} and {}", x.len(), out.len()),
        }
    }

    /// Quantizes one row for [`Self::matmul_quantized`].
    pub(crate) fn quantize_to(&self, bits: ActivationBits, x: &[f32], in_scale: &[f32], out: &mut [i16]) -> f32 {
        match bits {
            #[cfg(feature = "a12")]
            ActivationBits::Twelve => self.quantize_a12(x, in_scale, out),
            _ => self.quantize(x, in_scale, out),
        }
    }

    /// int8 or int4 weights, by the matrix's type and the bits of its activations.
    pub(crate) fn matmul_quantized(&self, matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
        match (matrix.dtype, x.bits) {
            #[cfg(feature = "int8")]
            (Dtype::Int8, ActivationBits::Eight) => self.matmul_i8(matrix, x, out),
            #[cfg(feature = "a12")]
            (Dtype::Int8, ActivationBits::Twelve) => self.matmul_i8_a12(matrix, x, out),
            #[cfg(feature = "int4")]
            (Dtype::Int4, ActivationBits::Eight) => self.matmul_i4(matrix, x, out),
            (dtype, bits) => {
                debug_assert!(false, "{dtype:?} by {bits:?} is not a product, or not built in; {} and {}", x.stride, out.len())
            }
        }
    }

    /// A set of the caller's own functions.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(functions: Functions) -> Self {
        Kernels { functions }
    }

    /// The set's functions, to call one by itself.
    #[doc(hidden)]
    #[must_use]
    pub const fn functions(&self) -> &Functions {
        &self.functions
    }
}

impl fmt::Debug for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kernels").field(&self.name()).finish()
    }
}
