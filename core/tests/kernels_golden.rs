//! Every kernel set against independent arithmetic in i64 and f64, which shares no code with the engine.

#[path = "common/random.rs"]
mod random;

use attoformer::image::{Dtype, Layout};
use attoformer::internals::numeric::{LIMIT_8, LIMIT_12, LOG2_E, Quantizer, max_magnitude_bits, pow2, quantize_query};
use attoformer::kernels::{self, ActivationBits, Functions, Kernels, KeyRows, Matrix, QuantizedRows, ValueBlocks};
use random::Random;
use zerocopy::IntoBytes;

fn unit(random: &mut Random) -> f32 {
    random.below(1 << 24) as f32 / 8_388_608.0 - 1.0
}

/// Bytes at the alignment that an image gives them.
fn aligned(bytes: &[u8]) -> Vec<u128> {
    let mut words = vec![0u128; bytes.len().div_ceil(16)];
    words.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
    words
}

/// int8 or int4 rows in the portable layout, as `docs/image.md` describes it.
fn pack(weights: &[i8], columns: usize, dtype: Dtype) -> (Vec<u8>, usize) {
    let row_bytes = if dtype == Dtype::Int4 { columns.div_ceil(2) } else { columns }.next_multiple_of(4);
    let mut bytes = vec![0; row_bytes * (weights.len() / columns)];
    for (weights, row) in weights.chunks(columns).zip(bytes.chunks_mut(row_bytes)) {
        for (column, &w) in weights.iter().enumerate() {
            match dtype {
                Dtype::Int4 => row[column / 2] |= (w as u8 & 15) << (4 * (column % 2)),
                _ => row[column] = w as u8,
            }
        }
    }
    (bytes, row_bytes)
}

struct IntegerCase {
    dtype: Dtype,
    bits: ActivationBits,
    rows: usize,
    columns: usize,
    tokens: usize,
    group: usize,
}

/// One product, with scales of 1 and activations that quantize to themselves: the exact integer sums as f32.
fn integer_sums(set: &Functions, case: &IntegerCase, weights: &[i8], group_scales: &[i8], x: &[i16]) -> Vec<f32> {
    let IntegerCase { dtype, bits, rows, columns, tokens, group } = *case;
    let (bytes, row_bytes) = pack(weights, columns, dtype);
    let values = aligned(&bytes);
    let scales = vec![1.0; rows];
    let matrix = Matrix {
        dtype,
        layout: Layout::Portable,
        rows,
        columns,
        row_bytes,
        values: &values.as_bytes()[..bytes.len()],
        scales: &scales,
        group_scales,
        group,
        bias: &[],
    };
    let stride = columns.next_multiple_of(4);
    let (mut values, mut token_scales) = (vec![0; tokens * stride], vec![0.0; tokens]);
    for ((x, out), scale) in x.chunks(columns).zip(values.chunks_mut(stride)).zip(&mut token_scales) {
        let x: Vec<f32> = x.iter().map(|&x| f32::from(x)).collect();
        *scale = if bits == ActivationBits::Twelve { (set.quantize_a12)(&x, &[], out) } else { (set.quantize)(&x, &[], out) };
    }
    // Every token contains a value of the largest magnitude, so its scale is exactly 1.
    assert!(token_scales.iter().all(|&scale| scale == 1.0));
    let mut out = vec![0.0; tokens * rows];
    let x = QuantizedRows { values: &values, stride, scales: &token_scales, bits };
    let matmul = match (dtype, bits) {
        (Dtype::Int4, _) => set.matmul_i4,
        (_, ActivationBits::Eight) => set.matmul_i8,
        (_, ActivationBits::Twelve) => set.matmul_i8_a12,
    };
    matmul(&matrix, &x, &mut out);
    out
}

