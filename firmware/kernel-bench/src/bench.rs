//! Instruction count of each kernel, as the emulator counts.

use crate::conformance::quantize_of;
use crate::data::{Memory, Random, Shape, fill_matrix, matrix};
use attoformer::image::Activation;
use attoformer::image::{Dtype, Layout};
use attoformer::kernels::{ActivationBits, Functions, KeyRows, QuantizedRows, ValueBlocks};
use attoformer_firmware::Counter;
use core::hint::black_box;
use semihosting::println;

const K: usize = 256;
const N: usize = 256;
/// Tokens of a prefill block.
const BLOCK: usize = 8;
/// Repetitions of short work, since the counter's tick is 40 instructions.
const ROUNDS: u32 = 64;

/// Counts the instructions of every kernel and prints a line for each.
pub fn run(kernels: &Functions, memory: &mut Memory, counter: &mut Counter) {
    let random = &mut Random(1);
    for layout in [Layout::Portable, Layout::CortexMDsp] {
        let (eight, twelve) = (ActivationBits::Eight, ActivationBits::Twelve);
        for (dtype, bits, group) in [(Dtype::Int8, eight, 0), (Dtype::Int8, twelve, 0), (Dtype::Int4, eight, 32), (Dtype::Int4, eight, 128)]
        {
            let shape = Shape { dtype, layout, rows: N, columns: K, group };
            [1, 32].into_iter().for_each(|tokens| product(kernels, memory, counter, (shape, bits), tokens, random));
        }
    }
    for dtype in [Dtype::F16, Dtype::F32] {
        let shape = Shape { dtype, layout: Layout::Portable, rows: if dtype == Dtype::F32 { 128 } else { N }, columns: K, group: 0 };
        [1, 32].into_iter().for_each(|tokens| product(kernels, memory, counter, (shape, ActivationBits::Eight), tokens, random));
    }
    [8, 32].into_iter().for_each(|head_dim| attention(kernels, memory, counter, head_dim, random));
    elementwise(kernels, memory, counter, random);
}

fn product(
    kernels: &Functions,
    memory: &mut Memory,
    counter: &mut Counter,
    (shape, bits): (Shape, ActivationBits),
    tokens: usize,
    random: &mut Random,
) {
    fill_matrix(memory, shape, false, random);
    let Memory {
        portable, packed, scales, group_scales, x, quantized: [quantized, _], token_scales: [token_scales, _], out: [out, _], ..
    } = memory;
    let matrix = matrix(shape, (&portable.0, &packed.0), scales, group_scales, &[]);
    x.iter_mut().for_each(|x| *x = random.unit());
    for ((row, x), scale) in quantized.0.chunks_exact_mut(K).zip(x.chunks_exact(K)).zip(token_scales.iter_mut()) {
        *scale = quantize_of(kernels, bits)(x, &[], row);
    }
    let mut total = 0;
    for start in (0..tokens).step_by(BLOCK) {
        let end = (start + BLOCK).min(tokens);
        let rows = QuantizedRows { values: &quantized.0[start * K..end * K], stride: K, scales: &token_scales[start..end], bits };
        let (x, out) = (&x[start * K..end * K], &mut out[..(end - start) * shape.rows]);
        let ((), instructions) = counter.count(|| match shape.dtype {
            Dtype::Int8 if bits == ActivationBits::Twelve => (kernels.matmul_i8_a12)(&matrix, &rows, out),
            Dtype::Int8 => (kernels.matmul_i8)(&matrix, &rows, out),
            Dtype::Int4 => (kernels.matmul_i4)(&matrix, &rows, out),
            Dtype::F16 => (kernels.matmul_f16)(&matrix, x, out),
            _ => (kernels.matmul_f32)(&matrix, x, out),
        });
        black_box(&*out);
        total += instructions;
    }
    let op = match shape.dtype {
        Dtype::Int8 => "matmul_i8",
        Dtype::Int4 => "matmul_i4",
        Dtype::F16 => "matmul_f16",
        _ => "matmul_f32",
    };
    let layout = if shape.layout == Layout::Portable { "portable" } else { "cortex-m-dsp" };
    let (group, rows) = (shape.group, shape.rows);
    let activations = if bits == ActivationBits::Twelve { 12 } else { 8 };
    let per_mac = total as f32 / (K * rows * tokens) as f32;
    println!(
        "{{\"op\":\"{op}\",\"layout\":\"{layout}\",\"activations\":{activations},\"group\":{group},\"k\":{K},\"n\":{rows},\"tokens\":{tokens},\"instructions\":{total},\"per_mac\":{per_mac:.3}}}"
    );
}

