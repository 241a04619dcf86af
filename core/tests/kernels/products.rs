//! Quantized rows and matrix products.

use attoformer::image::{Dtype, Layout};
use attoformer::kernels::{ActivationBits, Functions, Matrix, QuantizedRows};

use super::inputs::{BYTES, Bytes, FLOATS, Floats, Owned, counts, same};
use super::random::Random;
use super::{SCALAR, expect};

pub fn quantize(set: &Functions) -> Result<(), String> {
    quantized(set, ActivationBits::Eight)
}

pub fn quantize_a12(set: &Functions) -> Result<(), String> {
    quantized(set, ActivationBits::Twelve)
}

/// The set's function that quantizes a row.
fn quantize_of(set: &Functions, bits: ActivationBits) -> fn(&[f32], &[f32], &mut [i16]) -> f32 {
    match bits {
        ActivationBits::Eight => set.quantize,
        ActivationBits::Twelve => set.quantize_a12,
    }
}

fn quantized(set: &Functions, bits: ActivationBits) -> Result<(), String> {
    let mut random = Random(1);
    for (count, fill) in counts().flat_map(|count| FLOATS.map(|fill| (count, fill))) {
        // Rows at every alignment.
        let start = random.below(4);
        let x = fill.row(&mut random, start + count);
        let scaled = random.below(2) == 0;
        let in_scale = Floats::Unit.row(&mut random, if scaled { count } else { 0 });
        let picks: Vec<usize> = (0..count).take(40).chain((40..count).rev().step_by(1 + count / 40)).collect();
        let row = |set: &Functions| {
            let mut out = vec![0x5555; count.next_multiple_of(4)];
            let scale = quantize_of(set, bits)(&x[start..], &in_scale, &mut out);
            (integers_of(set, bits, count, &picks, &out), scale.to_bits())
        };
        expect(row(set) == row(SCALAR), || format!("{count} of {fill:?}, input scale: {scaled}"))?;
    }
    Ok(())
}

/// Some integers of a quantized row. Only the set's own products can read its form, so the row is multiplied by rows of zeros with a single one.
/// The last of these have their one in the padding, if there is any, and must result in zero.
fn integers_of(set: &Functions, bits: ActivationBits, count: usize, picks: &[usize], quantized: &[i16]) -> Vec<i32> {
    let stride = quantized.len();
    let places: Vec<usize> = picks.iter().copied().chain(count..stride).collect();
    let mut owned = Owned::zeros(Dtype::Int8, places.len(), stride);
    for (row, &place) in places.iter().enumerate() {
        owned.set_byte(row * stride + place, 1);
    }
    let mut out = vec![f32::MAX; places.len()];
    if stride > 0 {
        product_of(set, Dtype::Int8, bits)(&owned.view(), &QuantizedRows { values: quantized, stride, scales: &[1.0], bits }, &mut out);
    }
    out.iter().map(|&x| x as i32).collect()
}

/// Shapes `(rows, columns, tokens)` around tiles and lanes.
fn shapes(longest: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let small = (1..=70).flat_map(|columns| (1..=9).map(move |n| (n, columns, 1 + (n * columns) % 9)));
    let tokens = [1, 15, 16, 17, 31, 32, 33, 48, 64].into_iter().flat_map(|columns| (1..=9).map(move |n| (10 - n % 4, columns, n)));
    let long = [127, 172, 255, 256, 512, 513, 1000, 4096].into_iter().flat_map(|columns| [(3, columns, 3), (9, columns, 1)]);
    // Whole tiles of the wide kernels and more, and rows that they process in two chunks.
    let tiles =
        [(16, 8), (48, 8), (50, 13), (95, 7), (112, 21)].into_iter().flat_map(|(rows, tokens)| [(rows, 64, tokens), (rows, 100, tokens)]);
    small.chain(tokens).chain(long).chain(tiles).chain([
        (33, 64, 5),
        (64, 172, 4),
        (33, 1536, 4),
        (40, 3100, 9),
        (2, longest, 2),
        (17, longest, 4),
    ])
}

/// The set's product of quantized operands.
fn product_of(set: &Functions, dtype: Dtype, bits: ActivationBits) -> fn(&Matrix<'_>, &QuantizedRows<'_>, &mut [f32]) {
    match (dtype, bits) {
        (Dtype::Int4, _) => set.matmul_i4,
        (_, ActivationBits::Eight) => set.matmul_i8,
        (_, ActivationBits::Twelve) => set.matmul_i8_a12,
    }
}