#[test]
fn integer_products_are_exact() {
    let mut random = Random(1);
    let shapes = [(1, 1, 1), (3, 5, 2), (9, 33, 3), (16, 64, 1), (17, 100, 5), (64, 172, 2), (12, 513, 8), (8, 4096, 1), (10, 8192, 3)];
    let eight = ActivationBits::Eight;
    let int4 = [32, 64, 128, usize::MAX].map(|group| (Dtype::Int4, eight, group));
    let types = [(Dtype::Int8, eight, 0), (Dtype::Int8, ActivationBits::Twelve, 0)].into_iter().chain(int4);
    for (rows, columns, tokens) in shapes {
        for (dtype, bits, group) in types.clone() {
            let group = if dtype == Dtype::Int4 { group.min(columns) } else { 0 };
            let case = IntegerCase { dtype, bits, rows, columns, tokens, group };
            // All values of the type, -8 and -128 too.
            let limit = if dtype == Dtype::Int4 { 16 } else { 256 };
            let weights: Vec<i8> = (0..rows * columns).map(|_| (random.below(limit) as i32 - (limit / 2) as i32) as i8).collect();
            let groups = columns.div_ceil(group.max(1));
            let group_scales: Vec<i8> = (0..rows * groups).map(|_| (random.below(255) as i32 - 127) as i8).collect();
            let largest = if bits == ActivationBits::Twelve { LIMIT_12 } else { LIMIT_8 } as i16;
            let mut x: Vec<i16> = (0..tokens * columns).map(|_| random.below(2 * largest as usize + 1) as i16 - largest).collect();
            x.chunks_mut(columns).for_each(|x| x[0] = random.pick(&[largest, -largest]));
            let expected: Vec<f32> = x
                .chunks(columns)
                .flat_map(|x| {
                    weights.chunks(columns).enumerate().map(|(row, weights)| {
                        let scale =
                            |column: usize| column.checked_div(group).map_or(1, |index| i64::from(group_scales[row * groups + index]));
                        let terms = x.iter().zip(weights).enumerate();
                        terms.map(|(column, (&x, &w))| i64::from(x) * i64::from(w) * scale(column)).sum::<i64>() as f32
                    })
                })
                .collect();
            for set in kernels::all().map(Kernels::functions) {
                let sums = integer_sums(set, &case, &weights, &group_scales, &x);
                assert_eq!(sums, expected, "{}: {rows} x {columns}, {tokens} tokens, {dtype:?} by {bits:?}, group {group}", set.name);
            }
        }
    }
}

/// Each block of 8,192 columns is exact, also where it is within 2^17 of overflow; the blocks are added as floats, in ascending order.
#[test]
fn blocks_of_twelve_bit_activations_are_exact() {
    let mut random = Random(5);
    for columns in [8192, 8193, 8192 + 36, 3 * 8192, 3 * 8192 + 17] {
        for (rows, tokens) in [(8, 1), (17, 5)] {
            let case = IntegerCase { dtype: Dtype::Int8, bits: ActivationBits::Twelve, rows, columns, tokens, group: 0 };
            // Rows of -128 alone, and others.
            let weight =
                |index: usize, random: &mut Random| if (index / columns).is_multiple_of(2) { -128 } else { random.below(256) as u8 as i8 };
            let weights: Vec<i8> = (0..rows * columns).map(|index| weight(index, &mut random)).collect();
            let x = vec![random.pick(&[-2047, 2047]); tokens * columns];
            let dot = |x: &[i16], w: &[i8]| x.iter().zip(w).map(|(&x, &w)| i64::from(x) * i64::from(w)).sum::<i64>();
            let sum = |x: &[i16], w: &[i8]| {
                let blocks = x.chunks(8192).zip(w.chunks(8192)).map(|(x, w)| i32::try_from(dot(x, w)).expect("a block fits") as f32);
                blocks.reduce(|sum, block| sum + block).unwrap_or_default()
            };
            let expected: Vec<f32> = x.chunks(columns).flat_map(|x| weights.chunks(columns).map(|w| sum(x, w))).collect();
            for set in kernels::all().map(Kernels::functions) {
                assert_eq!(integer_sums(set, &case, &weights, &[], &x), expected, "{}: {rows} x {columns}, {tokens} tokens", set.name);
            }
        }
    }
}

