//! Log-softmax of a row of logits, and the KL divergence of two rows.
//!
//! One pass over the vocabulary computes the exponentials of a row (of both rows for a divergence), 16 lanes at a time and without allocations,
//! so that the compiler vectorizes it. Exponentials are f32 with a relative error below 3e-7, sums over the vocabulary are f64. The functions use
//! additions and multiplications only, so the results are the same on every machine.

/// Values that are processed together: independent sums that the compiler keeps in vector registers.
const LANES: usize = 16;
/// Values whose f32 sums are added to the f64 sum: a multiple of [`LANES`], small enough for the f32 sums to be exact to about 1e-7.
const SPAN: usize = 32 * LANES;

/// Normalizer of a row of logits.
#[derive(Clone, Copy, Debug)]
pub struct LogSoftmax {
    /// Index of the largest logit, the first of equal ones.
    pub likeliest: usize,
    /// Logarithm of the sum of the exponentials of all logits.
    normalizer: f64,
}

impl LogSoftmax {
    /// Computes the normalizer of a row.
    pub fn of(logits: &[f32]) -> Self {
        let max = largest(logits);
        let sum: f64 = logits.chunks(SPAN).map(|span| lane_sums(span, |logit| exp(logit - max))).sum();
        LogSoftmax::new(logits, max, sum)
    }

    fn new(logits: &[f32], max: f32, sum: f64) -> Self {
        let likeliest = logits.iter().position(|&logit| logit == max).unwrap_or(0);
        LogSoftmax { likeliest, normalizer: f64::from(max) + libm::log(sum) }
    }

    /// Negative natural logarithm of the probability of a token of the row.
    pub fn loss(&self, logits: &[f32], token: u32) -> f64 {
        self.normalizer - logits.get(token as usize).map_or(f64::NEG_INFINITY, |&logit| f64::from(logit))
    }
}

/// KL divergence (Kullback-Leibler) of the distribution `logits` from the distribution `reference`, in nats, with the normalizers of both.
///
/// With `p` and `q` the probabilities of logits `x` and `y`: sum of `p (ln p - ln q)` = sum of `p (x - y)`, plus the normalizer of `y`, minus that of `x`.
pub fn divergence(logits: &[f32], reference: &[f32]) -> (f32, LogSoftmax, LogSoftmax) {
    let (found_max, expected_max) = (largest(logits), largest(reference));
    let (mut found_sum, mut expected_sum, mut weighted) = (0.0, 0.0, 0.0);
    for (found, expected) in logits.chunks(SPAN).zip(reference.chunks(SPAN)) {
        found_sum += lane_sums(found, |logit| exp(logit - found_max));
        let (sum, product) = weighted_sums(found, expected, expected_max);
        expected_sum += sum;
        weighted += product;
    }
    let found = LogSoftmax::new(logits, found_max, found_sum);
    let expected = LogSoftmax::new(reference, expected_max, expected_sum);
    let divergence = weighted / expected_sum + (found.normalizer - expected.normalizer);
    // Rounding may leave a divergence of about -1e-7 where the distributions are equal.
    (divergence.max(0.0) as f32, found, expected)
}

