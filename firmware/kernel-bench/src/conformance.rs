//! Compares the kernel set with the specification.

use crate::data::{Memory, Random, Shape, fill_matrix, matrix};
use attoformer::image::Activation;
use attoformer::image::{Dtype, Layout};
use attoformer::internals::numeric::quantize_query;
use attoformer::kernels::{self, ActivationBits, Functions, KeyRows, QuantizedRows, ValueBlocks};
use semihosting::println;

/// The specification's functions.
static SCALAR: &Functions = kernels::SCALAR.functions();

/// Row lengths: all small ones, whole and partial rounds of every unrolled loop, and both sides of the longest sum of a pair of rows.
const LONG: [usize; 8] = [64, 100, 172, 255, 256, 511, 512, 513];

/// Checks every kernel; true if all are equal.
pub fn run(kernels: &Functions, memory: &mut Memory) -> bool {
    let random = &mut Random(0x2545_f491);
    let mut all = true;
    let eight = ActivationBits::Eight;
    let twelve = ActivationBits::Twelve;
    all &= verdict("quantize", quantize(kernels, memory, random, eight));
    all &= verdict("quantize_a12", quantize(kernels, memory, random, twelve));
    for (name, dtype, bits, layout) in [
        ("matmul_i8 portable", Dtype::Int8, eight, Layout::Portable),
        ("matmul_i8 cortex-m-dsp", Dtype::Int8, eight, Layout::CortexMDsp),
        ("matmul_i8_a12 portable", Dtype::Int8, twelve, Layout::Portable),
        ("matmul_i8_a12 cortex-m-dsp", Dtype::Int8, twelve, Layout::CortexMDsp),
        ("matmul_i4 portable", Dtype::Int4, eight, Layout::Portable),
        ("matmul_i4 cortex-m-dsp", Dtype::Int4, eight, Layout::CortexMDsp),
        ("matmul_f16", Dtype::F16, eight, Layout::Portable),
        ("matmul_f32", Dtype::F32, eight, Layout::Portable),
    ] {
        all &= verdict(name, products(kernels, memory, random, (dtype, bits, layout)));
    }
    all &= verdict("every f16", every_f16(kernels, memory));
    all &= verdict("attention", attention(kernels, memory, random));
    all &= verdict("rms_norm", rms_norm(kernels, memory, random));
    all &= verdict("activate and gate", activations(kernels, memory, random));
    all
}

/// The number of equal cases, or the first that differs.
type Outcome = Result<u32, [usize; 4]>;

fn verdict(name: &str, outcome: Outcome) -> bool {
    match outcome {
        Ok(cases) => println!("{{\"check\":\"{name}\",\"cases\":{cases},\"pass\":true}}"),
        Err(case) => println!("{{\"check\":\"{name}\",\"differs_at\":{case:?},\"pass\":false}}"),
    }
    outcome.is_ok()
}