/// int4 sums are exact up to 16,384 columns, where -8, 127 and a scale of 127 everywhere come within 2^25 of overflow.
#[test]
fn the_longest_int4_row_is_exact() {
    let (rows, columns) = (8, 16_384);
    for (weight, scale, group) in [(-8, 127, 32), (-8, -127, 128), (7, -127, 64), (-8, 0, 32), (-8, 127, columns)] {
        let (weights, scales) = (vec![weight; rows * columns], vec![scale; rows * columns / group]);
        let case = IntegerCase { dtype: Dtype::Int4, bits: ActivationBits::Eight, rows, columns, tokens: 3, group };
        let expected = i64::from(weight) * i64::from(scale) * 127 * columns as i64;
        assert!(expected.abs() < 1 << 31);
        for set in kernels::all().map(Kernels::functions) {
            let sums = integer_sums(set, &case, &weights, &scales, &vec![127; 3 * columns]);
            assert!(sums.iter().all(|&sum| sum == expected as f32), "{}: {weight}, scale {scale}, group {group}: {sums:?}", set.name);
        }
    }
}

#[test]
fn float_products_stay_within_their_rounding() {
    let mut random = Random(2);
    for (rows, columns, tokens) in [(1, 1, 1), (9, 7, 2), (8, 8, 3), (17, 100, 5), (64, 172, 2), (12, 513, 8), (8, 4096, 1)] {
        let (w, x): (Vec<f32>, Vec<f32>) =
            ((0..rows * columns).map(|_| unit(&mut random)).collect(), (0..tokens * columns).map(|_| unit(&mut random)).collect());
        let bias: Vec<f32> = (0..rows).map(|_| unit(&mut random)).collect();
        for dtype in [Dtype::F32, Dtype::F16] {
            // The stored values, so that only the error of the sum remains.
            let stored: Vec<f32> = w.iter().map(|&w| if dtype == Dtype::F16 { half::f16::from_f32(w).to_f32() } else { w }).collect();
            let mut bytes = Vec::new();
            for row in w.chunks(columns) {
                match dtype {
                    Dtype::F16 => row.iter().for_each(|&w| bytes.extend(half::f16::from_f32(w).to_le_bytes())),
                    _ => row.iter().for_each(|&w| bytes.extend(w.to_le_bytes())),
                }
                bytes.resize(bytes.len().next_multiple_of(4), 0);
            }
            let values = aligned(&bytes);
            let matrix = Matrix {
                dtype,
                rows,
                columns,
                row_bytes: bytes.len() / rows,
                values: &values.as_bytes()[..bytes.len()],
                bias: &bias,
                ..Matrix::EMPTY
            };
            for set in kernels::all().map(Kernels::functions) {
                let mut out = vec![0.0; tokens * rows];
                let matmul = if dtype == Dtype::F16 { set.matmul_f16 } else { set.matmul_f32 };
                matmul(&matrix, &x, &mut out);
                for (index, &y) in out.iter().enumerate() {
                    let (token, row) = (index / rows, index % rows);
                    let terms = x[token * columns..][..columns].iter().zip(&stored[row * columns..][..columns]);
                    let products = terms.map(|(&x, &w)| f64::from(x) * f64::from(w));
                    let (sum, size) = products.fold((0.0, 0.0), |(sum, size), p| (sum + p, size + p.abs()));
                    // A lane rounds each product and each sum; three sums and the bias follow.
                    let bound = (columns as f64 / 8.0 + 6.0) * (size + 1.0) * f64::from(f32::EPSILON) / 2.0;
                    let error = (f64::from(y) - sum - f64::from(bias[row])).abs();
                    assert!(error <= bound, "{}: {rows} x {columns}, {dtype:?}: {error:e} exceeds {bound:e}", set.name);
                }
            }
        }
    }
}