/// The largest value.
fn largest(values: &[f32]) -> f32 {
    let (lanes, rest) = values.as_chunks::<LANES>();
    let mut most = [f32::NEG_INFINITY; LANES];
    for chunk in lanes {
        for (most, &value) in most.iter_mut().zip(chunk) {
            *most = if value > *most { value } else { *most };
        }
    }
    most.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Sum of a function over a span.
fn lane_sums(values: &[f32], function: impl Fn(f32) -> f32) -> f64 {
    let (lanes, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for chunk in lanes {
        for (sum, &value) in sums.iter_mut().zip(chunk) {
            *sum += function(value);
        }
    }
    sums.iter().map(|&sum| f64::from(sum)).sum::<f64>() + rest.iter().map(|&value| f64::from(function(value))).sum::<f64>()
}

/// Sums over a span of `e` and of `e (x - y)`, where `x` are reference logits, `y` the others, and `e = exp(x - max)`.
fn weighted_sums(found: &[f32], expected: &[f32], max: f32) -> (f64, f64) {
    let term = |y: f32, x: f32| {
        let e = exp(x - max);
        (e, e * (x - y))
    };
    let ((found, found_rest), (expected, expected_rest)) = (found.as_chunks::<LANES>(), expected.as_chunks::<LANES>());
    let (mut sums, mut products) = ([0.0f32; LANES], [0.0f32; LANES]);
    for (found, expected) in found.iter().zip(expected) {
        for lane in 0..LANES {
            let (e, product) = term(found[lane], expected[lane]);
            sums[lane] += e;
            products[lane] += product;
        }
    }
    let rest = found_rest.iter().zip(expected_rest).map(|(&y, &x)| term(y, x));
    let all = sums.into_iter().zip(products).chain(rest);
    all.fold((0.0, 0.0), |(sum, product), (e, p)| (sum + f64::from(e), product + f64::from(p)))
}

/// `e^x` for `x` up to 0; below -87, `e^-87`. Range reduction by multiples of ln 2 and the Taylor polynomial of degree 7.
#[inline]
fn exp(x: f32) -> f32 {
    /// ln 2 in two parts: the first has so few bits that its products with the integers in range are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    /// Added and subtracted, rounds to an integer; the sum holds that integer in its low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = if x > -87.0 { x } else { -87.0 };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2[0]) - n * LN_2[1];
    let coefficients = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let polynomial = coefficients.into_iter().fold(1.0 / 5040.0, |sum, coefficient| sum * r + coefficient);
    // The exponent field of 2^n.
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    polynomial * power
}

#[cfg(test)]
mod tests {
    use super::{LogSoftmax, divergence, exp, largest};

    /// Logits of a known generator, roughly normal with the given spread.
    fn logits(count: usize, seed: u32, spread: f32) -> Vec<f32> {
        let mut state = seed;
        let mut uniform = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as f32 / u32::MAX as f32 - 0.5
        };
        (0..count).map(|_| (0..6).map(|_| uniform()).sum::<f32>() * spread).collect()
    }

    /// Log-probabilities, straightforward in f64.
    fn plain(logits: &[f32]) -> Vec<f64> {
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max) as f64;
        let sum: f64 = logits.iter().map(|&logit| libm::exp(logit as f64 - max)).sum();
        logits.iter().map(|&logit| logit as f64 - max - libm::log(sum)).collect()
    }

    #[test]
    fn exponentials_are_close_to_libm() {
        for step in 0..200_000 {
            let x = -(step as f32) * 4.3e-4;
            let exact = libm::exp(f64::from(x));
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 3e-7, "{x}: {} {exact}", exp(x));
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(-1e30) < 2e-38 && exp(f32::MIN) >= 0.0);
    }

    #[test]
    fn losses_and_divergences_agree_with_the_definition() {
        for (count, spread) in [(1, 1.0), (5, 3.0), (31, 0.1), (1000, 8.0), (49_152, 6.0)] {
            let (x, noise) = (logits(count, 7, spread), logits(count, 99, 0.2));
            let y: Vec<f32> = x.iter().zip(&noise).map(|(x, noise)| x + noise + 3.0).collect();
            let (p, q) = (plain(&x), plain(&y));
            let exact: f64 = p.iter().zip(&q).map(|(p, q)| libm::exp(*p) * (p - q)).sum();
            let (found, of_y, of_x) = divergence(&y, &x);
            assert!((f64::from(found) - exact).abs() < 3e-7, "{count}: {found} {exact}");
            for (softmax, logits, exact) in [(of_x, &x, &p), (of_y, &y, &q)] {
                let alone = LogSoftmax::of(logits);
                assert_eq!((alone.normalizer, alone.likeliest), (softmax.normalizer, softmax.likeliest));
                assert!((softmax.loss(logits, 0) + exact[0]).abs() < 3e-7, "{count}");
                assert_eq!(logits[softmax.likeliest], largest(logits));
            }
        }
    }

    #[test]
    fn equal_rows_have_no_divergence() {
        let x = logits(777, 3, 5.0);
        assert_eq!(divergence(&x, &x).0, 0.0);
        // A constant added to all logits does not change a distribution.
        let shifted: Vec<f32> = x.iter().map(|x| x + 1.0).collect();
        assert!(divergence(&shifted, &x).0 < 1e-6);
    }
}
