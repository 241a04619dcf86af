//! int4 weights against quantized rows.

use super::values;
use crate::kernels::{Matrix, QuantizedRows, scalar};

/// `scalar::matmul_i4`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2")]
pub fn matmul_i4(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    scalar::matmul_i4_of(matrix, x, out, values);
}