#[test]
fn scales_and_bias_come_last() {
    let (weights, x): (Vec<i8>, Vec<f32>) =
        ((0..8 * 20).map(|w| (w * 37 % 255 - 127) as i8).collect(), (0..20).map(|x| x as f32 * 0.3 - 2.0).collect());
    let (bytes, row_bytes) = pack(&weights, 20, Dtype::Int8);
    let (values, scales, bias) = (aligned(&bytes), vec![0.013, 0.5, 1e-9, 3.0, 0.0, 1e9, 0.25, 1.0], vec![0.5; 8]);
    let values = &values.as_bytes()[..bytes.len()];
    let matrix = Matrix { dtype: Dtype::Int8, rows: 8, columns: 20, row_bytes, values, scales: &scales, bias: &bias, ..Matrix::EMPTY };
    for set in kernels::all().map(Kernels::functions) {
        let (mut integers, mut out) = (vec![0; 20], vec![0.0; 8]);
        let token_scale = (set.quantize)(&x, &[], &mut integers);
        let max = x.iter().fold(0.0, |max: f32, x| max.max(x.abs()));
        assert_eq!(token_scale, max / 127.0);
        (set.matmul_i8)(
            &matrix,
            &QuantizedRows { values: &integers, stride: 20, scales: &[token_scale], bits: ActivationBits::Eight },
            &mut out,
        );
        for (row, &y) in out.iter().enumerate() {
            let terms = x.iter().zip(&weights[row * 20..]);
            let sum: i64 = terms.map(|(&x, &w)| (x * (127.0 / max)).round_ties_even() as i64 * i64::from(w)).sum();
            assert_eq!(y, sum as f32 * (scales[row] * token_scale) + 0.5, "{}: row {row}", set.name);
        }
    }
}

