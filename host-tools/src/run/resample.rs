//! Sample rate conversion with a windowed sinc low-pass filter (Smith and Gossett 1984).
//!
//! Resampling crates select their loops by the CPU and differ in the last bits; with this code a clip has the same features on every PC.

use std::f64::consts::PI;

/// Zero crossings of the filter on each side.
const CROSSINGS: f64 = 64.0;
/// Passband as a fraction of the lower Nyquist frequency.
const PASS: f64 = 0.95;
/// Shape parameter of the Kaiser window: 90 dB of stop-band attenuation.
const BETA: f64 = 9.0;
/// Weights of all phases together (64 MiB). Common pairs of rates need far fewer.
const WEIGHTS_MAX: u64 = 1 << 23;

/// Converts from `from` to `to` samples per second; the signal is zero outside the samples. `None` if the ratio of the rates needs too many phases.
pub fn resample(samples: Vec<f32>, from: u32, to: u32) -> Option<Vec<f32>> {
    if from == to {
        return Some(samples);
    }
    let common = common_divisor(from, to)?;
    let (phases, step) = (u64::from(to / common), u64::from(from / common));
    // In units of the input rate.
    let cutoff = PASS * (f64::from(to) / f64::from(from)).min(1.0);
    let reach = (CROSSINGS / cutoff).ceil() as u64;
    if phases.checked_mul(2 * reach).is_none_or(|weights| weights > WEIGHTS_MAX) {
        return None;
    }
    let kernels: Vec<Vec<f64>> = (0..phases).map(|phase| kernel(phase as f64 / phases as f64, cutoff, reach)).collect();
    let count = (samples.len() as u64 * phases).div_ceil(step);
    let value = |index: u64| {
        let (at, phase) = (index * step / phases, index * step % phases);
        let first = at as i64 - (reach as i64 - 1);
        // Skips weights before the first sample; the end of the samples ends the sum.
        let weights = kernels[phase as usize].iter().skip(first.min(0).unsigned_abs() as usize);
        let inside = samples.get(first.max(0) as usize..).unwrap_or_default();
        weights.zip(inside).map(|(weight, &sample)| weight * f64::from(sample)).sum::<f64>() as f32
    };
    Some((0..count).map(value).collect())
}

/// Weights of the `2 * reach` samples around a point that is `fraction` after one of them; they sum to 1.
fn kernel(fraction: f64, cutoff: f64, reach: u64) -> Vec<f64> {
    let weight = |index: u64| {
        let distance = index as f64 - (reach as f64 - 1.0) - fraction;
        let angle = PI * cutoff * distance;
        let sinc = if angle == 0.0 { 1.0 } else { libm::sin(angle) / angle };
        let inside = 1.0 - (distance / reach as f64) * (distance / reach as f64);
        sinc * bessel(BETA * libm::sqrt(inside.max(0.0)))
    };
    let weights: Vec<f64> = (0..2 * reach).map(weight).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// Modified Bessel function of the first kind and order 0, by its power series.
fn bessel(x: f64) -> f64 {
    let square = x * x / 4.0;
    let terms = (1..40).scan(1.0, |term, k| {
        *term *= square / f64::from(k * k);
        Some(*term)
    });
    1.0 + terms.sum::<f64>()
}

/// Greatest common divisor; `None` for a rate of zero.
fn common_divisor(a: u32, b: u32) -> Option<u32> {
    let (mut a, mut b) = (a.min(b), a.max(b));
    if a == 0 {
        return None;
    }
    while !b.is_multiple_of(a) {
        (a, b) = (b % a, a);
    }
    Some(a)
}

#[cfg(test)]
mod tests {
    use super::resample;
    use std::f64::consts::TAU;

    fn tone(hz: f64, rate: u32, count: usize) -> Vec<f32> {
        (0..count).map(|n| (0.5 * (TAU * hz * n as f64 / f64::from(rate)).sin()) as f32).collect()
    }

    /// Tones below the lower Nyquist frequency pass unchanged, those above are removed; the ends of the signal are excluded.
    #[test]
    fn tones_pass_or_are_removed() {
        for from in [8000, 11025, 22050, 24000, 32000, 44100, 48000, 96000, 192_000, 15_999] {
            let half = f64::from(from.min(16000)) / 2.0;
            for hz in [60.0, 1000.0, 0.9 * half] {
                let found = resample(tone(hz, from, from as usize / 4), from, 16000).unwrap();
                let exact = tone(hz, 16000, 4000);
                assert!(found.len().abs_diff(4000) <= 1, "{from}: {}", found.len());
                let middle = found.iter().zip(&exact).skip(600).take(2800);
                let error = middle.fold(0f32, |worst, (a, b)| worst.max((a - b).abs()));
                assert!(error < 5e-5, "{hz} Hz from {from}: {error:e}");
            }
            if from > 16000 {
                let left = resample(tone(8400.0, from, from as usize / 4), from, 16000).unwrap();
                let loudest = left[600..3400].iter().fold(0f32, |loudest, x| loudest.max(x.abs()));
                assert!(loudest < 5e-5, "8.4 kHz from {from}: {loudest:e}");
            }
        }
    }

    #[test]
    fn unusual_rates_are_refused_and_equal_rates_unchanged() {
        assert_eq!(resample(vec![0.25; 3], 16000, 16000), Some(vec![0.25; 3]));
        assert_eq!(resample(vec![0.25; 3], u32::MAX, 16000), None);
        assert_eq!(resample(vec![0.25; 3], 0, 16000), None);
        assert_eq!(resample(vec![0.25; 3], 1, 16000).map(|made| made.len()), Some(48000));
        assert_eq!(resample(Vec::new(), 8000, 16000), Some(Vec::new()));
    }
}
