//! int4 weights against quantized rows: AVX2's loops, which read this set's bytes.

use super::super::super::scalar::matmul_i4_of;
use super::super::super::views::{Matrix, QuantizedRows};
use super::super::avx2::matmul_i4_bytes;
use super::vector::quantized_values;

/// `scalar::matmul_i4`.
#[target_feature(enable = "avx2")]
pub fn matmul_i4(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    if matmul_i4_bytes(matrix, x, out).is_none() {
        matmul_i4_of(matrix, x, out, quantized_values);
    }
}
