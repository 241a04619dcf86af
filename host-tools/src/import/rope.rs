//! Rotary position embedding (RoPE, Su et al. 2021): frequencies, and their scaling to a longer context than that of the training: linear, dynamic
//! NTK, YaRN, Llama 3.1's, or one factor per frequency.

use std::f64::consts::PI;

use attoformer::internals::format::HEAD_DIM_MAX;

/// Frequencies of RoPE: `base^(-2i / dim)` radians per token for each of the `dim / 2` pairs (Su et al. 2021, section 3.2.2).
pub fn rotary_frequencies(base: f64, dim: u32) -> Vec<f64> {
    // libm's pow: the system's may differ in the last bit from one PC to the next.
    (0..dim / 2).map(|pair| libm::pow(base, -2.0 * pair as f64 / dim as f64)).collect()
}

/// Scaling of the frequencies.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// None. Dynamic NTK scaling counts as none: it starts beyond the trained context, which is the longest that an image has.
    None,
    /// Position interpolation: all frequencies are divided by this factor (Chen et al. 2023, section 2.3).
    Linear(f64),
    /// YaRN (Peng et al. 2023, section 3).
    Yarn(Yarn),
    /// Llama 3.1's NTK-by-parts: low frequencies are divided by the factor, high ones are kept, those between are interpolated.
    Llama3 {
        /// Ratio of the longer context to the original one.
        factor: f64,
        /// Frequencies with fewer rotations in the original context are low.
        low_freq_factor: f64,
        /// Frequencies with more rotations in the original context are high.
        high_freq_factor: f64,
        /// Context of the training before the extension, tokens.
        original_context: f64,
    },
    /// Each frequency is divided by a factor of its own.
    Factors(Vec<f64>),
}

/// Parameters of YaRN.
#[derive(Clone, Debug, PartialEq)]
pub struct Yarn {
    /// Ratio of the longer context to the original one.
    pub factor: f64,
    /// Context of the training before the extension, tokens.
    pub original_context: f64,
    /// Pairs with more rotations in the original context are kept.
    pub beta_fast: f64,
    /// Pairs with fewer rotations in the original context are divided by the factor.
    pub beta_slow: f64,
    /// Whether both bounds are rounded to whole pairs.
    pub truncate: bool,
    /// Factor of queries and keys; `0.1 ln(factor) + 1` unless stated.
    pub attention_factor: Option<f64>,
}

/// RoPE of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Base of the geometric series (`rope_theta`).
    pub base: f64,
    /// Dimensions of a head that are rotated.
    pub dim: u32,
    /// Scaling of the frequencies.
    pub scaling: RopeScaling,
}

/// Reason why the frequencies cannot be computed.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum RopeError {
    /// A base that is not a number above 1.
    #[error("RoPE base (rope_theta) is {0}; it must be a finite number above 1")]
    Base(f64),
    /// A number of dimensions that is odd, 0 or too large.
    #[error("RoPE cannot rotate {0} dimensions of a head; supported: even numbers from 2 to {HEAD_DIM_MAX}")]
    Dimensions(u32),
    /// Factors and pairs are not as many.
    #[error("{factors} RoPE factors for {pairs} rotary pairs")]
    FactorCount {
        /// Factors.
        factors: usize,
        /// Rotary pairs.
        pairs: usize,
    },
    /// A frequency that is not a number above 0.
    #[error("RoPE scaling produces a frequency of {0}; frequencies must be finite and above 0")]
    Frequency(f64),
}

impl Rope {
    /// Radians per token of each rotary pair.
    ///
    /// # Errors
    /// [`RopeError`].
    pub fn frequencies(&self) -> Result<Vec<f64>, RopeError> {
        let Rope { base, dim, ref scaling } = *self;
        if !(base.is_finite() && base > 1.0) {
            return Err(RopeError::Base(base));
        }
        if dim == 0 || dim > HEAD_DIM_MAX || !dim.is_multiple_of(2) {
            return Err(RopeError::Dimensions(dim));
        }
        let plain = rotary_frequencies(base, dim);
        let scaled: Vec<f64> = match scaling {
            RopeScaling::None => plain,
            RopeScaling::Linear(factor) => plain.iter().map(|frequency| frequency / factor).collect(),
            RopeScaling::Factors(factors) if factors.len() != plain.len() => {
                return Err(RopeError::FactorCount { factors: factors.len(), pairs: plain.len() });
            }
            RopeScaling::Factors(factors) => plain.iter().zip(factors).map(|(frequency, factor)| frequency / factor).collect(),
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
                let bounds = (*low_freq_factor, *high_freq_factor);
                plain.iter().map(|&frequency| llama3(frequency, *factor, bounds, *original_context)).collect()
            }
            RopeScaling::Yarn(yarn) => yarn.scale(&plain, base),
        };
        match scaled.iter().find(|frequency| !(frequency.is_finite() && **frequency > 0.0)) {
            None => Ok(scaled),
            Some(&frequency) => Err(RopeError::Frequency(frequency)),
        }
    }

    /// Factor of the attention scores, besides `1 / sqrt(head_dim)`.
    pub fn score_factor(&self) -> f64 {
        match &self.scaling {
            RopeScaling::Yarn(yarn) => {
                let factor = yarn.attention_factor.unwrap_or_else(|| yarn_attention_factor(yarn.factor, 1.0));
                factor * factor
            }
            _ => 1.0,
        }
    }
}

