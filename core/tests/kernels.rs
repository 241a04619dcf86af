//! Every kernel set that this CPU has, against the scalar one: equal in every bit, over edge sizes and extremes.
//!
//! A check returns the case in which two sets differ. The last test hands each check a set with one flipped bit and wants it found.

#[path = "kernels/inputs.rs"]
mod inputs;
#[path = "common/random.rs"]
mod random;

use attoformer::image::directory::{Dtype, Layout};
use attoformer::image::header::Activation;
use attoformer::kernels::{self, Kernels, KeyRows, Matrix, QuantizedRows, QueryTile, SCALAR, ValueBlocks, Weighting};
use inputs::{BYTES, Bytes, FLOATS, Floats, Owned, counts, same};
use random::Random;

/// The case that differs.
type Check = fn(&Kernels) -> Result<(), String>;

const CHECKS: [(&str, Check); 15] = [
    ("quantize", quantize),
    ("matmul_i8", matmul_i8),
    ("matmul_i4", matmul_i4),
    ("matmul_f16", matmul_f16),
    ("matmul_f32", matmul_f32),
    ("quantize_query", quantize_query),
    ("scores", scores),
    ("scores_tile", scores_tile),
    ("weights", weights),
    ("mix", mix),
    ("mix_tile", mix_tile),
    ("layer_norm", layer_norm),
    ("rms_norm", rms_norm),
    ("activate", activate),
    ("gate", gate),
];

/// Sets that this architecture's builds contain beside scalar.
const BUILT: &[&str] = if cfg!(target_arch = "x86_64") { &["avx2", "avx512-vnni"] } else { &[] };

#[test]
fn every_set_equals_scalar() {
    for name in BUILT.iter().filter(|name| kernels::by_name(name).is_none()) {
        println!("SKIPPED: this CPU does not run the {name} kernels");
    }
    for set in kernels::all() {
        for (kernel, check) in CHECKS {
            match check(set) {
                Ok(()) => println!("{} {kernel}: equal", set.name),
                Err(case) => panic!("{} {kernel} differs from scalar: {case}", set.name),
            }
        }
    }
}

fn expect(equal: bool, case: impl FnOnce() -> String) -> Result<(), String> {
    if equal { Ok(()) } else { Err(case()) }
}

fn quantize(set: &Kernels) -> Result<(), String> {
    let mut random = Random(1);
    for (count, fill) in counts().flat_map(|count| FLOATS.map(|fill| (count, fill))) {
        // Rows that begin off every alignment, too.
        let start = random.below(4);
        let x = fill.row(&mut random, start + count);
        let scaled = random.below(2) == 0;
        let in_scale = Floats::Unit.row(&mut random, if scaled { count } else { 0 });
        let picks: Vec<usize> = (0..count).take(40).chain((40..count).rev().step_by(1 + count / 40)).collect();
        let row = |set: &Kernels| {
            let mut out = vec![0x5555; count.next_multiple_of(4)];
            let scale = (set.quantize)(&x[start..], &in_scale, &mut out);
            (integers_of(set, count, &picks, &out), scale.to_bits())
        };
        expect(row(set) == row(&SCALAR), || format!("{count} of {fill:?}, input scale: {scaled}"))?;
    }
    Ok(())
}

/// Some integers of a quantized row, whose form only the set's own products know: what rows of zeros with a single one make of it. The last of
/// them has its one in the padding, where there is any, and must get a zero.
fn integers_of(set: &Kernels, count: usize, picks: &[usize], quantized: &[i16]) -> Vec<i32> {
    let stride = quantized.len();
    let places: Vec<usize> = picks.iter().copied().chain(count..stride).collect();
    let mut owned = Owned::zeros(Dtype::Int8, places.len(), stride);
    for (row, &place) in places.iter().enumerate() {
        owned.set_byte(row * stride + place, 1);
    }
    let mut out = vec![f32::MAX; places.len()];
    if stride > 0 {
        (set.matmul_i8)(&owned.view(), &QuantizedRows { values: quantized, stride, scales: &[1.0] }, &mut out);
    }
    out.iter().map(|&x| x as i32).collect()
}

