//! Largest errors of the arithmetic against f64: each is printed and compared with the bound that the function's docs state.

#[path = "common/random.rs"]
mod random;

use attoformer::internals::numeric::{
    LIMIT_8, LIMIT_12, Quantizer, elu_plus_one, exp_neg_q30, exp2_neg_q16, gelu_erf, gelu_tanh, layer_norm, ln, log10, max_magnitude_bits,
    pow2, quantize_query, relu, rms_norm, round_to_int, sigmoid, silu, sin_cos, sqrt, squared_relu, tanh,
};
use random::Random;
use std::f64::consts::{PI, TAU};

/// Step over bit patterns in the default tests; the ignored tests check every pattern.
const STEP: usize = 997;
const Q30: f64 = 1_073_741_824.0;

/// Floats between two non-negative ones, `step` bit patterns apart.
fn floats(from: f32, to: f32, step: usize) -> impl Iterator<Item = f32> {
    (from.to_bits()..=to.to_bits()).step_by(step).map(f32::from_bits)
}

/// The largest of `(input, error)`, printed, must not exceed the bound.
fn hold(name: &str, bound: f64, errors: impl Iterator<Item = (f64, f64)>) {
    let (at, error) = errors.fold((0.0, 0.0), |worst, next| if next.1 > worst.1 { next } else { worst });
    println!("{name}: worst error {error:.3e} (2^{:.2}) at {at:e}, bound {bound:.3e}", error.log2());
    assert!(error <= bound, "{name}: {error:e} at {at:e} exceeds {bound:e}");
}

/// 2^exponent: a bound in the docs' notation.
fn power(exponent: f64) -> f64 {
    exponent.exp2()
}

/// Relative error of e^x, without the truncation to 30 fraction bits, which is at most one unit.
fn exp_error(x: f32) -> (f64, f64) {
    let exact = (-f64::from(x)).exp() * Q30;
    let found = f64::from(exp_neg_q30(-x));
    let distance = (found - exact).max(exact - (found + 1.0)).max(0.0);
    (f64::from(-x), distance / exact)
}

#[test]
fn exp_of_every_997th_float() {
    hold("exp_neg_q30", power(-23.1), floats(0.0, 32.0, STEP).map(exp_error));
    // The sign is ignored, and the function is 0 from where the docs state.
    assert!(floats(0.0, 32.0, STEP).all(|x| exp_neg_q30(x) == exp_neg_q30(-x)));
    assert_eq!((exp_neg_q30(0.0), exp_neg_q30(-20.79), exp_neg_q30(-20.8)), ((1 << 30) - 81, 1, 0));
    assert!(floats(20.8, f32::INFINITY, STEP).all(|x| exp_neg_q30(-x) == 0));
}

#[test]
#[ignore = "needs minutes: a billion floats"]
fn exp_of_every_float() {
    hold("exp_neg_q30, every float", power(-23.1), floats(0.0, 32.0, 1).map(exp_error));
    assert!(floats(20.8, f32::INFINITY, 1).all(|x| exp_neg_q30(-x) == 0));
}

#[test]
fn exp2_of_every_distance() {
    let error = |d: u32| (f64::from(d), (f64::from(exp2_neg_q16(d)) - power(16.0 - f64::from(d) / 65536.0)).abs());
    hold("exp2_neg_q16, in units", 0.51, (0..18 << 16).map(error));
    assert_eq!(exp2_neg_q16(0), 1 << 16);
    assert!((0..1 << 12).map(|high| u32::MAX - (high << 18)).all(|d| exp2_neg_q16(d) == 0));
}

/// Floats of both signs up to `to`, including tiny ones.
fn both(to: f32, step: usize) -> impl Iterator<Item = f32> {
    floats(0.0, to, step).flat_map(|x| [x, -x])
}

fn sigmoid_error(x: f32) -> (f64, f64) {
    let x64 = f64::from(x);
    (x64, (f64::from(sigmoid(x)) - 1.0 / (1.0 + (-x64).exp())).abs())
}

/// Relative to x, or to 1 if x is smaller.
fn silu_error(x: f32) -> (f64, f64) {
    let x64 = f64::from(x);
    (x64, (f64::from(silu(x)) - x64 / (1.0 + (-x64).exp())).abs() / x64.abs().max(1.0))
}

/// Against the normal distribution in f64; relative to x, or to 1 if x is smaller.
fn gelu_erf_error(x: f32) -> (f64, f64) {
    let x64 = f64::from(x);
    let exact = 0.5 * x64 * libm::erfc(-x64 / 2f64.sqrt());
    (x64, (f64::from(gelu_erf(x)) - exact).abs() / x64.abs().max(1.0))
}

/// Against the tanh form in f64; relative to x, or to 1 if x is smaller.
fn gelu_error(x: f32) -> (f64, f64) {
    let x64 = f64::from(x);
    let exact = 0.5 * x64 * (1.0 + ((2.0 / PI).sqrt() * (x64 + 0.044715 * x64 * x64 * x64)).tanh());
    (x64, (f64::from(gelu_tanh(x)) - exact).abs() / x64.abs().max(1.0))
}

