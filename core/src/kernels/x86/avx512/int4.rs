//! int4 weights against quantized rows: AVX2's loops, which read this set's bytes.

use super::super::integer::matmul_i4_bytes;
use super::values;
use crate::kernels::{Matrix, QuantizedRows, scalar};

/// `scalar::matmul_i4`.
#[target_feature(enable = "avx2")]
pub fn matmul_i4(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    if matmul_i4_bytes(matrix, x, out).is_none() {
        scalar::matmul_i4_of(matrix, x, out, values);
    }
}
