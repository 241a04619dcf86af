//! Sampling of the next token from logits: greedy, or with temperature, top-k, nucleus (top-p) and a repetition penalty.
//!
//! A token's weight is the integer `exp_neg_q30((logit - max) / temperature)`; everything after it is integer arithmetic, so a seed yields the
//! same tokens on every target. The k-th largest weight and the smallest set that reaches the mass p are found by bisection on the weight, bit
//! by bit (31 passes over the vocabulary each), which needs neither a sort nor memory: weights overwrite the logits.

use crate::error::Error;
use crate::numeric::exp_neg_q30;

/// `exp_neg_q30` is 0 for all inputs below this.
const EXP_FLOOR: f32 = -32.0;

/// Sampling parameters and the state of the random number generator. 32 bytes; a copy draws the same tokens again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// SplitMix64.
    state: u64,
    temperature: f32,
    top_k: u32,
    top_p: f32,
    repetition_penalty: f32,
}

impl Sampler {
    /// A sampler that takes the token with the largest logit; of equal logits, the lowest token id.
    #[must_use]
    pub const fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::new(0) }
    }

    /// A sampler that draws from the whole distribution at temperature 1, with random numbers determined by `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed, temperature: 1.0, top_k: u32::MAX, top_p: 1.0, repetition_penalty: 1.0 }
    }

    /// Divides the logits by `temperature`; 0 is greedy.
    ///
    /// # Errors
    /// [`Error::Sampling`] if it is negative, infinite or NaN.
    pub fn with_temperature(self, temperature: f32) -> Result<Self, Error> {
        if !temperature.is_finite() || temperature < 0.0 {
            return Err(Error::Sampling { name: "temperature" });
        }
        Ok(Self { temperature, ..self })
    }

    /// Keeps the `top_k` tokens with the largest weights; of equal weights, those with the lowest ids.
    ///
    /// # Errors
    /// [`Error::Sampling`] if it is 0.
    pub fn with_top_k(self, top_k: u32) -> Result<Self, Error> {
        if top_k == 0 {
            return Err(Error::Sampling { name: "top_k" });
        }
        Ok(Self { top_k, ..self })
    }

    /// Keeps the fewest tokens whose weights sum to at least `top_p` of the total, after top-k (nucleus sampling, Holtzman et al. 2020); of
    /// equal weights, those with the lowest ids. 1 keeps all.
    ///
    /// # Errors
    /// [`Error::Sampling`] unless it is above 0 and at most 1.
    pub fn with_top_p(self, top_p: f32) -> Result<Self, Error> {
        if top_p > 0.0 && top_p <= 1.0 { Ok(Self { top_p, ..self }) } else { Err(Error::Sampling { name: "top_p" }) }
    }

    /// Makes recent tokens less likely: divides positive logits by `penalty` and multiplies the others by it (CTRL, Keskar et al.
    /// 2019, section 4.1). 1 changes nothing; values below 1 favour recent tokens.
    ///
    /// # Errors
    /// [`Error::Sampling`] unless it is finite and above 0.
    pub fn with_repetition_penalty(self, penalty: f32) -> Result<Self, Error> {
        if !penalty.is_finite() || penalty <= 0.0 {
            return Err(Error::Sampling { name: "repetition_penalty" });
        }
        Ok(Self { repetition_penalty: penalty, ..self })
    }

    /// Chooses a token. `logits` is (vocab), finite, **overwritten**. `recent` are the tokens that the repetition penalty applies to; each distinct
    /// token is penalized once. It is read only if there is a penalty; the time is then quadratic in its length.
    ///
    /// Returns an index into `logits`, or 0 if there are none.
    pub fn sample(&mut self, logits: &mut [f32], recent: &[u32]) -> u32 {
        if self.repetition_penalty != 1.0 {
            penalize(logits, recent, self.repetition_penalty);
        }
        let (best, max) = largest(logits);
        if self.temperature == 0.0 {
            return best;
        }
        to_weights(logits, max, self.temperature);
        let weights = logits; // (vocab), bit patterns of u32 from here on
        keep_top_k(weights, self.top_k);
        keep_top_p(weights, self.top_p);
        let total = sum_from(weights, 0);
        let (mut point, _) = multiply(self.random(), total); // uniform in 0..total
        for (token, weight) in (0..).zip(values(weights)) {
            match point.checked_sub(weight.into()) {
                Some(left) => point = left,
                None => return token,
            }
        }
        best
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The first of the largest logits, and its value.
fn largest(logits: &[f32]) -> (u32, f32) {
    let mut best = (0, f32::NEG_INFINITY);
    for (token, &logit) in (0..).zip(logits) {
        if logit > best.1 {
            best = (token, logit);
        }
    }
    best
}

fn penalize(logits: &mut [f32], recent: &[u32], penalty: f32) {
    for (index, token) in recent.iter().enumerate() {
        if recent.iter().take(index).any(|earlier| earlier == token) {
            continue;
        }
        if let Some(logit) = logits.get_mut(*token as usize) {
            *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
        }
    }
}

/// Replaces each logit by its weight: 2^30 for the largest, within the error of `exp_neg_q30`. Read as floats, these bits are in about 0..=2, so
/// moving them never encounters a NaN.
fn to_weights(logits: &mut [f32], max: f32, temperature: f32) {
    let inverse = 1.0 / temperature;
    for logit in logits {
        let scaled = (*logit - max) * inverse;
        // A NaN, from an infinite inverse or an infinite logit, gets a weight of 0; if no weight is left, the largest logit is taken.
        let weight = if scaled > EXP_FLOOR { exp_neg_q30(scaled) } else { 0 };
        *logit = f32::from_bits(weight);
    }
}

fn values(weights: &[f32]) -> impl Iterator<Item = u32> + '_ {
    weights.iter().map(|weight| weight.to_bits())
}