/// Relative; inputs below -32 are clamped to -32.
fn elu_plus_one_error(x: f32) -> (f64, f64) {
    let x64 = f64::from(x);
    let exact = if x > 0.0 { x64 + 1.0 } else { x64.max(-32.0).exp() };
    (x64, (f64::from(elu_plus_one(x)) - exact).abs() / exact)
}

fn tanh_error(x: f32) -> (f64, f64) {
    (f64::from(x), (f64::from(tanh(x)) - f64::from(x).tanh()).abs())
}

#[test]
fn activations() {
    hold("elu_plus_one", power(-22.5), both(1e6, STEP).map(elu_plus_one_error));
    hold("tanh", power(-22.0), both(200.0, STEP).map(tanh_error));
    assert!(both(1e38, STEP).all(|x| squared_relu(x).to_bits() == if x > 0.0 { (x * x).to_bits() } else { 0 }));
    assert!(both(f32::INFINITY, STEP).all(|x| elu_plus_one(x) > 0.0));
    hold("sigmoid", power(-23.3), both(200.0, STEP).map(sigmoid_error));
    hold("silu", power(-22.6), both(1e6, STEP).map(silu_error));
    hold("gelu_tanh", power(-22.6), both(1e6, STEP).map(gelu_error));
    hold("gelu_erf", power(-22.8), both(1e6, STEP).map(gelu_erf_error));
    assert!(both(f32::INFINITY, STEP).all(|x| relu(x).to_bits() == if x > 0.0 { x.to_bits() } else { 0 }));
}

#[test]
#[ignore = "needs minutes: billions of floats"]
fn activations_of_every_float() {
    hold("sigmoid, every float", power(-23.3), both(128.0, 1).map(sigmoid_error));
    hold("silu, every float", power(-22.6), both(128.0, 1).map(silu_error));
    hold("gelu_tanh, every float", power(-22.6), both(128.0, 1).map(gelu_error));
    hold("elu_plus_one, every float", power(-22.5), both(128.0, 1).map(elu_plus_one_error));
    hold("tanh, every float", power(-22.0), both(128.0, 1).map(tanh_error));
    hold("gelu_erf, every float", power(-22.8), both(128.0, 1).map(gelu_erf_error));
}

fn sin_cos_error(phase: u32) -> (f64, f64) {
    let angle = f64::from(phase) * (TAU / 4_294_967_296.0);
    let (sin, cos) = sin_cos(phase);
    (f64::from(phase), (f64::from(sin) - angle.sin()).abs().max((f64::from(cos) - angle.cos()).abs()))
}

#[test]
fn sines_and_cosines() {
    hold("sin_cos", power(-23.9), (0..=u32::MAX).step_by(STEP).map(sin_cos_error));
    for (phase, sin, cos) in [(0u32, 0.0, 1.0), (1 << 30, 1.0, 0.0), (1 << 31, 0.0, -1.0), (3 << 30, -1.0, 0.0)] {
        let (s, c) = sin_cos(phase);
        assert!((s - sin).abs() < 6e-8 && (c - cos).abs() < 6e-8, "{phase:x}: {s} {c}");
    }
}

#[test]
#[ignore = "needs minutes: four billion phases"]
fn sines_and_cosines_of_every_phase() {
    hold("sin_cos, every phase", power(-23.9), (0..=u32::MAX).map(sin_cos_error));
}

/// Relative to the logarithm, or to an eighth if it is smaller.
fn ln_error(x: f32) -> (f64, f64) {
    let exact = f64::from(x).ln();
    (f64::from(x), (f64::from(ln(x)) - exact).abs() / exact.abs().max(0.125))
}

fn log10_error(x: f32) -> (f64, f64) {
    let exact = f64::from(x).log10();
    (f64::from(x), (f64::from(log10(x)) - exact).abs() / exact.abs().max(0.0625))
}

#[test]
fn logarithms() {
    hold("ln", power(-22.0), floats(f32::MIN_POSITIVE, f32::MAX, STEP).map(ln_error));
    hold("ln around 1", power(-22.0), floats(0.5, 2.0, 7).map(ln_error));
    hold("log10", power(-21.9), floats(f32::MIN_POSITIVE, f32::MAX, STEP).map(log10_error));
    assert_eq!((ln(1.0).to_bits(), log10(1.0).to_bits()), (0, 0));
    // Zero, subnormals and infinity are outside the contract, but never result in a NaN.
    assert!(floats(0.0, f32::INFINITY, STEP).all(|x| ln(x).is_finite()));
}

