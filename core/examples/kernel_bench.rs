//! Times every kernel set of this CPU against the scalar set, in one run: `cargo run --release -p attoformer --example kernel_bench`.
//!
//! A word after `--` selects operations whose name contains it. Each figure is the best of many short rounds; the sets take turns, so that a ratio holds on a busy machine too.

use attoformer::image::Activation;
use attoformer::image::{Dtype, Layout};
use attoformer::kernels::float_cache::{FloatKeys, FloatTile, FloatValues};
use attoformer::kernels::{self, ActivationBits, Functions, Kernels, KeyRows, Matrix, QuantizedRows, QueryTile, ValueBlocks};
use std::hint::black_box;
use std::time::Instant;

fn main() {
    let sets: Vec<&Functions> = kernels::all().map(Kernels::functions).collect();
    let names: Vec<&str> = sets.iter().map(|set| set.name).collect();
    println!("{:34} {:>12}", "operation", names.join(" / "));
    let decoders = [(64, 64, 1), (344, 64, 1), (512, 64, 1), (64, 172, 1), (1024, 1024, 1), (4096, 4096, 1), (64, 64, 8), (1024, 1024, 8)];
    let encoders = [(384, 384, 8), (1152, 384, 64), (384, 1536, 64), (576, 576, 64), (576, 1536, 64), (576, 1536, 256), (8192, 576, 64)];
    for (rows, columns, tokens) in decoders.into_iter().chain(encoders) {
        products(&sets, Dtype::Int8, ActivationBits::Twelve, (rows, columns, tokens));
        for dtype in [Dtype::Int8, Dtype::Int4, Dtype::F16, Dtype::F32] {
            products(&sets, dtype, ActivationBits::Eight, (rows, columns, tokens));
        }
    }
    for count in [64, 172, 1024] {
        rows(&sets, count);
    }
    for (head_dim, keys) in [(8, 32), (8, 256), (32, 256), (64, 256)] {
        attention(&sets, head_dim, keys);
    }
    for (head_dim, keys) in [(32, 128), (64, 1500)] {
        attention_of_eight(&sets, head_dim, keys);
        for queries in [1, 4, 8] {
            float_attention(&sets, queries, head_dim, keys);
        }
    }
}

/// Best time of one call in nanoseconds, for each set in turn, and its ratio to the first. `work` is in multiply-accumulates, 0 for none.
fn report(name: &str, sets: &[&Functions], work: usize, mut call: impl FnMut(&Functions)) {
    if std::env::args().nth(1).is_some_and(|word| !name.contains(&word)) {
        return;
    }
    let mut best = vec![f64::INFINITY; sets.len()];
    for _ in 0..40 {
        for (best, set) in best.iter_mut().zip(sets) {
            let (mut calls, start) = (0u32, Instant::now());
            while start.elapsed().as_micros() < 300 {
                for _ in 0..4 {
                    call(set);
                }
                calls += 4;
            }
            *best = best.min(start.elapsed().as_nanos() as f64 / f64::from(calls));
        }
    }
    print!("{name:34}");
    for time in &best {
        print!(" {time:12.1} ns ({:5.2}x", best[0] / time);
        if work > 0 {
            print!(", {:6.2} MAC/ns", work as f64 / time);
        }
        print!(")");
    }
    println!();
}