/// Shapes `(rows, columns, tokens)` around tiles and lanes.
fn shapes(longest: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let small = (1..=70).flat_map(|columns| (1..=9).map(move |n| (n, columns, 1 + (n * columns) % 9)));
    let tokens = [1, 15, 16, 17, 31, 32, 33, 48, 64].into_iter().flat_map(|columns| (1..=9).map(move |n| (10 - n % 4, columns, n)));
    let long = [127, 172, 255, 256, 512, 513, 1000, 4096].into_iter().flat_map(|columns| [(3, columns, 3), (9, columns, 1)]);
    // Whole tiles of the wide kernels and beyond, and rows that they take in two parts.
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

fn integer_product(set: &Kernels, matrix: &Matrix<'_>, x: &[f32], tokens: usize) -> Vec<f32> {
    let stride = matrix.columns.next_multiple_of(4);
    let mut values = vec![0; stride * tokens];
    let mut scales = vec![0.0; tokens];
    for ((x, out), scale) in x.chunks(matrix.columns).zip(values.chunks_mut(stride)).zip(&mut scales) {
        *scale = (set.quantize)(x, &[], out);
    }
    let mut out = vec![f32::MAX; matrix.rows * tokens];
    let x = QuantizedRows { values: &values, stride, scales: &scales };
    match matrix.dtype {
        Dtype::Int4 => (set.matmul_i4)(matrix, &x, &mut out),
        _ => (set.matmul_i8)(matrix, &x, &mut out),
    }
    out
}

fn integers(set: &Kernels, dtype: Dtype, groups: &[usize], longest: usize) -> Result<(), String> {
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
                let (ours, spec) = (integer_product(set, &owned.view(), &x, tokens), integer_product(&SCALAR, &owned.view(), &x, tokens));
                expect(same(&ours, &spec), || {
                    format!("{rows} x {columns}, {tokens} tokens, group {group}, {layout:?}, {fill:?} with {xs:?}")
                })?;
            }
        }
    }
    Ok(())
}

fn matmul_i8(set: &Kernels) -> Result<(), String> {
    integers(set, Dtype::Int8, &[0], 131_072)
}

fn matmul_i4(set: &Kernels) -> Result<(), String> {
    integers(set, Dtype::Int4, &[32, 0, 64, 128, 32], 8192)
}

