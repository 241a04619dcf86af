//! Sampling options, checked where they are parsed, so that a fault is one of usage and names its option.

use attoformer::{Error, Sampler};

/// 0 or above.
pub fn temperature(text: &str) -> Result<f32, String> {
    number(text, Sampler::with_temperature, "0 or a number above it")
}

/// A share of the probability.
pub fn top_p(text: &str) -> Result<f32, String> {
    number(text, Sampler::with_top_p, "above 0 and at most 1")
}

/// A divisor of logits.
pub fn repetition_penalty(text: &str) -> Result<f32, String> {
    number(text, Sampler::with_repetition_penalty, "a number above 0")
}

/// A number that the sampler takes.
fn number(text: &str, take: fn(Sampler, f32) -> Result<Sampler, Error>, what: &str) -> Result<f32, String> {
    let number = text.trim().parse().ok().filter(|&number| take(Sampler::greedy(), number).is_ok());
    number.ok_or_else(|| format!("it must be {what}"))
}