/// The sum of the weights that are at least `threshold`. Below 2^63: each weight is below 2^31, a token is a u32.
fn sum_from(weights: &[f32], threshold: u32) -> u64 {
    values(weights).filter(|&weight| weight >= threshold).fold(0, |sum, weight| sum.wrapping_add(weight.into()))
}

fn count_from(weights: &[f32], threshold: u32) -> u64 {
    values(weights).filter(|&weight| weight >= threshold).fold(0, |count, _| count.wrapping_add(1))
}

/// The largest threshold in 0..2^31 at which `enough` holds. It must hold at 0, and never hold again after it first fails.
fn bisect(enough: impl Fn(u32) -> bool) -> u32 {
    (0..31).rev().map(|bit| 1 << bit).fold(0, |threshold, bit| if enough(threshold | bit) { threshold | bit } else { threshold })
}

/// Sets all weights below `threshold` to 0, and of those equal to it all except the first ones, for which `keep` holds.
fn keep_from(weights: &mut [f32], threshold: u32, mut keep: impl FnMut() -> bool) {
    for weight in weights {
        let value = weight.to_bits();
        if value < threshold || (value == threshold && !keep()) {
            *weight = 0.0;
        }
    }
}

fn keep_top_k(weights: &mut [f32], top_k: u32) {
    let top_k = u64::from(top_k);
    if top_k >= weights.len() as u64 {
        return;
    }
    let threshold = bisect(|threshold| count_from(weights, threshold) >= top_k);
    let mut equal = top_k.saturating_sub(count_from(weights, threshold.wrapping_add(1)));
    keep_from(weights, threshold, || {
        let keep = equal > 0;
        equal = equal.saturating_sub(1);
        keep
    });
}

fn keep_top_p(weights: &mut [f32], top_p: f32) {
    if top_p >= 1.0 {
        return;
    }
    // p as a fraction of 2^64: exact down to 2^-40, and the product is rounded up, so the mass is reached, not just approached.
    let (whole, fraction) = multiply((top_p * 18_446_744_073_709_551_616.0) as u64, sum_from(weights, 0));
    let mass = whole.wrapping_add(u64::from(fraction != 0)).max(1);
    let threshold = bisect(|threshold| sum_from(weights, threshold) >= mass);
    let mut missing = mass.saturating_sub(sum_from(weights, threshold.wrapping_add(1)));
    keep_from(weights, threshold, || {
        let keep = missing > 0;
        missing = missing.saturating_sub(threshold.into());
        keep
    });
}

/// The product of two u64 as (high, low) words, without a 128-bit type, which is slow on 32-bit targets.
fn multiply(a: u64, b: u64) -> (u64, u64) {
    let (a_high, a_low) = (a >> 32, a & 0xffff_ffff);
    let (b_high, b_low) = (b >> 32, b & 0xffff_ffff);
    let low = a_low.wrapping_mul(b_low);
    // No sum below exceeds (2^32 - 1)^2 + (2^32 - 1) < 2^64.
    let middle = a_high.wrapping_mul(b_low).wrapping_add(low >> 32);
    let cross = a_low.wrapping_mul(b_high).wrapping_add(middle & 0xffff_ffff);
    let high = a_high.wrapping_mul(b_high).wrapping_add(middle >> 32).wrapping_add(cross >> 32);
    (high, (cross << 32) | (low & 0xffff_ffff))
}

#[cfg(test)]
mod tests {
    use super::multiply;

    #[test]
    fn multiply_equals_128_bits() {
        let words = [0, 1, 2, 0xffff_ffff, 0x1_0000_0000, 0x8000_0001_7fff_ffff, 0x0123_4567_89ab_cdef, u64::MAX - 1, u64::MAX];
        for (a, b) in words.iter().flat_map(|&a| words.map(|b| (a, b))) {
            let product = u128::from(a) * u128::from(b);
            assert_eq!(multiply(a, b), ((product >> 64) as u64, product as u64));
        }
    }
}
