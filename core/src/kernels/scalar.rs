//! THE SPECIFICATION: every other kernel set equals these functions in every bit. They read every layout.

#[cfg(feature = "kv-float")]
use super::float_cache;
#[cfg(feature = "kv-int8")]
use super::int8_cache;
use super::layout::interleave_index;
use super::set::Functions;
use super::views::{Matrix, QuantizedRows};
#[cfg(any(feature = "int8", feature = "int4", feature = "f16", feature = "f32"))]
use crate::format::directory::Dtype;
use crate::format::directory::Layout;
use crate::format::types::Activation;
use crate::numeric::{
    LIMIT_8, LIMIT_12, Lanes, Quantizer, dot, gelu_erf, gelu_tanh, layer_norm, max_magnitude_bits, relu, rms_norm, silu, squared_relu,
};
use half::f16;

/// The scalar kernel set.
pub(super) const FUNCTIONS: Functions = Functions {
    name: "scalar",
    quantize,
    #[cfg(feature = "int8")]
    matmul_i8,
    #[cfg(feature = "a12")]
    quantize_a12,
    #[cfg(feature = "a12")]
    matmul_i8_a12,
    #[cfg(feature = "int4")]
    matmul_i4,
    #[cfg(feature = "f16")]
    matmul_f16,
    #[cfg(feature = "f32")]
    matmul_f32,
    #[cfg(feature = "kv-int8")]
    quantize_query: int8_cache::quantize_query,
    #[cfg(feature = "kv-int8")]
    scores: int8_cache::scores,
    #[cfg(feature = "kv-int8")]
    scores_tile: int8_cache::scores_tile,
    #[cfg(feature = "kv-int8")]
    softmax_weights: int8_cache::softmax_weights,
    #[cfg(feature = "kv-int8")]
    weighted_value_sum: int8_cache::weighted_value_sum,
    #[cfg(feature = "kv-int8")]
    weighted_value_sum_tile: int8_cache::weighted_value_sum_tile,
    #[cfg(feature = "kv-float")]
    scores_f32: float_cache::scores_float,
    #[cfg(feature = "kv-float")]
    scores_f16: float_cache::scores_float,
    #[cfg(feature = "kv-float")]
    softmax_float: float_cache::softmax_float,
    #[cfg(feature = "kv-float")]
    add_values_f32: float_cache::add_values_float,
    #[cfg(feature = "kv-float")]
    add_values_f16: float_cache::add_values_float,
    layer_norm,
    rms_norm,
    activate,
    gate,
};

/// Quantizes one row of `columns` values per-token (absmax, symmetric), each first multiplied by its `in_scale` unless that is empty. `out` has
/// `columns` rounded up to a multiple of four elements; the padding becomes zero. Returns the row's scale.
pub fn quantize(x: &[f32], in_scale: &[f32], out: &mut [i16]) -> f32 {
    quantize_to(LIMIT_8, x, in_scale, out)
}

/// [`quantize`] to twelve bits, `q = round(x * (2047 / max))`.
pub fn quantize_a12(x: &[f32], in_scale: &[f32], out: &mut [i16]) -> f32 {
    quantize_to(LIMIT_12, x, in_scale, out)
}

#[inline(always)]
fn quantize_to(limit: f32, x: &[f32], in_scale: &[f32], out: &mut [i16]) -> f32 {
    if in_scale.is_empty() {
        quantize_row(limit, || x.iter().copied(), out)
    } else {
        quantize_row(limit, || x.iter().zip(in_scale).map(|(&x, &scale)| x * scale), out)
    }
}

#[inline(always)]
fn quantize_row<I: Iterator<Item = f32>>(limit: f32, row: impl Fn() -> I, out: &mut [i16]) -> f32 {
    let quantizer = Quantizer::with_limit(max_magnitude_bits(row()), limit);
    let integers = row().map(|x| quantizer.quantize(x) as i16).chain(core::iter::repeat(0));
    for (out, integer) in out.iter_mut().zip(integers) {
        *out = integer;
    }
    quantizer.scale
}