fn floats(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn products(sets: &[&Functions], dtype: Dtype, bits: ActivationBits, (rows, columns, tokens): (usize, usize, usize)) {
    let (row_bytes, name) = match dtype {
        Dtype::Int8 if bits == ActivationBits::Twelve => (columns.next_multiple_of(4), "matmul_i8_a12"),
        Dtype::Int8 => (columns.next_multiple_of(4), "matmul_i8"),
        Dtype::Int4 => (columns.div_ceil(2).next_multiple_of(4), "matmul_i4"),
        Dtype::F16 => ((columns * 2).next_multiple_of(4), "matmul_f16"),
        _ => (columns * 4, "matmul_f32"),
    };
    // Words like 0x3c3c3c3c are finite in every type.
    let words = vec![0x2c3a_3b1eu32; rows * row_bytes / 4];
    let values: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    // An address that is aligned for every element type.
    let mut padded = vec![0; values.len() + 64];
    let start = padded.as_ptr().align_offset(64);
    padded[start..start + values.len()].copy_from_slice(&values);
    let (scales, group_scales) = (vec![0.01; rows], vec![7; rows * columns.div_ceil(32)]);
    let matrix = Matrix {
        dtype,
        layout: Layout::Portable,
        rows,
        columns,
        row_bytes,
        values: &padded[start..start + values.len()],
        scales: &scales,
        group_scales: &group_scales,
        group: 32,
        bias: &[],
    };
    let x = floats(tokens * columns, 1);
    let stride = columns.next_multiple_of(4);
    let (values, scales) = (vec![3; tokens * stride], vec![0.02; tokens]);
    let mut out = vec![0.0; rows * tokens];
    report(&format!("{name} {rows}x{columns}, {tokens} tokens"), sets, rows * columns * tokens, |set| match dtype {
        Dtype::F16 => (set.matmul_f16)(&matrix, black_box(&x), &mut out),
        Dtype::Int8 | Dtype::Int4 => {
            let x = QuantizedRows { values: black_box(&values), stride, scales: &scales, bits };
            match (dtype, bits) {
                (Dtype::Int4, _) => (set.matmul_i4)(&matrix, &x, &mut out),
                (_, ActivationBits::Eight) => (set.matmul_i8)(&matrix, &x, &mut out),
                (_, ActivationBits::Twelve) => (set.matmul_i8_a12)(&matrix, &x, &mut out),
            }
        }
        _ => (set.matmul_f32)(&matrix, black_box(&x), &mut out),
    });
}

fn rows(sets: &[&Functions], count: usize) {
    let (x, up, mut out) = (floats(count, 2), floats(count, 3), vec![0.0; count]);
    let mut quantized = vec![0; count.next_multiple_of(4)];
    report(&format!("quantize {count}"), sets, 0, |set| {
        black_box((set.quantize)(black_box(&x), &[], &mut quantized));
    });
    report(&format!("quantize_query {count}"), sets, 0, |set| {
        black_box((set.quantize_query)(black_box(&x), 0.18, &mut quantized));
    });
    report(&format!("layer_norm {count}"), sets, 0, |set| (set.layer_norm)(black_box(&x), &up, &up, 1e-5, &mut out));
    report(&format!("rms_norm {count}"), sets, 0, |set| (set.rms_norm)(black_box(&x), &up, 1e-5, &mut out));
    report(&format!("gate silu {count}"), sets, 0, |set| (set.gate)(Activation::Silu, black_box(&x), &up, &mut out));
    report(&format!("gate erf {count}"), sets, 0, |set| (set.gate)(Activation::GeluErf, black_box(&x), &up, &mut out));
    report(&format!("gate gelu {count}"), sets, 0, |set| (set.gate)(Activation::GeluTanh, black_box(&x), &up, &mut out));
}

/// Eight queries to which all keys are visible.
fn attention_of_eight(sets: &[&Functions], head_dim: usize, keys: usize) {
    const QUERIES: usize = 8;
    let stride = head_dim * 6;
    let integers = |seed| floats(keys * stride, seed).iter().map(|x| (x * 127.0) as i8).collect::<Vec<i8>>();
    let (key_values, values) = (integers(4), integers(5));
    let (values, _) = values.as_chunks::<4>();
    let scales: Vec<f32> = floats(keys, 6).iter().map(|x| 0.02 + x * 0.01).collect();
    let q: Vec<i16> = floats(QUERIES * head_dim, 7).iter().map(|x| (x * 2047.0) as i16).collect();
    let rows = KeyRows { values: &key_values, stride, offset: head_dim, scales: &scales };
    let tile = QueryTile { values: &q, head_dim, exponents: &[12; QUERIES], visible: &[keys; QUERIES] };
    let blocks = ValueBlocks { values, stride, offset: head_dim };
    let (mut scores, mut largest) = (vec![0; QUERIES * keys], [0; QUERIES]);
    let work = QUERIES * keys * head_dim;
    report(&format!("scores of {QUERIES}, {keys} keys, head {head_dim}"), sets, work, |set| {
        (set.scores_tile)(black_box(&tile), &rows, keys, &mut scores, &mut largest);
    });
    let weights: Vec<i16> = floats(QUERIES * keys, 8).iter().map(|x| (x * 2047.0 + 2048.0) as i16).collect();
    let mut sums = vec![0; QUERIES * head_dim];
    report(&format!("value sum of {QUERIES}, {keys} keys, head {head_dim}"), sets, work, |set| {
        (set.weighted_value_sum_tile)(black_box(&weights), keys, &blocks, head_dim, &mut sums);
    });
}

/// Queries to which all keys of an f32 cache are visible.
fn float_attention(sets: &[&Functions], queries: usize, head_dim: usize, keys: usize) {
    let stride = head_dim * 3;
    let (key_values, values, q) = (floats(keys * stride, 4), floats(keys * stride, 5), floats(queries * stride, 6));
    let (values, _) = values.as_chunks::<4>();
    let visible = vec![keys; queries];
    let (mut scores, mut sums) = (vec![0.0; queries * keys], vec![0.0; queries * stride]);
    let work = queries * keys * head_dim;
    let tile = FloatTile { values: &q, stride, visible: &visible };
    let rows = FloatKeys { values: &key_values, stride, offset: head_dim, head_dim };
    report(&format!("f32 scores of {queries}, {keys} keys, head {head_dim}"), sets, work, |set| {
        (set.scores_f32)(black_box(&tile), &rows, 0.125, keys, &mut scores);
    });
    let fresh = scores.clone();
    report(&format!("f32 softmax of {queries}, {keys} keys"), sets, queries * keys, |set| {
        scores.copy_from_slice(&fresh);
        scores.chunks_mut(keys).for_each(|scores| assert!(black_box((set.softmax_float)(scores)) > 0));
    });
    let weights = FloatTile { values: &scores, stride: keys, visible: &visible };
    let blocks = FloatValues { values, stride, offset: head_dim, head_dim, first: 0 };
    report(&format!("f32 value sum of {queries}, {keys} keys, head {head_dim}"), sets, work, |set| {
        (set.add_values_f32)(black_box(&weights), &blocks, stride, &mut sums);
    });
}

fn attention(sets: &[&Functions], head_dim: usize, keys: usize) {
    let stride = head_dim * 4;
    let integers = |seed| floats(keys * stride, seed).iter().map(|x| (x * 127.0) as i8).collect::<Vec<i8>>();
    let (key_values, values) = (integers(4), integers(5));
    let (values, _) = values.as_chunks::<4>();
    let scales: Vec<f32> = floats(keys, 6).iter().map(|x| 0.02 + x * 0.01).collect();
    let q: Vec<i16> = floats(head_dim, 7).iter().map(|x| (x * 2047.0) as i16).collect();
    let rows = KeyRows { values: &key_values, stride, offset: head_dim, scales: &scales };
    let blocks = ValueBlocks { values, stride, offset: head_dim };
    let (mut scores, mut weights, mut sums) = (vec![0; keys], vec![0; keys], vec![0; head_dim]);
    report(&format!("scores {keys} keys, head {head_dim}"), sets, keys * head_dim, |set| {
        black_box((set.scores)(black_box(&q), 12, &rows, &mut scores));
    });
    let (fresh, largest) = (scores.clone(), scores.iter().copied().max().unwrap_or_default());
    report(&format!("softmax weights {keys} keys"), sets, 0, |set| {
        scores.copy_from_slice(&fresh);
        black_box((set.softmax_weights)(&mut scores, largest, black_box(&scales), &mut weights));
    });
    report(&format!("value sum {keys} keys, head {head_dim}"), sets, keys * head_dim, |set| {
        (set.weighted_value_sum)(black_box(&weights), &blocks, &mut sums)
    });
}
