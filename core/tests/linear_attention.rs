//! Linear attention over long texts against f64: what the running sums lose is printed and held to the bound that the layer's docs state.

#[path = "common/random.rs"]
mod random;

use attoformer::layers::attention::linear::{absorb, read};
use attoformer::memory::layout::linear_state_len as state_len;
use attoformer::numeric::elu_plus_one;
use random::Random;

/// The longest text that the bound is measured on.
const TOKENS: usize = 16_384;

/// Sums and reads in f64, from the same mapped keys and queries.
struct Exact {
    units: Vec<f64>,
    products: Vec<f64>,
}

impl Exact {
    fn absorb(&mut self, key: &[f32], value: &[f32]) {
        for (index, mapped) in key.iter().map(|&k| f64::from(elu_plus_one(k))).enumerate() {
            self.units[index] += mapped;
            let row = &mut self.products[index * value.len()..][..value.len()];
            row.iter_mut().zip(value).for_each(|(sum, &v)| *sum += mapped * f64::from(v));
        }
    }

    fn read(&self, query: &[f32]) -> Vec<f64> {
        let mapped: Vec<f64> = query.iter().map(|&q| f64::from(elu_plus_one(q))).collect();
        let whole: f64 = mapped.iter().zip(&self.units).map(|(q, z)| q * z).sum();
        let column = |column: usize| mapped.iter().enumerate().map(|(row, q)| q * self.products[row * query.len() + column]).sum::<f64>();
        (0..query.len()).map(|at| column(at) / whole).collect()
    }
}

/// Uniform in -1..1.
fn fraction(random: &mut Random) -> f32 {
    random.pick(&[1.0, -1.0]) * random.below(1 << 24) as f32 / 16_777_216.0
}

/// The worst error of any output over a text, relative to the largest magnitude of a value, for tokens made by `token(random, index)`.
fn worst(head_dim: usize, token: impl Fn(&mut Random, usize) -> [Vec<f32>; 3]) -> f64 {
    let mut random = Random(head_dim as u64);
    let mut state = vec![0.0; state_len(head_dim)];
    let mut exact = Exact { units: vec![0.0; head_dim], products: vec![0.0; head_dim * head_dim] };
    let (mut mapped, mut out) = (vec![0.0; head_dim], vec![0.0; head_dim]);
    let (mut largest, mut error) = (0f64, 0f64);
    for index in 0..TOKENS {
        let [query, key, value] = token(&mut random, index);
        absorb(&mut state, head_dim, &key, &value);
        exact.absorb(&key, &value);
        largest = value.iter().fold(largest, |largest, &v| largest.max(f64::from(v).abs()));
        if index % 64 == 0 || index + 1 == TOKENS {
            read(&state, &query, &mut mapped, &mut out);
            let found = out.iter().zip(exact.read(&query)).map(|(&found, exact)| (f64::from(found) - exact).abs());
            error = found.fold(error, f64::max);
        }
    }
    error / largest
}

/// A query, a key and a value whose elements lie around these centres.
fn token(random: &mut Random, head_dim: usize, key: f32, value: f32) -> [Vec<f32>; 3] {
    let mut row = |centre: f32, spread: f32| (0..head_dim).map(|_| centre + spread * fraction(random)).collect();
    [row(0.0, 2.0), row(key, 2.0), row(value, if value == 0.0 { 1.0 } else { 0.1 })]
}

#[test]
fn long_texts_lose_nothing() {
    for head_dim in [8, 16, 32, 64] {
        let errors = [
            ("any tokens", worst(head_dim, |random, _| token(random, head_dim, 0.0, 0.0))),
            ("values of one sign", worst(head_dim, |random, _| token(random, head_dim, 0.0, 0.9))),
            ("quiet keys", worst(head_dim, |random, _| token(random, head_dim, -20.0, 0.9))),
            ("one token again and again", worst(head_dim, |_, _| [0.3, 0.7, 0.123_456_7].map(|x| vec![x; head_dim]))),
            ("loud tokens first", worst(head_dim, |random, index| token(random, head_dim, if index < 64 { 30.0 } else { 0.0 }, 0.0))),
        ];
        for (kind, error) in errors {
            println!("head of {head_dim}, {kind}: worst error {error:.3e} (2^{:.2}) over {TOKENS} tokens", error.log2());
            assert!(error <= 2f64.powf(-19.5), "head of {head_dim}, {kind}: {error:e}");
        }
    }
}

/// Features are positive however far below zero a query lies, so that nothing is ever divided by zero.
#[test]
fn the_lowest_queries_and_keys_still_find_a_mean() {
    let head_dim = 8;
    let mut state = vec![0.0; state_len(head_dim)];
    for value in [1.0, 3.0] {
        absorb(&mut state, head_dim, &[-1e30; 8], &[value; 8]);
    }
    let (mut mapped, mut out) = ([0.0; 8], [0.0; 8]);
    read(&state, &[f32::MIN; 8], &mut mapped, &mut out);
    assert!(out.iter().all(|x| (x - 2.0).abs() < 1e-5), "{out:?}");
}