fn floats(set: &Kernels, dtype: Dtype, matmul: impl Fn(&Kernels, &Matrix<'_>, &[f32], &mut [f32])) -> Result<(), String> {
    let mut random = Random(3);
    for fill in FLOATS {
        for (rows, columns, tokens) in shapes(10_001) {
            let owned = Owned::floats(&mut random, dtype, fill, rows, columns);
            let x = fill.row(&mut random, columns * tokens);
            let product = |set: &Kernels| {
                let mut out = vec![f32::MAX; rows * tokens];
                matmul(set, &owned.view(), &x, &mut out);
                out
            };
            expect(same(&product(set), &product(&SCALAR)), || format!("{rows} x {columns}, {tokens} tokens, {fill:?}"))?;
        }
    }
    Ok(())
}

fn matmul_f16(set: &Kernels) -> Result<(), String> {
    floats(set, Dtype::F16, |set, matrix, x, out| (set.matmul_f16)(matrix, x, out))
}

fn matmul_f32(set: &Kernels) -> Result<(), String> {
    floats(set, Dtype::F32, |set, matrix, x, out| (set.matmul_f32)(matrix, x, out))
}

/// Scales of a cache's rows.
fn cache_scales(random: &mut Random, count: usize) -> Vec<f32> {
    let kind = random.below(4);
    let scale = |random: &mut Random| match kind {
        0 => 0.02 + random.below(1000) as f32 * 1e-5,
        1 => 2f32.powi(random.below(200) as i32 - 100) * 1.75,
        2 => random.pick(&[0.0, f32::from_bits(0x00c0_0000), 0.5, 3e38]),
        _ => 0.0,
    };
    (0..count).map(|_| scale(random)).collect()
}

fn scores(set: &Kernels) -> Result<(), String> {
    let mut random = Random(4);
    let head_dims = (1..=20).chain([24, 31, 32, 36, 40, 48, 64, 80, 96, 100, 128, 256, 512]);
    let runs = (0..=17).chain([64, 255]);
    for (head_dim, count) in head_dims.flat_map(|head_dim| runs.clone().map(move |count| (head_dim, count))).chain([(8, 4096), (64, 4096)])
    {
        let stride = (head_dim * (1 + random.below(3))).next_multiple_of(4);
        let offset = random.below(stride / head_dim) * head_dim;
        let extreme = random.below(3);
        let values: Vec<i8> = (0..count * stride).map(|_| if extreme == 0 { -128 } else { random.below(256) as u8 as i8 }).collect();
        let q: Vec<i16> = (0..head_dim).map(|_| if extreme < 2 { -2048 } else { random.below(4097) as i16 - 2048 }).collect();
        let scales = cache_scales(&mut random, count);
        let exponent = random.below(260) as i32 - 130;
        let keys = KeyRows { values: &values, stride, offset, scales: &scales };
        let run = |set: &Kernels| {
            // Room for more keys than there are: it must stay as it is.
            let mut out = vec![0x5555_5555; count + count % 3];
            let largest = (set.scores)(&q, exponent, &keys, &mut out);
            (out, largest)
        };
        expect(run(set) == run(&SCALAR), || format!("{count} keys, head {head_dim} at {offset} of {stride}, exponent {exponent}"))?;
    }
    Ok(())
}

fn quantize_query(set: &Kernels) -> Result<(), String> {
    let mut random = Random(10);
    for (count, fill) in counts().flat_map(|count| FLOATS.map(|fill| (count, fill))) {
        let x = fill.row(&mut random, count);
        let factor = random.pick(&[0.18, 1.0, 1e-30, 3e38]);
        let row = |set: &Kernels| {
            // Room for more than the query: it must stay as it is.
            let mut out = vec![0x5555; count + count % 3];
            let exponent = (set.quantize_query)(&x, factor, &mut out);
            (out, exponent)
        };
        expect(row(set) == row(&SCALAR), || format!("{count} of {fill:?} times {factor}"))?;
    }
    Ok(())
}

fn scores_tile(set: &Kernels) -> Result<(), String> {
    let mut random = Random(11);
    let head_dims = [1, 4, 8, 15, 16, 17, 32, 48, 64, 80, 96, 128, 256, 272, 512];
    let shapes = head_dims.into_iter().flat_map(|head_dim| (0..=19).chain([31, 32, 33, 250]).map(move |count| (head_dim, count)));
    for (head_dim, count) in shapes.chain([(64, 4096), (64, 1500)]) {
        let queries = random.below(19);
        let stride = (head_dim * (1 + random.below(3))).next_multiple_of(4);
        let offset = random.below(stride / head_dim) * head_dim;
        let extreme = random.below(3);
        let values: Vec<i8> = (0..count * stride).map(|_| if extreme == 0 { -128 } else { random.below(256) as u8 as i8 }).collect();
        let q: Vec<i16> = (0..queries * head_dim).map(|_| if extreme < 2 { -2048 } else { random.below(4097) as i16 - 2048 }).collect();
        let scales = cache_scales(&mut random, count);
        let exponents: Vec<i32> = (0..queries).map(|_| random.below(260) as i32 - 130).collect();
        let all = random.below(2) == 0;
        let seen: Vec<usize> = (0..queries).map(|_| if all { count } else { random.below(count + 1) }).collect();
        let keys = KeyRows { values: &values, stride, offset, scales: &scales };
        let tile = QueryTile { values: &q, head_dim, exponents: &exponents, seen: &seen };
        let room = count + random.below(4);
        let run = |set: &Kernels| {
            let (mut out, mut largest) = (vec![0x5555_5555; queries * room], vec![0x5555; queries]);
            (set.scores_tile)(&tile, &keys, room, &mut out, &mut largest);
            // What a query does not see may hold anything.
            let seen: Vec<i32> = out.chunks(room.max(1)).zip(&seen).flat_map(|(row, &seen)| row[..seen].to_vec()).collect();
            (seen, largest)
        };
        expect(run(set) == run(&SCALAR), || format!("{queries} queries, {count} keys, head {head_dim} at {offset} of {stride}"))?;
    }
    Ok(())
}

fn mix_tile(set: &Kernels) -> Result<(), String> {
    let mut random = Random(12);
    let head_dims = [1, 4, 8, 15, 16, 17, 31, 32, 33, 48, 64, 80, 96, 128, 200];
    let shapes = head_dims.into_iter().flat_map(|head_dim| (0usize..=13).chain([61, 64]).map(move |count| (head_dim, count)));
    for (head_dim, count) in shapes.chain([(64, 4096), (64, 1500)]) {
        let queries = random.below(19);
        let stride = (head_dim * (1 + random.below(3))).next_multiple_of(4);
        let offset = random.below(stride / head_dim) * head_dim;
        let extreme = random.below(2) == 0;
        let value = |random: &mut Random| if extreme { -128 } else { random.below(256) as u8 as i8 };
        let blocks = count.div_ceil(4) + random.below(2);
        let values: Vec<[i8; 4]> = (0..blocks * stride).map(|_| [(); 4].map(|()| value(&mut random))).collect();
        let weights: Vec<i16> = (0..queries * count).map(|_| if extreme { 4095 } else { random.below(4096) as i16 }).collect();
        let values = ValueBlocks { values: &values, stride, offset };
        let run = |set: &Kernels| {
            let mut out = vec![0x5555_5555; queries * head_dim];
            (set.mix_tile)(&weights, count, &values, head_dim, &mut out);
            out
        };
        expect(run(set) == run(&SCALAR), || format!("{queries} queries, {count} keys, head {head_dim} at {offset} of {stride}"))?;
    }
    Ok(())
}

fn weights(set: &Kernels) -> Result<(), String> {
    let mut random = Random(5);
    for count in (0..=40).chain([63, 64, 65, 255, 256, 4095, 4096, 10_000]) {
        for spread in [1usize, 1 << 10, 1 << 16, 1 << 20, 1 << 26, 1 << 30] {
            let scores: Vec<i32> = (0..count).map(|_| random.below(spread) as i32 - (spread / 3) as i32).collect();
            let largest = scores.iter().copied().max().unwrap_or(i32::MIN);
            let behind = random.below(2);
            let scales = cache_scales(&mut random, count + behind);
            let room = count.next_multiple_of(4) + 4 * random.below(3);
            let run = |set: &Kernels| {
                let (mut scores, mut out) = (scores.clone(), vec![0x5555; room]);
                let weighting = (set.weights)(&mut scores, largest, &scales, &mut out);
                (weighting, out)
            };
            expect(run(set) == run(&SCALAR), || format!("{count} keys, spread {spread}"))?;
        }
    }
    Ok(())
}

fn mix(set: &Kernels) -> Result<(), String> {
    let mut random = Random(6);
    let head_dims = (1..=20).chain([31, 32, 33, 40, 48, 63, 64, 80, 96, 127, 128, 200, 512]);
    let runs = (0usize..=13).chain([61, 64]);
    for (head_dim, count) in head_dims.flat_map(|head_dim| runs.clone().map(move |count| (head_dim, count))).chain([(8, 4096), (64, 4096)])
    {
        let stride = (head_dim * (1 + random.below(3))).next_multiple_of(4);
        let offset = random.below(stride / head_dim) * head_dim;
        let extreme = random.below(2) == 0;
        let value = |random: &mut Random| if extreme { -128 } else { random.below(256) as u8 as i8 };
        let blocks = count.div_ceil(4) + random.below(2);
        let values: Vec<[i8; 4]> = (0..blocks * stride).map(|_| [(); 4].map(|()| value(&mut random))).collect();
        let weights: Vec<i16> = (0..count).map(|_| if extreme { 4095 } else { random.below(4096) as i16 }).collect();
        let values = ValueBlocks { values: &values, stride, offset };
        let run = |set: &Kernels| {
            let mut out = vec![0x5555_5555; head_dim];
            (set.mix)(&weights, &values, &mut out);
            out
        };
        expect(run(set) == run(&SCALAR), || format!("{count} keys, head {head_dim} at {offset} of {stride}, extreme: {extreme}"))?;
    }
    Ok(())
}

fn layer_norm(set: &Kernels) -> Result<(), String> {
    let mut random = Random(13);
    for (count, fill) in counts().flat_map(|count| FLOATS.map(|fill| (count, fill))) {
        let x = fill.row(&mut random, count);
        let (scale, bias) = (Floats::Unit.row(&mut random, count), Floats::Unit.row(&mut random, count));
        let row = |set: &Kernels| {
            let mut out = vec![f32::MAX; count];
            (set.layer_norm)(&x, &scale, &bias, 1e-5, &mut out);
            out
        };
        expect(same(&row(set), &row(&SCALAR)), || format!("{count} of {fill:?}"))?;
    }
    Ok(())
}

fn rms_norm(set: &Kernels) -> Result<(), String> {
    let mut random = Random(7);
    for (count, fill) in counts().flat_map(|count| FLOATS.map(|fill| (count, fill))) {
        let (x, scale) = (fill.row(&mut random, count), Floats::Unit.row(&mut random, count));
        let row = |set: &Kernels| {
            let mut out = vec![f32::MAX; count];
            (set.rms_norm)(&x, &scale, 1e-5, &mut out);
            out
        };
        expect(same(&row(set), &row(&SCALAR)), || format!("{count} of {fill:?}"))?;
    }
    Ok(())
}

/// Rows of every length and kind, then one that walks through all floats from -infinity to infinity.
fn activation_rows() -> impl Iterator<Item = Vec<f32>> {
    let mut random = Random(8);
    let rows = counts().flat_map(|count| FLOATS.map(|fill| (count, fill))).map(move |(count, fill)| fill.row(&mut random, count));
    let walk = (0..u32::MAX / 4093).map(|step| f32::from_bits(step * 4093)).filter(|x| !x.is_nan()).collect();
    rows.chain([walk])
}

const ACTIVATIONS: [Activation; 4] = [Activation::Relu, Activation::GeluTanh, Activation::Silu, Activation::GeluErf];

fn activate(set: &Kernels) -> Result<(), String> {
    for (x, of) in activation_rows().flat_map(|x| ACTIVATIONS.map(|of| (x.clone(), of))) {
        let row = |set: &Kernels| {
            let mut x = x.clone();
            (set.activate)(of, &mut x);
            x
        };
        expect(same(&row(set), &row(&SCALAR)), || format!("{of:?} of {} values", x.len()))?;
    }
    Ok(())
}

fn gate(set: &Kernels) -> Result<(), String> {
    let mut random = Random(9);
    for (x, of) in activation_rows().flat_map(|x| ACTIVATIONS.map(|of| (x.clone(), of))) {
        let up = Floats::Wide.row(&mut random, x.len());
        let row = |set: &Kernels| {
            let mut out = vec![f32::MAX; x.len()];
            (set.gate)(of, &x, &up, &mut out);
            out
        };
        expect(same(&row(set), &row(&SCALAR)), || format!("{of:?} of {} values", x.len()))?;
    }
    Ok(())
}

/// Scalar's kernels, each with the lowest bit of one result flipped.
mod flipped {
    use super::*;

    fn flip(out: &mut [f32]) {
        if let Some(last) = out.last_mut() {
            *last = f32::from_bits(last.to_bits() ^ 1);
        }
    }

    pub fn sets() -> [(&'static str, Kernels); 18] {
        [
            (
                "quantize",
                Kernels {
                    quantize: |x, in_scale, out| {
                        let scale = (SCALAR.quantize)(x, in_scale, out);
                        out.iter_mut().take(1).for_each(|q| *q ^= 1);
                        scale
                    },
                    ..SCALAR
                },
            ),
            (
                "quantize",
                Kernels { quantize: |x, in_scale, out| f32::from_bits((SCALAR.quantize)(x, in_scale, out).to_bits() ^ 1), ..SCALAR },
            ),
            ("matmul_i8", Kernels { matmul_i8: |m, x, out| ((SCALAR.matmul_i8)(m, x, out), flip(out)).1, ..SCALAR }),
            ("matmul_i4", Kernels { matmul_i4: |m, x, out| ((SCALAR.matmul_i4)(m, x, out), flip(out)).1, ..SCALAR }),
            ("matmul_f16", Kernels { matmul_f16: |m, x, out| ((SCALAR.matmul_f16)(m, x, out), flip(out)).1, ..SCALAR }),
            ("matmul_f32", Kernels { matmul_f32: |m, x, out| ((SCALAR.matmul_f32)(m, x, out), flip(out)).1, ..SCALAR }),
            ("quantize_query", Kernels { quantize_query: |x, factor, out| (SCALAR.quantize_query)(x, factor, out) ^ 1, ..SCALAR }),
            (
                "scores_tile",
                Kernels {
                    scores_tile: |queries, keys, stride, out, largest| {
                        (SCALAR.scores_tile)(queries, keys, stride, out, largest);
                        largest.iter_mut().take(1).for_each(|largest| *largest ^= 1);
                    },
                    ..SCALAR
                },
            ),
            (
                "scores_tile",
                Kernels {
                    scores_tile: |queries, keys, stride, out, largest| {
                        (SCALAR.scores_tile)(queries, keys, stride, out, largest);
                        out.iter_mut().take(1).for_each(|score| *score ^= 1);
                    },
                    ..SCALAR
                },
            ),
            (
                "mix_tile",
                Kernels {
                    mix_tile: |weights, stride, values, head_dim, out| {
                        (SCALAR.mix_tile)(weights, stride, values, head_dim, out);
                        out.iter_mut().take(1).for_each(|sum| *sum ^= 1);
                    },
                    ..SCALAR
                },
            ),
            (
                "layer_norm",
                Kernels { layer_norm: |x, scale, bias, eps, out| ((SCALAR.layer_norm)(x, scale, bias, eps, out), flip(out)).1, ..SCALAR },
            ),
            ("scores", Kernels { scores: |q, exponent, keys, out| (SCALAR.scores)(q, exponent, keys, out) ^ 1, ..SCALAR }),
            (
                "weights",
                Kernels {
                    weights: |scores, largest, scales, out| {
                        let weighting = (SCALAR.weights)(scores, largest, scales, out);
                        Weighting { sum: weighting.sum ^ 1, ..weighting }
                    },
                    ..SCALAR
                },
            ),
            (
                "weights",
                Kernels {
                    weights: |scores, largest, scales, out| {
                        let weighting = (SCALAR.weights)(scores, largest, scales, out);
                        out.iter_mut().take(1).for_each(|w| *w ^= 1);
                        weighting
                    },
                    ..SCALAR
                },
            ),
            (
                "mix",
                Kernels {
                    mix: |weights, values, out| {
                        (SCALAR.mix)(weights, values, out);
                        out.iter_mut().take(1).for_each(|sum| *sum ^= 1);
                    },
                    ..SCALAR
                },
            ),
            ("rms_norm", Kernels { rms_norm: |x, scale, eps, out| ((SCALAR.rms_norm)(x, scale, eps, out), flip(out)).1, ..SCALAR }),
            ("activate", Kernels { activate: |of, x| ((SCALAR.activate)(of, x), flip(x)).1, ..SCALAR }),
            ("gate", Kernels { gate: |of, gate, up, out| ((SCALAR.gate)(of, gate, up, out), flip(out)).1, ..SCALAR }),
        ]
    }
}

#[test]
fn one_flipped_bit_is_found() {
    for (kernel, set) in flipped::sets() {
        let (_, check) = CHECKS.into_iter().find(|(name, _)| *name == kernel).expect("every kernel has a check");
        assert!(check(&set).is_err(), "a flipped bit in {kernel} passed");
    }
}