fn same(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

fn lengths() -> impl Iterator<Item = usize> {
    (1..=40).chain(LONG)
}

fn fill(x: &mut [f32], kind: u32, random: &mut Random) {
    match kind {
        0 => x.fill(0.0),
        1 => x.iter_mut().for_each(|x| *x = random.unit() * 1.0e-36),
        2 => {
            let same = random.below(2) == 0;
            x.iter_mut().for_each(|x| *x = if same || random.below(2) == 0 { 3.0 } else { -3.0 });
        }
        3 => x.iter_mut().for_each(|x| *x = random.wild()),
        _ => x.iter_mut().for_each(|x| *x = random.unit() * 5.0),
    }
}

/// The set's function that quantizes a row.
pub fn quantize_of(set: &Functions, bits: ActivationBits) -> fn(&[f32], &[f32], &mut [i16]) -> f32 {
    match bits {
        ActivationBits::Eight => set.quantize,
        ActivationBits::Twelve => set.quantize_a12,
    }
}

fn quantize(kernels: &Functions, memory: &mut Memory, random: &mut Random, bits: ActivationBits) -> Outcome {
    let (specified, quantize) = (quantize_of(SCALAR, bits), quantize_of(kernels, bits));
    let mut cases = 0;
    for columns in lengths() {
        for kind in 0..8 {
            let Memory { x, in_scale, quantized: [a, b], .. } = memory;
            fill(&mut x[..columns], kind, random);
            in_scale.iter_mut().for_each(|scale| *scale = random.unit());
            for in_scale in [&[][..], &in_scale[..columns]] {
                for odd in 0..2 {
                    let stride = columns.next_multiple_of(4);
                    let (a, b) = (&mut a.0[odd..odd + stride], &mut b.0[odd..odd + stride]);
                    a.fill(77);
                    b.fill(55);
                    let expected = specified(&x[..columns], in_scale, a);
                    let found = quantize(&x[..columns], in_scale, b);
                    // The order within a group of four columns is the set's own.
                    let (a, b) = (a.as_chunks_mut::<4>().0, b.as_chunks_mut::<4>().0);
                    a.iter_mut().chain(b.iter_mut()).for_each(|group| group.sort_unstable());
                    if expected.to_bits() != found.to_bits() || a != b {
                        return Err([columns, kind as usize, in_scale.len(), odd]);
                    }
                    cases += 1;
                }
            }
        }
    }
    Ok(cases)
}

/// Lengths beyond a block of twelve-bit activations, with as few rows and tokens as the memory holds.
const BLOCKS: [usize; 2] = [8192, 8192 + 36];

fn products(
    kernels: &Functions,
    memory: &mut Memory,
    random: &mut Random,
    (dtype, bits, layout): (Dtype, ActivationBits, Layout),
) -> Outcome {
    let mut cases = 0;
    let groups: &[usize] = if dtype == Dtype::Int4 { &[0, 32, 64, 128] } else { &[0] };
    let blocks = if bits == ActivationBits::Twelve { &BLOCKS[..] } else { &[] };
    for columns in lengths().chain(blocks.iter().copied()) {
        let (most_rows, most_tokens) = if columns < 8192 { (9, 5) } else { (3, 2) };
        for rows in 1..=most_rows {
            for &group in groups {
                let shape = Shape { dtype, layout, rows, columns, group };
                let tokens = 1 + random.below(most_tokens) as usize;
                let (extreme, kind, bias, odd) = (random.below(4) == 0, 2 + random.below(4), random.below(2) == 0, random.below(16) == 0);
                fill_matrix(memory, shape, extreme, random);
                if !product(kernels, memory, &Case { shape, bits, tokens, kind, bias, odd }, random) {
                    return Err([columns, rows, tokens, group]);
                }
                cases += 1;
            }
        }
    }
    Ok(cases)
}

/// A product to compare.
struct Case {
    shape: Shape,
    /// Bits of the quantized inputs.
    bits: ActivationBits,
    tokens: usize,
    /// How [`fill`] fills the inputs.
    kind: u32,
    bias: bool,
    /// Whether quantized rows start at an odd halfword.
    odd: bool,
}

fn product(kernels: &Functions, memory: &mut Memory, case: &Case, random: &mut Random) -> bool {
    let Case { shape, bits, tokens, kind, bias, odd } = *case;
    let Memory { portable, packed, scales, group_scales, bias: biases, x, quantized, token_scales, out, .. } = memory;
    let x = &mut x[..tokens * shape.columns];
    fill(x, kind, random);
    let bias = if bias { &biases[..shape.rows] } else { &[] };
    let matrix = matrix(shape, (&portable.0, &packed.0), scales, group_scales, bias);
    // Rows at addresses that are not aligned for wide loads must work, too.
    let (stride, odd) = (shape.columns.next_multiple_of(4), odd as usize);
    for (((set, quantized), token_scales), out) in [SCALAR, kernels].into_iter().zip(quantized).zip(token_scales).zip(&mut *out) {
        out.fill(-1.0);
        let out = &mut out[..tokens * shape.rows];
        let rows = quantized.0[odd..].chunks_exact_mut(stride);
        for ((row, x), scale) in rows.zip(x.chunks_exact(shape.columns)).zip(token_scales.iter_mut()) {
            *scale = quantize_of(set, bits)(x, &[], row);
        }
        let x_rows = QuantizedRows { values: &quantized.0[odd..odd + tokens * stride], stride, scales: &token_scales[..tokens], bits };
        match shape.dtype {
            Dtype::Int8 if bits == ActivationBits::Twelve => (set.matmul_i8_a12)(&matrix, &x_rows, out),
            Dtype::Int8 => (set.matmul_i8)(&matrix, &x_rows, out),
            Dtype::Int4 => (set.matmul_i4)(&matrix, &x_rows, out),
            Dtype::F16 => (set.matmul_f16)(&matrix, x, out),
            _ => (set.matmul_f32)(&matrix, x, out),
        }
    }
    let [expected, found] = out;
    same(expected, found)
}

/// Each finite f16 by itself in a row, widened by the set.
fn every_f16(kernels: &Functions, memory: &mut Memory) -> Outcome {
    const ROWS: usize = 512;
    let shape = Shape { dtype: Dtype::F16, layout: Layout::Portable, rows: ROWS, columns: 8, group: 0 };
    memory.portable.0[..ROWS * 16].fill(0);
    let finite = || (0..=u16::MAX).filter(|bits| bits & 0x7c00 != 0x7c00);
    for start in (0..finite().count()).step_by(ROWS) {
        let Memory { portable, scales, group_scales, out: [a, b], .. } = memory;
        for (row, bits) in portable.0.chunks_exact_mut(16).zip(finite().skip(start).take(ROWS)) {
            row[2 * (start / ROWS % 8)..][..2].copy_from_slice(&bits.to_le_bytes());
        }
        let matrix = matrix(shape, (&portable.0, &[]), scales, group_scales, &[]);
        (SCALAR.matmul_f16)(&matrix, &[1.0; 8], &mut a[..ROWS]);
        (kernels.matmul_f16)(&matrix, &[1.0; 8], &mut b[..ROWS]);
        if !same(&a[..ROWS], &b[..ROWS]) {
            return Err([start, 0, 0, 0]);
        }
        portable.0[..ROWS * 16].fill(0);
    }
    Ok(finite().count() as u32)
}

fn attention(kernels: &Functions, memory: &mut Memory, random: &mut Random) -> Outcome {
    let mut cases = 0;
    for head_dim in [1, 2, 3, 4, 6, 7, 8, 12, 16, 20, 32, 36, 64, 100, 128, 512] {
        for keys in (1..=13).chain([64, 99]) {
            for kind in 0..4 {
                if !head(kernels, memory, head_dim, keys, kind, random) {
                    return Err([head_dim, keys, kind as usize, 0]);
                }
                cases += 1;
            }
        }
    }
    Ok(cases)
}

fn head(kernels: &Functions, memory: &mut Memory, head_dim: usize, keys: usize, kind: u32, random: &mut Random) -> bool {
    let Memory { portable, packed, scales, in_scale, x, quantized: [query, _], integers, weights, .. } = memory;
    let odd = if kind == 3 { random.below(4) as usize } else { 0 };
    let offset = if random.below(2) == 0 { 0 } else { head_dim } + odd;
    let stride = (offset + head_dim).next_multiple_of(4);
    let blocks = keys.div_ceil(4);
    let byte =
        |random: &mut Random| if kind == 1 { [127u8, 129][random.below(2) as usize] } else { (random.below(255) as i32 - 127) as u8 };
    portable.0[..keys * stride].iter_mut().for_each(|x| *x = byte(random));
    packed.0[..blocks * stride * 4].iter_mut().for_each(|x| *x = byte(random));
    let scale = |random: &mut Random| match (kind, random.below(8)) {
        (2, 0) => 0.0,
        (2, 1) => 1.0e-30,
        (2, 2) => 1.0e25,
        (3, _) => 2.0e-38 * (1.0 + random.unit()),
        _ => 0.02 + 0.01 * random.unit(),
    };
    scales[..keys].iter_mut().for_each(|x| *x = scale(random));
    in_scale[..keys].iter_mut().for_each(|x| *x = scale(random));
    fill(&mut x[..head_dim], 2 + random.below(3), random);
    let query = &mut query.0[..head_dim];
    let exponent = quantize_query(&x[..head_dim], 0.5, |k, q| query[k] = q as i16);
    let key_bytes: &[i8] = as_signed(&portable.0[..keys * stride]);
    let value_bytes = as_signed(&packed.0[..blocks * stride * 4]).as_chunks::<4>().0;
    let seen = KeyRows { values: key_bytes, stride, offset, scales: &scales[..keys] };
    let values = ValueBlocks { values: value_bytes, stride, offset };
    let mut results = [None; 2];
    for (((set, integers), weights), result) in [SCALAR, kernels].into_iter().zip(&mut *integers).zip(&mut *weights).zip(&mut results) {
        integers.fill(-1);
        weights.0.fill(-1);
        let (scores, sums) = integers.split_at_mut(128);
        let weights = &mut weights.0[..4 * blocks];
        let largest = (set.scores)(query, exponent, &seen, &mut scores[..keys]);
        let copy = fingerprint(&scores[..keys]);
        let norm = (set.softmax_weights)(&mut scores[..keys], largest, &in_scale[..keys], weights);
        (set.weighted_value_sum)(weights, &values, &mut sums[..head_dim]);
        *result = Some((largest, copy, norm));
        // The scores are overwritten; their final state is the set's own.
        scores.fill(0);
    }
    results[0] == results[1] && integers[0] == integers[1] && weights[0].0 == weights[1].0
}

/// A hash of scores, taken before they are overwritten.
fn fingerprint(scores: &[i32]) -> u32 {
    scores.iter().fold(0, |hash: u32, &score| (hash.rotate_left(5) ^ score as u32).wrapping_mul(0x9e37_79b1))
}

/// Bytes as integers.
pub fn as_signed(bytes: &[u8]) -> &[i8] {
    // SAFETY: i8 and u8 have the same size and alignment, and all bytes are valid values of both.
    unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) }
}

