//! Sampling against sort-based references and exact probabilities.

#[path = "common/random.rs"]
mod random;

use attoformer::Error;
use attoformer::Sampler;
use attoformer::internals::numeric::exp_neg_q30;
use random::Random;

fn random_logits(random: &mut Random, count: usize, spread: f32) -> Vec<f32> {
    (0..count).map(|_| (random.below(1 << 20) as f32 / 1_048_576.0 - 0.5) * spread).collect()
}

/// The buffer after sampling: the weights from which the token was drawn.
fn weights(sampler: Sampler, logits: &[f32]) -> Vec<u32> {
    let mut buffer = logits.to_vec();
    let mut sampler = sampler;
    let token = sampler.sample(&mut buffer, &[]) as usize;
    let weights: Vec<u32> = buffer.iter().map(|weight| weight.to_bits()).collect();
    assert!(weights[token] > 0, "a token of weight 0 was drawn");
    weights
}

/// The expected weights by sorting: (weight descending, id ascending), the first k, then the shortest prefix that reaches p of the sum.
fn weights_by_sorting(logits: &[f32], temperature: f32, k: usize, p: f32) -> Vec<u32> {
    let max = logits.iter().copied().fold(f32::MIN, f32::max);
    let all: Vec<u32> = logits.iter().map(|logit| exp_neg_q30((logit - max) * (1.0 / temperature))).collect();
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|&token| (std::cmp::Reverse(all[token]), token));
    order.truncate(k);
    let total: u128 = order.iter().map(|&token| u128::from(all[token])).sum();
    let mut kept = vec![0; all.len()];
    let mut sum = 0u128;
    for token in order {
        // sum >= p * total, exactly: p is a multiple of 2^-40 here.
        if p < 1.0 && sum << 40 >= (f64::from(p) * 1_099_511_627_776.0) as u128 * total {
            break;
        }
        sum += u128::from(all[token]);
        kept[token] = all[token];
    }
    kept
}

#[test]
fn cuts_equal_sorting() {
    let mut random = Random(21);
    for round in 0..3000 {
        let count = 1 + random.below(300);
        let spread = random.pick(&[0.0, 0.5, 4.0, 20.0, 60.0]);
        let mut logits = random_logits(&mut random, count, spread);
        if round % 3 == 0 {
            logits.iter_mut().for_each(|logit| *logit = (*logit * 2.0) as i32 as f32 / 2.0); // many ties
        }
        let temperature = random.pick(&[0.25, 0.7, 1.0, 1.5, 100.0]);
        let k = 1 + random.below(count + 5);
        let p = random.pick(&[1e-3, 0.1, 0.25, 0.5, 0.9, 0.95, 0.999, 1.0]);
        let sampler = Sampler::new(round).with_temperature(temperature).unwrap();
        assert_eq!(weights(sampler, &logits), weights_by_sorting(&logits, temperature, usize::MAX, 1.0));
        let top_k = sampler.with_top_k(k as u32).unwrap();
        assert_eq!(weights(top_k, &logits), weights_by_sorting(&logits, temperature, k, 1.0));
        let top_p = sampler.with_top_p(p).unwrap();
        assert_eq!(weights(top_p, &logits), weights_by_sorting(&logits, temperature, usize::MAX, p));
        let both = top_k.with_top_p(p).unwrap();
        assert_eq!(weights(both, &logits), weights_by_sorting(&logits, temperature, k, p));
    }
}

#[test]
fn top_k_keeps_exactly_k() {
    let mut random = Random(22);
    for k in [1, 2, 7, 31, 32] {
        for logits in [vec![0.5; 32], random_logits(&mut random, 32, 4.0)] {
            let kept = weights(Sampler::new(1).with_top_k(k).unwrap(), &logits);
            assert_eq!(kept.iter().filter(|&&weight| weight > 0).count(), k as usize);
        }
    }
    let ties = weights(Sampler::new(1).with_top_k(3).unwrap(), &[0.0; 8]);
    assert_eq!(ties.iter().map(|&weight| u8::from(weight > 0)).collect::<Vec<_>>(), [1, 1, 1, 0, 0, 0, 0, 0]);
    let halves = weights(Sampler::new(1).with_top_p(0.5).unwrap(), &[0.0; 8]);
    assert_eq!(halves.iter().map(|&weight| u8::from(weight > 0)).collect::<Vec<_>>(), [1, 1, 1, 1, 0, 0, 0, 0]);
}

