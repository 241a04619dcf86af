//! Rotary frequencies, and the ways to stretch them to a longer context than a model was first trained for.

use std::f64::consts::PI;

use attoformer::format::HEAD_DIM_MAX;

/// `base^(-2i / dim)` radians for each of `dim / 2` pairs (Su et al. 2021, section 3.2.2).
pub fn rotary_frequencies(base: f64, dim: u32) -> Vec<f64> {
    // libm's pow, because the system's may differ in the last bit from one PC to the next.
    (0..dim / 2).map(|pair| libm::pow(base, -2.0 * pair as f64 / dim as f64)).collect()
}

/// How frequencies are stretched.
#[derive(Clone, Debug, PartialEq)]
pub enum Scaling {
    /// They are not. Dynamic NTK scaling (which begins beyond the trained context) is the same within it.
    None,
    /// All are divided by this factor (Chen et al. 2023, section 2.3).
    Linear(f64),
    /// YaRN (Peng et al. 2023, section 3).
    Yarn(Yarn),
    /// Llama 3.1's: long waves are divided by the factor, short ones are kept, those between are blended.
    Llama3 {
        /// How much longer the context is.
        factor: f64,
        /// Waves that fit less often into the first context are long.
        low: f64,
        /// Waves that fit more often into it are short.
        high: f64,
        /// The context that the model was first trained for.
        context: f64,
    },
    /// Each is divided by a factor of its own.
    Factors(Vec<f64>),
}

/// The numbers of a YaRN.
#[derive(Clone, Debug, PartialEq)]
pub struct Yarn {
    /// How much longer the context is.
    pub factor: f64,
    /// The context that the model was first trained for.
    pub context: f64,
    /// Pairs that turn more often in it are kept.
    pub fast: f64,
    /// Pairs that turn less often in it are divided by the factor.
    pub slow: f64,
    /// Whether the two bounds are brought to whole pairs.
    pub whole: bool,
    /// What queries and keys are both multiplied with; `0.1 ln(factor) + 1` unless stated.
    pub attention: Option<f64>,
}

/// Frequencies of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// The base of the geometric series.
    pub base: f64,
    /// Dimensions of a head that turn.
    pub dim: u32,
    /// How they are stretched.
    pub scaling: Scaling,
}

impl Rope {
    /// Radians per token of each pair.
    ///
    /// # Errors
    /// A sentence's end: what cannot be computed with.
    pub fn frequencies(&self) -> Result<Vec<f64>, String> {
        let Rope { base, dim, ref scaling } = *self;
        if !(base.is_finite() && base > 1.0) {
            return Err(format!("it states {base} as the base of its rotary frequencies"));
        }
        if dim == 0 || dim > HEAD_DIM_MAX || !dim.is_multiple_of(2) {
            return Err(format!("{dim} dimensions of a head cannot turn in pairs"));
        }
        let plain = rotary_frequencies(base, dim);
        let stretched: Vec<f64> = match scaling {
            Scaling::None => plain,
            Scaling::Linear(factor) => plain.iter().map(|frequency| frequency / factor).collect(),
            Scaling::Factors(factors) if factors.len() != plain.len() => {
                return Err(format!("it has {} rotary factors for {} pairs", factors.len(), plain.len()));
            }
            Scaling::Factors(factors) => plain.iter().zip(factors).map(|(frequency, factor)| frequency / factor).collect(),
            Scaling::Llama3 { factor, low, high, context } => {
                plain.iter().map(|&frequency| llama3(frequency, *factor, (*low, *high), *context)).collect()
            }
            Scaling::Yarn(yarn) => yarn.stretch(&plain, base),
        };
        match stretched.iter().find(|frequency| !(frequency.is_finite() && **frequency > 0.0)) {
            None => Ok(stretched),
            Some(frequency) => Err(format!("its rotary scaling makes a frequency of {frequency}")),
        }
    }

    /// What scores are multiplied with beside `1 / sqrt(head_dim)`.
    pub fn score_factor(&self) -> f64 {
        match &self.scaling {
            Scaling::Yarn(yarn) => {
                let factor = yarn.attention.unwrap_or_else(|| yarn_attention(yarn.factor, 1.0));
                factor * factor
            }
            _ => 1.0,
        }
    }
}

