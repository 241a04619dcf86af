//! Log-probabilities and rounding for display.

/// Natural logarithm of the sum of the exponentials of the logits.
pub(super) fn log_sum_exp(logits: &[f32]) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max) as f64;
    max + logits.iter().map(|&logit| (logit as f64 - max).exp()).sum::<f64>().ln()
}

/// Log-probability of a token, in nats.
pub(super) fn log_probability(logits: &[f32], token: u32) -> f64 {
    logits[token as usize] as f64 - log_sum_exp(logits)
}

/// The most likely token, the first of equal ones.
pub(super) fn likeliest(logits: &[f32]) -> u32 {
    let better = |best: usize, index: usize| if logits[index] > logits[best] { index } else { best };
    (0..logits.len()).fold(0, better) as u32
}

/// Rounds to four significant digits, which keeps the JSON short.
pub(super) fn rounded(value: f64) -> f32 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let unit = 10f64.powi(3 - value.abs().log10().floor() as i32);
    ((value * unit).round() / unit) as f32
}

#[cfg(test)]
mod tests {
    use super::{log_probability, rounded};

    #[test]
    fn numbers_keep_four_digits() {
        assert_eq!([0.0, 1.0, 0.123_456, -12_345.6, 9.9999e-5].map(rounded), [0.0, 1.0, 0.1235, -12_350.0, 1e-4]);
        assert_eq!(rounded(f64::NAN), 0.0);
    }

    #[test]
    fn log_probabilities_are_of_the_softmax() {
        let logits = [1.0f32.ln(), 3.0f32.ln(), 4.0f32.ln()];
        assert!((log_probability(&logits, 1) - 0.375f64.ln()).abs() < 1e-6);
    }
}