/// Prints the instructions per round, and per element of `count`, after [`ROUNDS`] rounds.
fn each(op: &str, k: usize, n: usize, instructions: u64, count: usize) {
    let round = instructions / u64::from(ROUNDS);
    let each = instructions as f32 / (count as u32 * ROUNDS) as f32;
    println!("{{\"op\":\"{op}\",\"k\":{k},\"n\":{n},\"tokens\":1,\"instructions\":{round},\"per_mac\":{each:.3}}}");
}

fn attention(kernels: &Functions, memory: &mut Memory, counter: &mut Counter, head_dim: usize, random: &mut Random) {
    const KEYS: usize = 64;
    let Memory { portable, scales, quantized: [query, _], integers: [integers, _], weights: [weights, _], .. } = memory;
    portable.0.iter_mut().for_each(|x| *x = random.next() as u8);
    scales.iter_mut().for_each(|scale| *scale = 0.01 + 0.002 * random.unit());
    query.0.iter_mut().for_each(|q| *q = random.next() as i16 >> 5);
    let stride = 4 * head_dim;
    let bytes = crate::conformance::as_signed(&portable.0[..KEYS * stride]);
    let keys = KeyRows { values: bytes, stride, offset: head_dim, scales: &scales[..KEYS] };
    let values = ValueBlocks { values: bytes.as_chunks::<4>().0, stride, offset: head_dim };
    let (scores, sums) = integers.split_at_mut(KEYS);
    let (query, sums, weights) = (&query.0[..head_dim], &mut sums[..head_dim], &mut weights.0[..KEYS]);
    let mut work = [0; 3];
    for _ in 0..ROUNDS {
        let (largest, one) = counter.count(|| (kernels.scores)(query, 12, &keys, scores));
        let (norm, two) = counter.count(|| (kernels.softmax_weights)(scores, largest, &scales[..KEYS], weights));
        let ((), three) = counter.count(|| (kernels.weighted_value_sum)(weights, &values, sums));
        black_box((norm, &*sums));
        work.iter_mut().zip([one, two, three]).for_each(|(sum, part)| *sum += part);
    }
    each("scores", head_dim, KEYS, work[0], KEYS * head_dim);
    each("softmax", head_dim, KEYS, work[1], KEYS);
    each("value_sum", head_dim, KEYS, work[2], KEYS * head_dim);
}

fn elementwise(kernels: &Functions, memory: &mut Memory, counter: &mut Counter, random: &mut Random) {
    let Memory { x, out: [out, _], quantized: [quantized, _], in_scale, .. } = memory;
    x.iter_mut().for_each(|x| *x = random.unit() * 6.0);
    let (gate, up) = x[..2 * K].split_at(K);
    let mut rounds = |op: &str, work: &mut dyn FnMut()| {
        let ((), instructions) = counter.count(|| (0..ROUNDS).for_each(|_| work()));
        each(op, K, 1, instructions, K);
    };
    rounds("quantize", &mut || {
        black_box((kernels.quantize)(black_box(gate), &[], &mut quantized.0[..K]));
    });
    rounds("rms_norm", &mut || (kernels.rms_norm)(black_box(gate), &in_scale[..K], 1.0e-5, &mut out[..K]));
    rounds("silu_gate", &mut || (kernels.gate)(Activation::Silu, black_box(gate), up, &mut out[..K]));
    rounds("gelu_tanh", &mut || (kernels.activate)(Activation::GeluTanh, black_box(&mut out[..K])));
    rounds("exp", &mut || {
        black_box(black_box(gate).iter().fold(0u32, |sum, &x| sum.wrapping_add(attoformer::internals::numeric::exp_neg_q30(x))));
    });
}
