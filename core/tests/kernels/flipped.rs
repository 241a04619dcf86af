//! Scalar's kernels, each with the lowest bit of one result flipped.

use super::SCALAR;
use attoformer::kernels::{Functions, SoftmaxNorm};

fn flip(out: &mut [f32]) {
    if let Some(last) = out.last_mut() {
        *last = f32::from_bits(last.to_bits() ^ 1);
    }
}

fn flip_first(out: &mut [f32]) {
    flip(out.get_mut(..1).unwrap_or_default());
}

pub fn sets() -> [(&'static str, Functions); 26] {
    [
        (
            "quantize",
            Functions {
                quantize: |x, in_scale, out| {
                    let scale = (SCALAR.quantize)(x, in_scale, out);
                    out.iter_mut().take(1).for_each(|q| *q ^= 1);
                    scale
                },
                ..*SCALAR
            },
        ),
        (
            "quantize",
            Functions { quantize: |x, in_scale, out| f32::from_bits((SCALAR.quantize)(x, in_scale, out).to_bits() ^ 1), ..*SCALAR },
        ),
        ("matmul_i8", Functions { matmul_i8: |m, x, out| ((SCALAR.matmul_i8)(m, x, out), flip(out)).1, ..*SCALAR }),
        (
            "quantize_a12",
            Functions {
                quantize_a12: |x, in_scale, out| {
                    let scale = (SCALAR.quantize_a12)(x, in_scale, out);
                    out.iter_mut().take(1).for_each(|q| *q ^= 1);
                    scale
                },
                ..*SCALAR
            },
        ),
        (
            "quantize_a12",
            Functions { quantize_a12: |x, in_scale, out| f32::from_bits((SCALAR.quantize_a12)(x, in_scale, out).to_bits() ^ 1), ..*SCALAR },
        ),
        ("matmul_i8_a12", Functions { matmul_i8_a12: |m, x, out| ((SCALAR.matmul_i8_a12)(m, x, out), flip(out)).1, ..*SCALAR }),
        ("matmul_i4", Functions { matmul_i4: |m, x, out| ((SCALAR.matmul_i4)(m, x, out), flip(out)).1, ..*SCALAR }),
        ("matmul_f16", Functions { matmul_f16: |m, x, out| ((SCALAR.matmul_f16)(m, x, out), flip(out)).1, ..*SCALAR }),
        ("matmul_f32", Functions { matmul_f32: |m, x, out| ((SCALAR.matmul_f32)(m, x, out), flip(out)).1, ..*SCALAR }),
        ("quantize_query", Functions { quantize_query: |x, factor, out| (SCALAR.quantize_query)(x, factor, out) ^ 1, ..*SCALAR }),
        (
            "scores_tile",
            Functions {
                scores_tile: |queries, keys, stride, out, largest| {
                    (SCALAR.scores_tile)(queries, keys, stride, out, largest);
                    largest.iter_mut().take(1).for_each(|largest| *largest ^= 1);
                },
                ..*SCALAR
            },
        ),
        (
            "scores_tile",
            Functions {
                scores_tile: |queries, keys, stride, out, largest| {
                    (SCALAR.scores_tile)(queries, keys, stride, out, largest);
                    out.iter_mut().take(1).for_each(|score| *score ^= 1);
                },
                ..*SCALAR
            },
        ),
        (
            "weighted_value_sum_tile",
            Functions {
                weighted_value_sum_tile: |weights, stride, values, head_dim, out| {
                    (SCALAR.weighted_value_sum_tile)(weights, stride, values, head_dim, out);
                    out.iter_mut().take(1).for_each(|sum| *sum ^= 1);
                },
                ..*SCALAR
            },
        ),
        (
            "layer_norm",
            Functions { layer_norm: |x, scale, bias, eps, out| ((SCALAR.layer_norm)(x, scale, bias, eps, out), flip(out)).1, ..*SCALAR },
        ),
        ("scores", Functions { scores: |q, exponent, keys, out| (SCALAR.scores)(q, exponent, keys, out) ^ 1, ..*SCALAR }),
        (
            "softmax_weights",
            Functions {
                softmax_weights: |scores, largest, scales, out| {
                    let norm = (SCALAR.softmax_weights)(scores, largest, scales, out);
                    SoftmaxNorm { sum: norm.sum ^ 1, ..norm }
                },
                ..*SCALAR
            },
        ),
        (
            "softmax_weights",
            Functions {
                softmax_weights: |scores, largest, scales, out| {
                    let norm = (SCALAR.softmax_weights)(scores, largest, scales, out);
                    out.iter_mut().take(1).for_each(|w| *w ^= 1);
                    norm
                },
                ..*SCALAR
            },
        ),
        (
            "weighted_value_sum",
            Functions {
                weighted_value_sum: |weights, values, out| {
                    (SCALAR.weighted_value_sum)(weights, values, out);
                    out.iter_mut().take(1).for_each(|sum| *sum ^= 1);
                },
                ..*SCALAR
            },
        ),
        (
            "scores_f32",
            Functions {
                scores_f32: |q, k, scale, stride, out| ((SCALAR.scores_f32)(q, k, scale, stride, out), flip_first(out)).1,
                ..*SCALAR
            },
        ),
        (
            "scores_f16",
            Functions {
                scores_f16: |q, k, scale, stride, out| ((SCALAR.scores_f16)(q, k, scale, stride, out), flip_first(out)).1,
                ..*SCALAR
            },
        ),
        ("softmax_float", Functions { softmax_float: |scores| (SCALAR.softmax_float)(scores) ^ 1, ..*SCALAR }),
        (
            "add_values_f32",
            Functions { add_values_f32: |w, v, stride, out| ((SCALAR.add_values_f32)(w, v, stride, out), flip_first(out)).1, ..*SCALAR },
        ),
        (
            "add_values_f16",
            Functions { add_values_f16: |w, v, stride, out| ((SCALAR.add_values_f16)(w, v, stride, out), flip_first(out)).1, ..*SCALAR },
        ),
        ("rms_norm", Functions { rms_norm: |x, scale, eps, out| ((SCALAR.rms_norm)(x, scale, eps, out), flip(out)).1, ..*SCALAR }),
        ("activate", Functions { activate: |of, x| ((SCALAR.activate)(of, x), flip(x)).1, ..*SCALAR }),
        ("gate", Functions { gate: |of, gate, up, out| ((SCALAR.gate)(of, gate, up, out), flip(out)).1, ..*SCALAR }),
    ]
}