/// GEMV and GEMM, `y = W x`, for int8 weights with per-channel scales: exact integer dots, dequantized as `acc * (row_scale * token_scale) + bias`. `out` is
/// `(tokens, rows)`.
pub fn matmul_i8(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    matmul_i8_of(matrix, x, out, i16_values);
}

/// [`matmul_i8`] for rows in another set's form; `read` returns their values.
pub(super) fn matmul_i8_of<'x, I: Iterator<Item = i32>>(
    matrix: &Matrix<'_>,
    x: &QuantizedRows<'x>,
    out: &mut [f32],
    read: impl Fn(&'x [i16]) -> I + Copy,
) {
    for row in 0..matrix.rows {
        match matrix.layout {
            Layout::Portable => {
                let weights = matrix.row(row);
                store_row(matrix, x, row, out, |x| dot_i8(weights.iter().map(|&w| w as i8 as i32), read(x)) as f32);
            }
            Layout::CortexMDsp => store_row(matrix, x, row, out, |x| dot_i8(paired_row(matrix, row), read(x)) as f32),
        }
    }
}

/// Columns whose sum of products of int8 weights and activations of twelve bits fits 32 bits: 8,192 * 128 * 2,047 < 2^31.
pub(crate) const A12_BLOCK: usize = 8192;

/// GEMV and GEMM, `y = W x`, for int8 weights and activations of twelve bits. Each block of 8,192 columns is an exact integer dot, converted to f32;
/// the blocks are added in ascending order, then dequantized as for [`matmul_i8`]. `out` is `(tokens, rows)`.
pub fn matmul_i8_a12(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    matmul_i8_a12_of(matrix, x, out, i16_values);
}

/// [`matmul_i8_a12`] for rows in another set's form; `read` returns their values.
pub(super) fn matmul_i8_a12_of<'x, I: Iterator<Item = i32>>(
    matrix: &Matrix<'_>,
    x: &QuantizedRows<'x>,
    out: &mut [f32],
    read: impl Fn(&'x [i16]) -> I + Copy,
) {
    for row in 0..matrix.rows {
        match matrix.layout {
            Layout::Portable => {
                let weights = matrix.row(row);
                store_row(matrix, x, row, out, |x| dot_a12(weights.iter().map(|&w| w as i8 as i32), read(x), x.len()));
            }
            Layout::CortexMDsp => store_row(matrix, x, row, out, |x| dot_a12(paired_row(matrix, row), read(x), x.len())),
        }
    }
}

/// The sum of the blocks' exact dots, as floats in ascending order. A row of `stride` activations has at least one block.
#[inline(always)]
fn dot_a12(mut weights: impl Iterator<Item = i32>, mut x: impl Iterator<Item = i32>, stride: usize) -> f32 {
    let mut block = || dot_i8(weights.by_ref().take(A12_BLOCK), x.by_ref().take(A12_BLOCK)) as f32;
    let first = block();
    (1..stride.div_ceil(A12_BLOCK)).fold(first, |sum, _| sum + block())
}

/// GEMV and GEMM, `y = W x`, for int4 weights with group scales: the exact integer sum of each group times the group's signed scale, all added, then
/// dequantized as for int8. The sum is exact up to 16,384 columns: 8 * 127 * 127 * 16,384 < 2^31. `out` is `(tokens, rows)`.
pub fn matmul_i4(matrix: &Matrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    matmul_i4_of(matrix, x, out, i16_values);
}

/// [`matmul_i4`] for rows in another set's form; `read` returns their values.
pub(super) fn matmul_i4_of<'x, I: Iterator<Item = i32>>(
    matrix: &Matrix<'_>,
    x: &QuantizedRows<'x>,
    out: &mut [f32],
    read: impl Fn(&'x [i16]) -> I + Copy,
) {
    let group = matrix.group.max(1);
    for row in 0..matrix.rows {
        let scales = matrix.group_scales_of(row);
        store_row(matrix, x, row, out, |x| {
            let (mut weights, mut x) = (nibbles(matrix, row), read(x));
            scales.iter().fold(0i32, |sum, &scale| {
                let part = dot_i8(weights.by_ref().take(group), x.by_ref().take(group));
                sum.wrapping_add(part.wrapping_mul(scale as i32))
            }) as f32
        });
    }
}