/// YaRN's attention factor (section 3.4): `0.1 weight ln(factor) + 1`.
pub fn yarn_attention_factor(factor: f64, weight: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * weight * libm::log(factor) + 1.0 }
}

fn llama3(frequency: f64, factor: f64, (low, high): (f64, f64), original_context: f64) -> f64 {
    let rotations = original_context * frequency / (2.0 * PI);
    if rotations < low {
        return frequency / factor;
    }
    if rotations > high {
        return frequency;
    }
    let kept = (rotations - low) / (high - low);
    (1.0 - kept) * frequency / factor + kept * frequency
}

impl Yarn {
    /// The frequencies `plain` of the base `base`, scaled.
    fn scale(&self, plain: &[f64], base: f64) -> Vec<f64> {
        let dim = 2.0 * plain.len() as f64;
        // The pair with this many rotations in the original context.
        let pair_of = |rotations: f64| dim * libm::log(self.original_context / (rotations * 2.0 * PI)) / (2.0 * libm::log(base));
        let (low, high) = (pair_of(self.beta_fast), pair_of(self.beta_slow));
        let (low, high) = if self.truncate { (low.floor(), high.ceil()) } else { (low, high) };
        let (low, high) = (low.max(0.0), high.min(dim - 1.0));
        let width = if low == high { 0.001 } else { high - low };
        let blend = |(pair, &frequency): (usize, &f64)| {
            let divided = ((pair as f64 - low) / width).clamp(0.0, 1.0);
            frequency / self.factor * divided + frequency * (1.0 - divided)
        };
        plain.iter().enumerate().map(blend).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(base: f64, dim: u32, scaling: RopeScaling) -> Rope {
        Rope { base, dim, scaling }
    }

    /// Values of transformers' `ROPE_INIT_FUNCTIONS` formulas, computed with Python's `math` in double precision.
    #[test]
    fn scaled_frequencies_match_the_papers() {
        let near = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 1e-12, "{found}, expected {expected}");
        let llama3 = RopeScaling::Llama3 { factor: 32.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_context: 8192.0 };
        let llama3 = rope(500_000.0, 64, llama3).frequencies().unwrap();
        for (pair, expected) in LLAMA3 {
            near(llama3[pair], expected);
        }
        let yarn = Yarn { factor: 4.0, original_context: 32768.0, beta_fast: 32.0, beta_slow: 1.0, truncate: true, attention_factor: None };
        let yarn = rope(1_000_000.0, 128, RopeScaling::Yarn(yarn));
        let frequencies = yarn.frequencies().unwrap();
        for (pair, expected) in YARN {
            near(frequencies[pair], expected);
        }
        near(yarn.score_factor(), YARN_SCORES);
        near(rope(10_000.0, 4, RopeScaling::Linear(2.5)).frequencies().unwrap()[1], 0.004);
        near(rope(10_000.0, 4, RopeScaling::Factors(vec![1.0, 8.0])).frequencies().unwrap()[1], 0.00125);
    }

    #[test]
    fn parameters_without_usable_frequencies_are_refused() {
        assert!(rope(0.0, 4, RopeScaling::None).frequencies().unwrap_err().to_string().contains("base"));
        assert!(rope(f64::NAN, 4, RopeScaling::None).frequencies().is_err());
        assert!(rope(1e4, 4, RopeScaling::Linear(0.0)).frequencies().unwrap_err().to_string().contains("inf"));
        assert!(
            rope(1e4, 4, RopeScaling::Factors(vec![1.0]))
                .frequencies()
                .unwrap_err()
                .to_string()
                .contains("1 RoPE factors for 2 rotary pairs")
        );
        let yarn = Yarn { factor: 4.0, original_context: 0.0, beta_fast: 0.0, beta_slow: 0.0, truncate: true, attention_factor: None };
        let _ = rope(1e4, 4, RopeScaling::Yarn(yarn)).frequencies();
    }

    const LLAMA3: [(usize, f64); 4] =
        [(3, 0.292_227_822_573_015_1), (15, 0.001_290_547_928_209_264), (17, 9.708_287_802_627_67e-5), (31, 9.418_306_725_434_909e-8)];
    const YARN: [(usize, f64); 4] =
        [(5, 0.339_820_832_894_255_9), (25, 0.004_131_738_022_518_394), (32, 0.000_602_941_176_470_588_2), (63, 3.102_344_401_879_299e-7)];
    const YARN_SCORES: f64 = 1.296_476_992_780_706_3;
}