#[test]
#[ignore = "needs minutes: two billion floats"]
fn logarithms_of_every_float() {
    hold("ln, every float", power(-22.0), floats(f32::MIN_POSITIVE, f32::MAX, 1).map(ln_error));
    hold("log10, every float", power(-21.9), floats(f32::MIN_POSITIVE, f32::MAX, 1).map(log10_error));
}

#[test]
fn square_roots_are_correctly_rounded() {
    // A square root in f64 has enough bits that rounding it twice is correct.
    assert!(floats(0.0, f32::INFINITY, STEP).all(|x| sqrt(x).to_bits() == (f64::from(x).sqrt() as f32).to_bits()));
}

#[test]
fn rounding_is_exact() {
    assert!(both(4_194_304.0, STEP).all(|x| f64::from(round_to_int(x)) == f64::from(x).round_ties_even()));
    assert!((-1_000_000..1_000_000).all(|half| f64::from(round_to_int(half as f32 / 2.0)) == (f64::from(half) / 2.0).round_ties_even()));
    assert!((-126..=127).all(|exponent| f64::from(pow2(exponent)) == power(f64::from(exponent))));
    assert_eq!((pow2(-1000), pow2(1000)), (pow2(-126), pow2(127)));
}

/// Rows of many lengths, magnitudes and offsets.
fn rows() -> impl Iterator<Item = Vec<f32>> {
    let mut random = Random(1);
    (0..3000).map(move |_| {
        let count = 1 + random.below(4096) / (1 + random.below(64));
        let magnitude = 2f32.powi(random.below(41) as i32 - 20);
        let offset = random.pick(&[0.0, 1.0]);
        (0..count).map(|_| (random.below(1 << 24) as f32 / 8_388_608.0 - 1.0 + offset) * magnitude).collect()
    })
}

#[test]
fn quantization_rounds_to_the_nearest() {
    for (limit, bound) in [(LIMIT_8, 0.5 + 3e-5), (LIMIT_12, 0.5 + 4e-4)] {
        let errors = rows().flat_map(|row| {
            let quantizer = Quantizer::with_limit(max_magnitude_bits(row.iter().copied()), limit);
            row.into_iter().map(move |x| {
                let q = quantizer.quantize(x);
                assert!(q.abs() <= limit as i32, "{x} became {q}");
                // In units of the scale.
                (f64::from(x), (f64::from(x) / f64::from(quantizer.scale) - f64::from(q)).abs())
            })
        });
        hold(&format!("Quantizer to {limit}, in units"), bound, errors.filter(|(_, error)| !error.is_nan()));
    }
}

#[test]
fn queries_round_to_the_nearest() {
    let errors = rows().flat_map(|row| {
        let mut integers = vec![0; row.len()];
        let factor = 0.180_336_9;
        let exponent = quantize_query(&row, factor, |index, q| integers[index] = q);
        assert!(integers.iter().all(|q| q.abs() <= 2048));
        let scaled = move |x: f32| f64::from(x) * f64::from(factor) * power(f64::from(exponent));
        row.into_iter().zip(integers).map(move |(x, q)| (f64::from(x), (scaled(x) - f64::from(q)).abs())).collect::<Vec<_>>()
    });
    hold("quantize_query, in units", 0.5 + 3e-4, errors);
}

/// Largest difference between two rows, relative to the largest magnitude in the exact one.
fn row_error(found: &[f32], exact: &[f64]) -> (f64, f64) {
    let largest = exact.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
    let difference = found.iter().zip(exact).fold(0.0, |max: f64, (&a, &b)| max.max((f64::from(a) - b).abs()));
    (found.len() as f64, if largest == 0.0 { difference } else { difference / largest })
}

#[test]
fn norms() {
    let eps = 1e-5f32;
    let rms = |x: Vec<f32>| {
        let (scale, mut out) = (vec![1.0; x.len()], vec![0.0; x.len()]);
        rms_norm(&x, &scale, eps, &mut out);
        let wide: Vec<f64> = x.into_iter().map(f64::from).collect();
        let root = (wide.iter().map(|x| x * x).sum::<f64>() / wide.len() as f64 + f64::from(eps)).sqrt();
        row_error(&out, &wide.iter().map(|x| x / root).collect::<Vec<f64>>())
    };
    hold("rms_norm, relative to the row's largest", power(-22.0), rows().map(rms));
    let layer = |x: Vec<f32>| {
        let (scale, bias, mut out) = (vec![1.0; x.len()], vec![0.0; x.len()], vec![0.0; x.len()]);
        layer_norm(&x, &scale, &bias, eps, &mut out);
        let wide: Vec<f64> = x.into_iter().map(f64::from).collect();
        let count = wide.len() as f64;
        let mean = wide.iter().sum::<f64>() / count;
        let root = (wide.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count + f64::from(eps)).sqrt();
        row_error(&out, &wide.iter().map(|x| (x - mean) / root).collect::<Vec<f64>>())
    };
    hold("layer_norm, relative to the row's largest", power(-21.0), rows().filter(|x| x.len() > 1).map(layer));
}
