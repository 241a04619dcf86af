//! Calibration samples: sequences of tokens, or rows of features.

use attoformer::image::{Config, InputStem};

use super::layer_image::{Lengths, Stack};

/// Amount of calibration data.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// Tokens of all sequences together.
    pub tokens: usize,
    /// Tokens of a sequence, at most.
    pub sequence: usize,
}

/// Input of an encoder.
#[derive(Clone, Debug)]
pub enum Input {
    /// The model has no encoder.
    Nothing,
    /// Tokens.
    Tokens(Vec<u32>),
    /// Rows of features, `(frames, features)`.
    Features(Vec<f32>),
}

/// One sample.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Input of the encoder.
    pub input: Input,
    /// Tokens of the decoder; empty for encoders.
    pub target: Vec<u32>,
}

/// Samples of one origin.
#[derive(Clone, Debug)]
pub struct Samples {
    /// The samples, those of the measurement last.
    pub samples: Vec<Sample>,
    /// Number of samples at the end that nothing is tuned on: the loss is measured on them.
    pub held_out: usize,
    /// Where they come from, in the user's words.
    pub origin: String,
}

/// One sample in this number is held out.
const HELD_OUT_OF: usize = 12;

impl Samples {
    /// Samples of an origin, of which every twelfth is held out, or one if there are fewer.
    pub fn new(samples: Vec<Sample>, origin: impl Into<String>) -> Self {
        let held_out = if samples.len() > 1 { samples.len().div_ceil(HELD_OUT_OF) } else { 0 };
        let first = (HELD_OUT_OF / 2).min(samples.len().saturating_sub(1));
        let is_held_out = |index: usize| held_out > 0 && index % HELD_OUT_OF == first;
        let (mut later, mut kept) = (Vec::new(), Vec::new());
        for (index, sample) in samples.into_iter().enumerate() {
            if is_held_out(index) { later.push(sample) } else { kept.push(sample) }
        }
        let held_out = later.len();
        kept.extend(later);
        Samples { samples: kept, held_out, origin: origin.into() }
    }

    /// Number of samples that the model is tuned on, which come first.
    pub fn tuned(&self) -> usize {
        self.samples.len() - self.held_out
    }

    /// The distinct tokens of all samples in ascending order; one token where there are none.
    pub fn vocabulary(&self) -> Vec<u32> {
        let of = |sample: &Sample| match &sample.input {
            Input::Tokens(tokens) => tokens.iter().chain(&sample.target).copied().collect::<Vec<u32>>(),
            _ => sample.target.clone(),
        };
        let mut tokens: Vec<u32> = self.samples.iter().flat_map(of).collect();
        tokens.sort_unstable();
        tokens.dedup();
        if tokens.is_empty() {
            tokens.push(0);
        }
        tokens
    }

    /// Rows of the longest sample.
    pub fn lengths(&self, config: &Config) -> Lengths {
        let encoder = |sample: &Sample| match &sample.input {
            Input::Nothing => 1,
            Input::Tokens(tokens) => tokens.len(),
            Input::Features(features) => {
                let frames = features.len() / config.features.max(1) as usize;
                match config.input_stem {
                    InputStem::Convolution => frames.div_ceil(2),
                    _ => frames + usize::from(config.class_token),
                }
            }
        };
        let longest = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(1).max(1) as u32;
        Lengths {
            decoder: longest(&mut self.samples.iter().map(|sample| sample.target.len())),
            encoder: longest(&mut self.samples.iter().map(encoder)),
        }
    }
}

impl Sample {
    /// The tokens that a stack reads, as indices into the vocabulary; empty for features.
    pub fn tokens(&self, stack: Stack, vocabulary: &[u32]) -> Vec<u32> {
        let tokens = match (stack, &self.input) {
            (Stack::Decoder, _) => &self.target,
            (Stack::Encoder, Input::Tokens(tokens)) => tokens,
            (Stack::Encoder, _) => return Vec::new(),
        };
        let index = |token: &u32| vocabulary.binary_search(token).map_or(0, |index| index as u32);
        tokens.iter().map(index).collect()
    }
}