fn rms_norm(kernels: &Functions, memory: &mut Memory, random: &mut Random) -> Outcome {
    let mut cases = 0;
    for columns in lengths() {
        for kind in 0..5 {
            let Memory { x, in_scale, out: [a, b], .. } = memory;
            fill(&mut x[..columns], if kind == 3 { 4 } else { kind }, random);
            in_scale.iter_mut().for_each(|scale| *scale = random.unit());
            a.fill(-1.0);
            b.fill(-1.0);
            (SCALAR.rms_norm)(&x[..columns], &in_scale[..columns], 1.0e-5, &mut a[..columns]);
            (kernels.rms_norm)(&x[..columns], &in_scale[..columns], 1.0e-5, &mut b[..columns]);
            if !same(a, b) {
                return Err([columns, kind as usize, 0, 0]);
            }
            cases += 1;
        }
    }
    Ok(cases)
}

fn activations(kernels: &Functions, memory: &mut Memory, random: &mut Random) -> Outcome {
    let mut cases = 0;
    for activation in [Activation::Relu, Activation::GeluTanh, Activation::Silu] {
        for columns in lengths() {
            let Memory { x, out: [a, b], .. } = memory;
            let (gate, up) = x[..2 * columns].split_at_mut(columns);
            gate.iter_mut().for_each(|x| *x = if random.below(3) == 0 { random.wild() } else { random.unit() * 24.0 });
            up.iter_mut().for_each(|x| *x = random.unit() * 3.0);
            a.fill(-1.0);
            b.fill(-1.0);
            (SCALAR.gate)(activation, gate, up, &mut a[..columns]);
            (kernels.gate)(activation, gate, up, &mut b[..columns]);
            if !same(a, b) {
                return Err([columns, activation as usize, 0, 0]);
            }
            a[..columns].copy_from_slice(gate);
            b[..columns].copy_from_slice(gate);
            (SCALAR.activate)(activation, &mut a[..columns]);
            (kernels.activate)(activation, &mut b[..columns]);
            if !same(a, b) {
                return Err([columns, activation as usize, 1, 0]);
            }
            cases += 1;
        }
    }
    Ok(cases)
}