#[inline(always)]
fn i16_values(x: &[i16]) -> impl Iterator<Item = i32> {
    x.iter().map(|&x| x as i32)
}

/// `y = W x` for f16 weights, widened to f32; products are added in eight lanes. `x` is `(tokens, columns)`, `out` is `(tokens, rows)`.
pub fn matmul_f16(matrix: &Matrix<'_>, x: &[f32], out: &mut [f32]) {
    for row in 0..matrix.rows {
        let (weights, _) = matrix.row(row).as_chunks::<2>();
        store_float(matrix, x, row, out, |x| {
            let mut lanes = Lanes::default();
            for (x, w) in x.chunks(8).zip(weights.chunks(8)) {
                for ((lane, &x), &w) in lanes.0.iter_mut().zip(x).zip(w) {
                    *lane += x * f16::from_le_bytes(w).to_f32_const();
                }
            }
            lanes.total()
        });
    }
}

/// `y = W x` for f32 weights; products are added in eight lanes. `x` is `(tokens, columns)`, `out` is `(tokens, rows)`.
pub fn matmul_f32(matrix: &Matrix<'_>, x: &[f32], out: &mut [f32]) {
    for row in 0..matrix.rows {
        let weights = zerocopy::FromBytes::ref_from_bytes(matrix.row(row)).unwrap_or_default();
        store_float(matrix, x, row, out, |x| dot(x, weights));
    }
}

/// Applies the activation function to every element.
pub fn activate(activation: Activation, x: &mut [f32]) {
    match activation {
        Activation::Relu => x.iter_mut().for_each(|x| *x = relu(*x)),
        Activation::GeluTanh => x.iter_mut().for_each(|x| *x = gelu_tanh(*x)),
        Activation::Silu => x.iter_mut().for_each(|x| *x = silu(*x)),
        Activation::GeluErf => x.iter_mut().for_each(|x| *x = gelu_erf(*x)),
        Activation::SquaredRelu => x.iter_mut().for_each(|x| *x = squared_relu(*x)),
    }
}

/// `out = activation(gate) * up`, element by element: SwiGLU, GeGLU and their kin (Shazeer 2020, equation 6).
pub fn gate(activation: Activation, gate: &[f32], up: &[f32], out: &mut [f32]) {
    let all = out.iter_mut().zip(gate).zip(up);
    match activation {
        Activation::Relu => all.for_each(|((out, &gate), &up)| *out = relu(gate) * up),
        Activation::GeluTanh => all.for_each(|((out, &gate), &up)| *out = gelu_tanh(gate) * up),
        Activation::Silu => all.for_each(|((out, &gate), &up)| *out = silu(gate) * up),
        Activation::GeluErf => all.for_each(|((out, &gate), &up)| *out = gelu_erf(gate) * up),
        Activation::SquaredRelu => all.for_each(|((out, &gate), &up)| *out = squared_relu(gate) * up),
    }
}

/// Dequantizes row `row` of an embedding table, of any type and layout. `out` is `(columns)`.
pub fn read_row(matrix: &Matrix<'_>, row: usize, out: &mut [f32]) {
    let scale = matrix.scale(row);
    debug_assert!(row < matrix.rows && out.len() == matrix.columns, "row {row} as {} values", out.len());
    match matrix.dtype {
        #[cfg(feature = "f32")]
        Dtype::F32 => {
            let (values, _) = matrix.row(row).as_chunks::<4>();
            out.iter_mut().zip(values).for_each(|(out, &w)| *out = f32::from_le_bytes(w));
        }
        #[cfg(feature = "f16")]
        Dtype::F16 => {
            let (values, _) = matrix.row(row).as_chunks::<2>();
            out.iter_mut().zip(values).for_each(|(out, &w)| *out = f16::from_le_bytes(w).to_f32_const());
        }
        #[cfg(feature = "int8")]
        Dtype::Int8 => match matrix.layout {
            Layout::Portable => out.iter_mut().zip(matrix.row(row)).for_each(|(out, &w)| *out = w as i8 as f32 * scale),
            Layout::CortexMDsp => out.iter_mut().zip(paired_row(matrix, row)).for_each(|(out, w)| *out = w as f32 * scale),
        },
        #[cfg(feature = "int4")]
        Dtype::Int4 => {
            let mut weights = nibbles(matrix, row);
            for (out, &group_scale) in out.chunks_mut(matrix.group.max(1)).zip(matrix.group_scales_of(row)) {
                out.iter_mut().zip(weights.by_ref()).for_each(|(out, w)| *out = (w * group_scale as i32) as f32 * scale);
            }
        }
        #[cfg(not(all(feature = "f32", feature = "f16", feature = "int8", feature = "int4")))]
        dtype => debug_assert!(false, "{dtype:?} is not built in; scale {scale}"),
    }
}