/// A sum that is one unit of weight short of p does not reach p: the first weight is half of the total, minus one half.
#[test]
fn top_p_is_reached_to_the_last_unit() {
    let whole = exp_neg_q30(0.0);
    let third = (0..10_000).map(|step| -17.0 - step as f32 * 1e-3);
    let (second, third) = (1..64)
        .map(|step| -(step as f32) / 67_108_864.0)
        .flat_map(|second| third.clone().map(move |third| (second, third)))
        .find(|&(second, third)| exp_neg_q30(second) + exp_neg_q30(third) == whole + 1)
        .expect("small weights take all values");
    let logits = [third, 0.0, second];
    let kept = weights(Sampler::new(1).with_top_p(0.5).unwrap(), &logits);
    assert_eq!(kept, [0, whole, exp_neg_q30(second)]);
    assert_eq!(kept, weights_by_sorting(&logits, 1.0, usize::MAX, 0.5));
}

/// Pearson's statistic over the tokens expected at least ten times, against a bound that about 1 of 10^6 random runs exceeds.
fn check_distribution(sampler: Sampler, logits: &[f32], probabilities: &[f64]) {
    const DRAWS: u32 = 200_000;
    let mut sampler = sampler;
    let mut counts = vec![0u32; logits.len()];
    let mut buffer = logits.to_vec();
    for _ in 0..DRAWS {
        buffer.copy_from_slice(logits);
        counts[sampler.sample(&mut buffer, &[]) as usize] += 1;
    }
    let mut statistic = 0.0;
    let mut cells = 0.0;
    for (&count, &probability) in counts.iter().zip(probabilities) {
        let expected = probability * f64::from(DRAWS);
        if expected >= 10.0 {
            statistic += (f64::from(count) - expected).powi(2) / expected;
            cells += 1.0;
        }
        assert!(probability > 0.0 || count == 0);
    }
    let bound = cells + 5.0 * (2.0f64 * cells).sqrt() + 12.0;
    assert!(statistic < bound, "{statistic} of {bound}");
}