/// YaRN's temperature (section 3.4): `0.1 weight ln(factor) + 1`.
pub fn yarn_attention(factor: f64, weight: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * weight * libm::log(factor) + 1.0 }
}

fn llama3(frequency: f64, factor: f64, (low, high): (f64, f64), context: f64) -> f64 {
    let waves = context * frequency / (2.0 * PI);
    if waves < low {
        return frequency / factor;
    }
    if waves > high {
        return frequency;
    }
    let kept = (waves - low) / (high - low);
    (1.0 - kept) * frequency / factor + kept * frequency
}

impl Yarn {
    fn stretch(&self, plain: &[f64], base: f64) -> Vec<f64> {
        let dim = 2.0 * plain.len() as f64;
        // The pair that turns `turns` times in the first context.
        let pair_of = |turns: f64| dim * libm::log(self.context / (turns * 2.0 * PI)) / (2.0 * libm::log(base));
        let (low, high) = (pair_of(self.fast), pair_of(self.slow));
        let (low, high) = if self.whole { (low.floor(), high.ceil()) } else { (low, high) };
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

    fn rope(base: f64, dim: u32, scaling: Scaling) -> Rope {
        Rope { base, dim, scaling }
    }

    /// Values of transformers' `ROPE_INIT_FUNCTIONS` formulas, computed with Python's `math` in double precision.
    #[test]
    fn stretched_frequencies_are_those_of_the_papers() {
        let near = |found: f64, wanted: f64| assert!((found / wanted - 1.0).abs() < 1e-12, "{found} for {wanted}");
        let llama3 = Scaling::Llama3 { factor: 32.0, low: 1.0, high: 4.0, context: 8192.0 };
        let llama3 = rope(500_000.0, 64, llama3).frequencies().unwrap();
        for (pair, wanted) in LLAMA3 {
            near(llama3[pair], wanted);
        }
        let yarn = Yarn { factor: 4.0, context: 32768.0, fast: 32.0, slow: 1.0, whole: true, attention: None };
        let yarn = rope(1_000_000.0, 128, Scaling::Yarn(yarn));
        let frequencies = yarn.frequencies().unwrap();
        for (pair, wanted) in YARN {
            near(frequencies[pair], wanted);
        }
        near(yarn.score_factor(), YARN_SCORES);
        near(rope(10_000.0, 4, Scaling::Linear(2.5)).frequencies().unwrap()[1], 0.004);
        near(rope(10_000.0, 4, Scaling::Factors(vec![1.0, 8.0])).frequencies().unwrap()[1], 0.00125);
    }

    #[test]
    fn numbers_that_make_no_frequency_are_refused() {
        assert!(rope(0.0, 4, Scaling::None).frequencies().unwrap_err().contains("base"));
        assert!(rope(f64::NAN, 4, Scaling::None).frequencies().is_err());
        assert!(rope(1e4, 4, Scaling::Linear(0.0)).frequencies().unwrap_err().contains("inf"));
        assert!(rope(1e4, 4, Scaling::Factors(vec![1.0])).frequencies().unwrap_err().contains("1 rotary factors for 2 pairs"));
        let yarn = Yarn { factor: 4.0, context: 0.0, fast: 0.0, slow: 0.0, whole: true, attention: None };
        let _ = rope(1e4, 4, Scaling::Yarn(yarn)).frequencies();
    }

    const LLAMA3: [(usize, f64); 4] =
        [(3, 0.292_227_822_573_015_1), (15, 0.001_290_547_928_209_264), (17, 9.708_287_802_627_67e-5), (31, 9.418_306_725_434_909e-8)];
    const YARN: [(usize, f64); 4] =
        [(5, 0.339_820_832_894_255_9), (25, 0.004_131_738_022_518_394), (32, 0.000_602_941_176_470_588_2), (63, 3.102_344_401_879_299e-7)];
    const YARN_SCORES: f64 = 1.296_476_992_780_706_3;
}