#[inline(always)]
fn dot_i8(weights: impl Iterator<Item = i32>, x: impl Iterator<Item = i32>) -> i32 {
    weights.zip(x).fold(0i32, |sum, (w, x)| sum.wrapping_add(w.wrapping_mul(x)))
}

/// Dequantizes the dot of every token with one row: `acc * (row_scale * token_scale) + bias`.
#[inline(always)]
fn store_row<'x>(matrix: &Matrix<'_>, x: &QuantizedRows<'x>, row: usize, out: &mut [f32], dot: impl Fn(&'x [i16]) -> f32) {
    let scale = matrix.scale(row);
    for (out, (x, token_scale)) in out.chunks_exact_mut(matrix.rows.max(1)).zip(x.tokens()) {
        if let Some(out) = out.get_mut(row) {
            let y = dot(x) * (scale * token_scale);
            *out = matrix.bias_of(row).map_or(y, |bias| y + bias);
        }
    }
}

#[inline(always)]
fn store_float(matrix: &Matrix<'_>, x: &[f32], row: usize, out: &mut [f32], dot: impl Fn(&[f32]) -> f32) {
    let tokens = x.chunks_exact(matrix.columns.max(1));
    for (out, x) in out.chunks_exact_mut(matrix.rows.max(1)).zip(tokens) {
        if let Some(out) = out.get_mut(row) {
            let y = dot(x);
            *out = matrix.bias_of(row).map_or(y, |bias| y + bias);
        }
    }
}

/// Row `row` of the cortex-m-dsp layout for int8: halfwords `256 * odd + even` of two neighboring rows.
pub(super) fn paired_row<'a>(matrix: &Matrix<'a>, row: usize) -> impl Iterator<Item = i32> + 'a {
    let pair_bytes = matrix.row_bytes * 2;
    let start = (row / 2).wrapping_mul(pair_bytes);
    let (halfwords, _) = matrix.values.get(start..start.wrapping_add(pair_bytes)).unwrap_or_default().as_chunks::<2>();
    let odd = row % 2 == 1;
    (0..halfwords.len()).map(move |k| {
        let word = halfwords.get(interleave_index(k)).map_or(0, |&bytes| i16::from_le_bytes(bytes) as i32);
        let even = word as i8 as i32;
        if odd { (word - even) >> 8 } else { even }
    })
}

/// The nibbles of one int4 row, signed, in column order.
pub(super) fn nibbles<'a>(matrix: &Matrix<'a>, row: usize) -> impl Iterator<Item = i32> + 'a {
    // In the cortex-m-dsp layout four rows share a halfword; the first row is its lowest nibble.
    let (start, step, shift, quad) = match matrix.layout {
        Layout::Portable => (row.wrapping_mul(matrix.row_bytes), 1, 0, false),
        Layout::CortexMDsp => ((row / 4).wrapping_mul(4 * matrix.row_bytes), 4, (row % 4) as u32 * 4, true),
    };
    let bytes = matrix.values.get(start..start.wrapping_add(step * matrix.row_bytes)).unwrap_or_default();
    let sign_extend = |nibble: u32| ((nibble << 28) as i32) >> 28;
    (0..matrix.columns).map(move |k| {
        if quad {
            let at = 2 * interleave_index(k);
            let half = bytes.get(at).copied().unwrap_or(0) as u32 | (bytes.get(at + 1).copied().unwrap_or(0) as u32) << 8;
            sign_extend(half >> shift)
        } else {
            let byte = bytes.get(k / 2).copied().unwrap_or(0) as u32;
            sign_extend(byte >> (4 * (k as u32 & 1)))
        }
    })
}