fn softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let weights: Vec<f64> = logits.iter().map(|&logit| (f64::from(logit) / temperature).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

#[test]
fn draws_follow_the_distribution() {
    let mut random = Random(23);
    for (seed, temperature) in [(1, 1.0), (2, 0.5), (3, 2.0), (u64::MAX, 1.0)] {
        let logits = random_logits(&mut random, 50, 6.0);
        let sampler = Sampler::new(seed).with_temperature(temperature).unwrap();
        check_distribution(sampler, &logits, &softmax(&logits, f64::from(temperature)));
    }
    let logits = [1.0, 3.0, 2.0, 0.0];
    let top = softmax(&logits[1..3], 1.0);
    check_distribution(Sampler::new(9).with_top_k(2).unwrap(), &logits, &[0.0, top[0], top[1], 0.0]);
    check_distribution(Sampler::new(9).with_top_p(0.7).unwrap(), &logits, &[0.0, top[0], top[1], 0.0]);
    check_distribution(Sampler::new(9), &[0.0; 512], &[1.0 / 512.0; 512]);
}

#[test]
fn seeds_repeat() {
    let mut random = Random(24);
    let logits = random_logits(&mut random, 512, 4.0);
    let draw = |seed: u64| -> Vec<u32> {
        let mut sampler = Sampler::new(seed);
        (0..50).map(|_| sampler.sample(&mut logits.clone(), &[])).collect()
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
    // Equal on every target and in every version: a seed stands for these tokens.
    let mut sampler = Sampler::new(42);
    let drawn: Vec<u32> = (0..8).map(|_| sampler.sample(&mut [0.0, 1.0, 2.0, 3.0, 2.0, 1.0, 0.0, -1.0], &[])).collect();
    assert_eq!(drawn, [4, 2, 3, 3, 1, 4, 2, 4]);
}

#[test]
fn greedy_takes_the_first_of_the_largest() {
    let mut greedy = Sampler::greedy();
    assert_eq!(greedy.sample(&mut [1.0, 3.0, 2.0, 3.0], &[]), 1);
    assert_eq!(greedy.sample(&mut [-0.0, 0.0], &[]), 0);
    assert_eq!(greedy.sample(&mut [f32::MIN, f32::MIN], &[]), 0);
    assert_eq!(greedy.sample(&mut [], &[1, 2]), 0);
    assert_eq!(Sampler::new(3).with_temperature(0.0).unwrap().sample(&mut [0.0, 0.1, 0.1], &[]), 1);
    assert_eq!(Sampler::new(3).with_temperature(-0.0).unwrap().sample(&mut [0.0, 0.1, 0.1], &[]), 1);
}

#[test]
fn repetition_penalty_counts_each_token_once() {
    let mut penalized = Sampler::greedy().with_repetition_penalty(2.0).unwrap();
    let mut logits = [4.0, 3.0, -1.0, 0.0];
    assert_eq!(penalized.sample(&mut logits, &[0, 2, 0, 0, 2, 9, u32::MAX, 3]), 1);
    assert_eq!(logits, [2.0, 3.0, -2.0, 0.0]);
    let mut favoured = Sampler::greedy().with_repetition_penalty(0.5).unwrap();
    assert_eq!(favoured.sample(&mut [4.0, 3.0], &[1]), 1);
    let mut off = Sampler::greedy();
    assert_eq!(off.sample(&mut [4.0, 3.0], &[0, 0]), 0);
}

#[test]
fn parameters_are_checked() {
    let refused = |result: Result<Sampler, Error>, name: &'static str| assert_eq!(result, Err(Error::Sampling { name }));
    let sampler = Sampler::new(0);
    for value in [-1.0, -f32::MIN_POSITIVE, f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        refused(sampler.with_temperature(value), "temperature");
        refused(sampler.with_repetition_penalty(value), "repetition_penalty");
        refused(sampler.with_top_p(value), "top_p");
    }
    refused(sampler.with_repetition_penalty(0.0), "repetition_penalty");
    refused(sampler.with_top_p(0.0), "top_p");
    refused(sampler.with_top_p(1.0 + f32::EPSILON), "top_p");
    refused(sampler.with_top_k(0), "top_k");
}

/// Extreme parameters and logits, even those that a session never produces, result in an index in range without a panic.
#[test]
fn anything_gives_a_token() {
    let tiny = f32::from_bits(1);
    let extremes = [0.0, -0.0, 1.0, -1.0, tiny, -tiny, f32::MAX, f32::MIN, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 88.0, -104.0];
    let mut random = Random(25);
    for round in 0..20_000 {
        let temperature = random.pick(&[0.0, tiny, 1e-20, 1.0, 1e20, f32::MAX]);
        let penalty = random.pick(&[tiny, 1e-30, 1.0, 1.5, f32::MAX]);
        let sampler = Sampler::new(round).with_temperature(temperature).unwrap().with_repetition_penalty(penalty).unwrap();
        let sampler =
            sampler.with_top_p(random.pick(&[tiny, 1e-12, 0.5, 1.0])).unwrap().with_top_k(random.pick(&[1, 3, u32::MAX])).unwrap();
        let mut logits: Vec<f32> = (0..random.below(8)).map(|_| random.pick(&extremes)).collect();
        let recent: Vec<u32> = (0..random.below(8)).map(|_| random.below(9) as u32).collect();
        let mut sampler = sampler;
        let token = sampler.sample(&mut logits, &recent) as usize;
        assert!(token < logits.len() || (token == 0 && logits.is_empty()));
    }
    // A near-zero temperature is nearly greedy.
    let mut cold = Sampler::new(1).with_temperature(tiny).unwrap();
    assert_eq!(cold.sample(&mut [1.0, 2.0, 1.5], &[]), 1);
}