fn integer_product(set: &Functions, bits: ActivationBits, matrix: &Matrix<'_>, x: &[f32], tokens: usize) -> Vec<f32> {
    let stride = matrix.columns.next_multiple_of(4);
    let mut values = vec![0; stride * tokens];
    let mut scales = vec![0.0; tokens];
    for ((x, out), scale) in x.chunks(matrix.columns).zip(values.chunks_mut(stride)).zip(&mut scales) {
        *scale = quantize_of(set, bits)(x, &[], out);
    }
    let mut out = vec![f32::MAX; matrix.rows * tokens];
    product_of(set, matrix.dtype, bits)(matrix, &QuantizedRows { values: &values, stride, scales: &scales, bits }, &mut out);
    out
}

fn integers(set: &Functions, (dtype, bits): (Dtype, ActivationBits), groups: &[usize], longest: usize) -> Result<(), String> {
    let mut random = Random(2);
    let fills = BYTES.map(|bytes| if matches!(bytes, Bytes::Any) { (bytes, Floats::Unit) } else { (bytes, Floats::Extreme) });
    let fills = fills.into_iter().chain([(Bytes::Any, Floats::Wide), (Bytes::Any, Floats::Infinite), (Bytes::Smallest, Floats::Zeros)]);
    for (fill, xs) in fills {
        for ((rows, columns, tokens), &group) in shapes(longest).zip(groups.iter().cycle()) {
            for layout in [Layout::Portable, Layout::CortexMDsp] {
                let owned = Owned::integers(&mut random, dtype, layout, fill, (rows, columns), group);
                let mut x = xs.row(&mut random, columns * tokens);
                if matches!(xs, Floats::Extreme) && random.below(2) == 0 {
                    x.fill(-1.0);
                }
                let product = |set| integer_product(set, bits, &owned.view(), &x, tokens);
                let (ours, spec) = (product(set), product(SCALAR));
                expect(same(&ours, &spec), || {
                    format!("{rows} x {columns}, {tokens} tokens, group {group}, {layout:?}, {fill:?} with {xs:?}")
                })?;
            }
        }
    }
    Ok(())
}

pub fn matmul_i8(set: &Functions) -> Result<(), String> {
    integers(set, (Dtype::Int8, ActivationBits::Eight), &[0], 131_072)
}

pub fn matmul_i8_a12(set: &Functions) -> Result<(), String> {
    let bits = ActivationBits::Twelve;
    integers(set, (Dtype::Int8, bits), &[0], 3 * 8192 + 4)?;
    // Both sides of the blocks' ends, all magnitudes at their largest and of one sign: the sum of a whole block comes within 2^17 of 2^31.
    let mut random = Random(14);
    for columns in [8188, 8191, 8192, 8193, 8196, 8192 + 36, 2 * 8192, 2 * 8192 + 1, 5 * 8192 - 3] {
        for (rows, tokens) in [(1, 1), (9, 1), (17, 2), (18, 9)] {
            for (fill, layout) in [(Bytes::Smallest, Layout::Portable), (Bytes::Any, Layout::Portable), (Bytes::Any, Layout::CortexMDsp)] {
                let owned = Owned::integers(&mut random, Dtype::Int8, layout, fill, (rows, columns), 0);
                let x = vec![random.pick(&[-1.0, 1.0]); columns * tokens];
                let product = |set| integer_product(set, bits, &owned.view(), &x, tokens);
                expect(same(&product(set), &product(SCALAR)), || format!("{rows} x {columns}, {tokens} tokens, {layout:?}, {fill:?}"))?;
            }
        }
    }
    Ok(())
}

pub fn matmul_i4(set: &Functions) -> Result<(), String> {
    integers(set, (Dtype::Int4, ActivationBits::Eight), &[32, 0, 64, 128, 32], 16_384)
}

fn floats(set: &Functions, dtype: Dtype, matmul: impl Fn(&Functions, &Matrix<'_>, &[f32], &mut [f32])) -> Result<(), String> {
    let mut random = Random(3);
    for fill in FLOATS {
        for (rows, columns, tokens) in shapes(10_001) {
            let owned = Owned::floats(&mut random, dtype, fill, rows, columns);
            let x = fill.row(&mut random, columns * tokens);
            let product = |set: &Functions| {
                let mut out = vec![f32::MAX; rows * tokens];
                matmul(set, &owned.view(), &x, &mut out);
                out
            };
            expect(same(&product(set), &product(SCALAR)), || format!("{rows} x {columns}, {tokens} tokens, {fill:?}"))?;
        }
    }
    Ok(())
}

pub fn matmul_f16(set: &Functions) -> Result<(), String> {
    floats(set, Dtype::F16, |set, matrix, x, out| (set.matmul_f16)(matrix, x, out))
}

pub fn matmul_f32(set: &Functions) -> Result<(), String> {
    floats(set, Dtype::F32, |set, matrix, x, out| (set.matmul_f32)(matrix, x, out))
}
