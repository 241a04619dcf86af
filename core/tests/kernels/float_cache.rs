//! Attention over a float KV cache.

use attoformer::kernels::Functions;
use attoformer::kernels::float_cache::{FloatKeys, FloatTile, FloatValues};

use super::inputs::{FLOATS, Floats, same};
use super::random::Random;
use super::{SCALAR, expect};

/// An element of a cache.
trait Element: Copy + 'static {
    fn of(x: f32) -> Self;
}

impl Element for f32 {
    fn of(x: f32) -> f32 {
        x
    }
}

impl Element for u16 {
    fn of(x: f32) -> u16 {
        half::f16::from_f32(x).to_bits()
    }
}

/// Queries of a tile, keys and head dimensions around the tiles of every set.
fn shapes() -> impl Iterator<Item = (usize, usize, usize)> {
    let head_dims = [1, 4, 7, 8, 9, 15, 16, 17, 24, 32, 40, 64, 80, 96, 128, 200, 256];
    let small =
        head_dims.into_iter().flat_map(|head_dim| (0..=21).chain([61, 64]).map(move |keys| ((head_dim + 7 * keys) % 18, keys, head_dim)));
    small.chain([(8, 1500, 64), (1, 4100, 64), (5, 300, 48)])
}

/// The number of keys visible to each query of a tile: all of them, or ever more, or any.
fn visible(random: &mut Random, queries: usize, keys: usize) -> Vec<usize> {
    let kind = random.below(3);
    let of = |random: &mut Random, query: usize| match kind {
        0 => keys,
        1 => (keys + query + 1).saturating_sub(queries),
        _ => random.below(keys + 1),
    };
    (0..queries).map(|query| of(random, query)).collect()
}

type Scores<T> = fn(&FloatTile<'_>, &FloatKeys<'_, T>, f32, usize, &mut [f32]);

fn scores<T: Element>(set: &Functions, kernel: fn(&Functions) -> Scores<T>) -> Result<(), String> {
    let mut random = Random(21);
    for ((queries, keys, head_dim), fill) in shapes().zip(FLOATS.into_iter().cycle()) {
        let stride = (head_dim * (1 + random.below(3))).next_multiple_of(4);
        let offset = random.below(stride / head_dim) * head_dim;
        let values: Vec<T> = fill.row(&mut random, keys * stride).into_iter().map(T::of).collect();
        let width = head_dim + random.below(5);
        let q = fill.row(&mut random, (queries * width + head_dim).saturating_sub(width));
        let visible = visible(&mut random, queries, keys);
        let (tile, keys_of) =
            (FloatTile { values: &q, stride: width, visible: &visible }, FloatKeys { values: &values, stride, offset, head_dim });
        let room = keys + 1 + random.below(4);
        let run = |set: &Functions| {
            let mut out = vec![f32::MAX; queries * room];
            kernel(set)(&tile, &keys_of, 0.125, room, &mut out);
            // Scores of keys that are not visible to a query may be anything.
            out.chunks(room).zip(&visible).flat_map(|(row, &visible)| row[..visible].to_vec()).collect::<Vec<f32>>()
        };
        expect(same(&run(set), &run(SCALAR)), || {
            format!("{queries} queries, {keys} keys, {fill:?}, head {head_dim} at {offset} of {stride}, {visible:?} visible")
        })?;
    }
    Ok(())
}

pub fn scores_f32(set: &Functions) -> Result<(), String> {
    scores::<f32>(set, |set| set.scores_f32)
}

pub fn scores_f16(set: &Functions) -> Result<(), String> {
    scores::<u16>(set, |set| set.scores_f16)
}

pub fn softmax_float(set: &Functions) -> Result<(), String> {
    let mut random = Random(22);
    let counts = (0..=40).chain([63, 64, 65, 255, 256, 4095, 70_000]);
    for (count, fill) in counts.flat_map(|count| FLOATS.map(|fill| (count, fill))) {
        let spread = random.pick(&[1.0, 8.0, 20.0, 40.0]);
        let scores: Vec<f32> = fill.row(&mut random, count).into_iter().map(|x| x * spread).collect();
        let run = |set: &Functions| {
            let mut scores = scores.clone();
            let sum = (set.softmax_float)(&mut scores);
            (scores, sum)
        };
        let ((ours, sum), (spec, expected)) = (run(set), run(SCALAR));
        expect(same(&ours, &spec) && sum == expected, || format!("{count} scores, {fill:?} times {spread}"))?;
    }
    // As many scores as possible that are all the largest.
    let mut equal = vec![0.5; 300_000];
    expect((set.softmax_float)(&mut equal) == 300_000 * ((1 << 30) - 81), || "300,000 equal scores".to_owned())
}

type AddValues<T> = fn(&FloatTile<'_>, &FloatValues<'_, T>, usize, &mut [f32]);

fn add_values<T: Element>(set: &Functions, kernel: fn(&Functions) -> AddValues<T>) -> Result<(), String> {
    let mut random = Random(23);
    for ((queries, keys, head_dim), fill) in
        shapes().zip([Floats::Unit, Floats::Wide, Floats::Zeros, Floats::Subnormal].into_iter().cycle())
    {
        let stride = (head_dim * (1 + random.below(3))).next_multiple_of(4);
        let offset = random.below(stride / head_dim) * head_dim;
        let first = random.below(4);
        let mut values: Vec<[T; 4]> = Vec::new();
        for _ in 0..(first + keys).div_ceil(4) {
            values.extend((0..stride).map(|_| [(); 4].map(|()| T::of(fill.one(&mut random)))));
        }
        let visible = visible(&mut random, queries, keys);
        // A value that no query sees may be anything.
        let end = first + visible.iter().copied().max().unwrap_or(0);
        for (place, lanes) in values
            .iter_mut()
            .enumerate()
            .flat_map(|(at, block)| block.iter_mut().enumerate().map(move |(lane, x)| (4 * (at / stride) + lane, x)))
        {
            if place < first || place >= end {
                *lanes = T::of(f32::NAN);
            }
        }
        let room = keys + random.below(4);
        let weights: Vec<f32> = (0..queries * room).map(|_| random.below(1 << 30) as f32).collect();
        let width = head_dim + random.below(5);
        let start = Floats::Unit.row(&mut random, queries * width);
        let tile = FloatTile { values: &weights, stride: room, visible: &visible };
        let values = FloatValues { values: &values, stride, offset, head_dim, first };
        let run = |set: &Functions| {
            let mut out = start.clone();
            kernel(set)(&tile, &values, width, &mut out);
            out
        };
        expect(same(&run(set), &run(SCALAR)), || {
            format!(
                "{queries} queries, {keys} keys from {first} on, {fill:?}, head {head_dim} at {offset} of {stride}, {visible:?} visible"
            )
        })?;
    }
    Ok(())
}

pub fn add_values_f32(set: &Functions) -> Result<(), String> {
    add_values::<f32>(set, |set| set.add_values_f32)
}

pub fn add_values_f16(set: &Functions) -> Result<(), String> {
    add_values::<u16>(set, |set| set.add_values_f16)
}
