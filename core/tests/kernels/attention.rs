//! Attention: scores, softmax weights and weighted sums of values.

use attoformer::kernels::{Functions, KeyRows, QueryTile, ValueBlocks};

use super::inputs::{FLOATS, counts};
use super::random::Random;
use super::{SCALAR, expect};

/// Scales of the rows of a KV cache.
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

pub fn scores(set: &Functions) -> Result<(), String> {
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
        let run = |set: &Functions| {
            // Space for more keys than exist: it must not change.
            let mut out = vec![0x5555_5555; count + count % 3];
            let largest = (set.scores)(&q, exponent, &keys, &mut out);
            (out, largest)
        };
        expect(run(set) == run(SCALAR), || format!("{count} keys, head {head_dim} at {offset} of {stride}, exponent {exponent}"))?;
    }
    Ok(())
}

pub fn quantize_query(set: &Functions) -> Result<(), String> {
    let mut random = Random(10);
    for (count, fill) in counts().flat_map(|count| FLOATS.map(|fill| (count, fill))) {
        let x = fill.row(&mut random, count);
        let factor = random.pick(&[0.18, 1.0, 1e-30, 3e38]);
        let row = |set: &Functions| {
            // Space for more than the query: it must not change.
            let mut out = vec![0x5555; count + count % 3];
            let exponent = (set.quantize_query)(&x, factor, &mut out);
            (out, exponent)
        };
        expect(row(set) == row(SCALAR), || format!("{count} of {fill:?} times {factor}"))?;
    }
    Ok(())
}

pub fn scores_tile(set: &Functions) -> Result<(), String> {
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
        let visible: Vec<usize> = (0..queries).map(|_| if all { count } else { random.below(count + 1) }).collect();
        let keys = KeyRows { values: &values, stride, offset, scales: &scales };
        let tile = QueryTile { values: &q, head_dim, exponents: &exponents, visible: &visible };
        let room = count + random.below(4);
        let run = |set: &Functions| {
            let (mut out, mut largest) = (vec![0x5555_5555; queries * room], vec![0x5555; queries]);
            (set.scores_tile)(&tile, &keys, room, &mut out, &mut largest);
            // Scores of keys that are not visible to a query may be anything.
            let scores: Vec<i32> = out.chunks(room.max(1)).zip(&visible).flat_map(|(row, &visible)| row[..visible].to_vec()).collect();
            (scores, largest)
        };
        expect(run(set) == run(SCALAR), || format!("{queries} queries, {count} keys, head {head_dim} at {offset} of {stride}"))?;
    }
    Ok(())
}

pub fn weighted_value_sum_tile(set: &Functions) -> Result<(), String> {
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
        let run = |set: &Functions| {
            let mut out = vec![0x5555_5555; queries * head_dim];
            (set.weighted_value_sum_tile)(&weights, count, &values, head_dim, &mut out);
            out
        };
        expect(run(set) == run(SCALAR), || format!("{queries} queries, {count} keys, head {head_dim} at {offset} of {stride}"))?;
    }
    Ok(())
}

pub fn softmax_weights(set: &Functions) -> Result<(), String> {
    let mut random = Random(5);
    for count in (0..=40).chain([63, 64, 65, 255, 256, 4095, 4096, 10_000]) {
        for spread in [1usize, 1 << 10, 1 << 16, 1 << 20, 1 << 26, 1 << 30] {
            let scores: Vec<i32> = (0..count).map(|_| random.below(spread) as i32 - (spread / 3) as i32).collect();
            let largest = scores.iter().copied().max().unwrap_or(i32::MIN);
            let extra = random.below(2);
            let scales = cache_scales(&mut random, count + extra);
            let room = count.next_multiple_of(4) + 4 * random.below(3);
            let run = |set: &Functions| {
                let (mut scores, mut out) = (scores.clone(), vec![0x5555; room]);
                let norm = (set.softmax_weights)(&mut scores, largest, &scales, &mut out);
                (norm, out)
            };
            expect(run(set) == run(SCALAR), || format!("{count} keys, spread {spread}"))?;
        }
    }
    Ok(())
}

pub fn weighted_value_sum(set: &Functions) -> Result<(), String> {
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
        let run = |set: &Functions| {
            let mut out = vec![0x5555_5555; head_dim];
            (set.weighted_value_sum)(&weights, &values, &mut out);
            out
        };
        expect(run(set) == run(SCALAR), || format!("{count} keys, head {head_dim} at {offset} of {stride}, extreme: {extreme}"))?;
    }
    Ok(())
}