/// A head's attention in f64 over the stored keys and values.
fn attention(query: &[f32], keys: &[Vec<f64>], values: &[Vec<f64>]) -> Vec<f64> {
    let scale = 1.0 / (query.len() as f64).sqrt();
    let scores: Vec<f64> = keys.iter().map(|key| key.iter().zip(query).map(|(k, &q)| k * f64::from(q)).sum::<f64>() * scale).collect();
    let largest = scores.iter().copied().fold(f64::MIN, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    (0..query.len()).map(|d| weights.iter().zip(values).map(|(w, value)| w * value[d]).sum::<f64>() / sum).collect()
}

/// Rows quantized like those of the KV cache: integers, and a scale for each row.
fn quantized(rows: &[Vec<f32>]) -> (Vec<i8>, Vec<f32>) {
    let (mut integers, mut scales) = (Vec::new(), Vec::new());
    for row in rows {
        let quantizer = Quantizer::new(max_magnitude_bits(row.iter().copied()));
        integers.extend(row.iter().map(|&x| quantizer.quantize(x) as i8));
        scales.push(quantizer.scale);
    }
    (integers, scales)
}

/// The integer path from a query to its output, as a layer calls the kernels, for up to 4,096 keys.
fn integer_attention(set: &Functions, query: &[f32], keys: (&[i8], &[f32]), values: (&[i8], &[f32])) -> Vec<f32> {
    let (head_dim, count) = (query.len(), keys.1.len());
    let mut q = vec![0; head_dim];
    let exponent = quantize_query(query, LOG2_E / (head_dim as f32).sqrt(), |index, value| q[index] = value as i16);
    let (mut scores, mut weights, mut mixed) = (vec![0; count], vec![0; count.next_multiple_of(4)], vec![0; head_dim]);
    let rows = KeyRows { values: keys.0, stride: head_dim, offset: 0, scales: keys.1 };
    let largest = (set.scores)(&q, exponent, &rows, &mut scores);
    let norm = (set.softmax_weights)(&mut scores, largest, values.1, &mut weights);
    let mut blocks = vec![[0; 4]; count.div_ceil(4) * head_dim];
    for (token, value) in values.0.chunks(head_dim).enumerate() {
        value.iter().enumerate().for_each(|(d, &v)| blocks[token / 4 * head_dim + d][token % 4] = v);
    }
    (set.weighted_value_sum)(&weights, &ValueBlocks { values: &blocks, stride: head_dim, offset: 0 }, &mut mixed);
    let unit = pow2(norm.exponent) / norm.sum as f32;
    mixed.iter().map(|&sum| sum as f32 * unit).collect()
}

/// Error of the integer path for values in -1..1: relative to the keys and values that the cache stores, and to those that it was given.
///
/// It grows with the scores, whose relative error is that of a query of 12 bits: scores of one head spread by about a third of `sharpness`.
#[test]
fn integer_attention_follows_softmax() {
    let mut random = Random(3);
    for (sharpness, stored_bound, given_bound) in [(0.1, 3e-4, 5e-3), (1.0, 5e-4, 8e-3), (6.0, 3e-3, 2.5e-2)] {
        let (mut worst_stored, mut worst_given) = (0.0f64, 0.0f64);
        for (count, head_dim) in COUNTS.into_iter().flat_map(|count| HEAD_DIMS.map(|head_dim| (count, head_dim))) {
            let row = |random: &mut Random, size: f32| (0..head_dim).map(|_| unit(random) * size).collect::<Vec<f32>>();
            let query = row(&mut random, sharpness);
            let keys: Vec<Vec<f32>> = (0..count).map(|_| row(&mut random, 2.0)).collect();
            let values: Vec<Vec<f32>> = (0..count).map(|_| row(&mut random, 1.0)).collect();
            let ((key_integers, key_scales), (value_integers, value_scales)) = (quantized(&keys), quantized(&values));
            let stored = |integers: &[i8], scales: &[f32]| -> Vec<Vec<f64>> {
                let rows = integers.chunks(head_dim).zip(scales);
                rows.map(|(row, &scale)| row.iter().map(|&x| f64::from(x) * f64::from(scale)).collect()).collect()
            };
            let wide = |rows: &[Vec<f32>]| rows.iter().map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect::<Vec<Vec<f64>>>();
            let over_stored = attention(&query, &stored(&key_integers, &key_scales), &stored(&value_integers, &value_scales));
            let over_given = attention(&query, &wide(&keys), &wide(&values));
            for set in kernels::all().map(Kernels::functions) {
                let out = integer_attention(set, &query, (&key_integers, &key_scales), (&value_integers, &value_scales));
                let error = |exact: &[f64]| out.iter().zip(exact).fold(0.0, |max: f64, (&y, e)| max.max((f64::from(y) - e).abs()));
                (worst_stored, worst_given) = (worst_stored.max(error(&over_stored)), worst_given.max(error(&over_given)));
            }
        }
        println!(
            "sharpness {sharpness}: error {worst_stored:.2e} against the stored keys and values, {worst_given:.2e} against the given ones"
        );
        assert!(worst_stored < stored_bound && worst_given < given_bound, "{worst_stored:e}, {worst_given:e}");
    }
}

const COUNTS: [usize; 9] = [1, 2, 3, 8, 17, 100, 256, 1000, 4096];
const HEAD_DIMS: [usize; 5] = [8, 12, 32, 64, 128];

#[test]
fn norms_follow_f64() {
    let mut random = Random(4);
    for count in [1usize, 7, 8, 64, 172, 513, 4096] {
        let (x, scale): (Vec<f32>, Vec<f32>) = (0..count).map(|_| (unit(&mut random) * 3.0, unit(&mut random))).unzip();
        let mean_square = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / count as f64;
        let inverse = 1.0 / (mean_square + f64::from(1e-5f32)).sqrt();
        for set in kernels::all().map(Kernels::functions) {
            let mut out = vec![0.0; count];
            (set.rms_norm)(&x, &scale, 1e-5, &mut out);
            for ((&y, &x), &scale) in out.iter().zip(&x).zip(&scale) {
                let exact = f64::from(x) * inverse * f64::from(scale);
                assert!((f64::from(y) - exact).abs() <= 5e-7 * exact.abs(), "{}: {y} for {exact} of {count}", set.name);
            }
        }
    }
}
