//! The golden vector: an input that needs no tokenizer, and the output hash that the scalar kernels compute for it.

use attoformer::image::Image;
use attoformer::image::{Architecture, Config, InputStem};
use attoformer::{Plan, Session, arena_bytes, kernels};

use super::error::PackError;
use super::sections::put_words;
use crate::files::AlignedBytes;

/// Offset of the hash in the golden section.
pub const GOLDEN_HASH_OFFSET: usize = 8;

/// Input of a golden vector.
pub struct GoldenInput {
    /// Tokens to feed.
    tokens: Vec<u32>,
    /// Features `(rows, features)`.
    features: Vec<f32>,
    /// Rows of features.
    rows: u32,
    /// Tokens to generate.
    generate: u32,
}

/// Tokens or rows of features that are fed.
const FED: u32 = 8;
/// Tokens that are generated.
const GENERATED: u32 = 8;

impl GoldenInput {
    /// The input for a model: BOS and a few tokens spread over the vocabulary, which reach other rows of the embedding than a common phrase
    /// would, or a few rows of features; then some tokens are generated.
    pub fn new(config: &Config) -> Self {
        let fed = if config.has_embedding() { FED.min(config.context) } else { 0 };
        let source = if config.has_cross() { config.encoder_context } else { config.context };
        // A convolution stem halves the frames; a class token takes one of the positions.
        let rows = if config.input_stem == InputStem::Tokens { 0 } else { FED.min(source).max(2) - u32::from(config.class_token) };
        let spread = (1..fed).map(|index| (index as u64 * config.vocab as u64 / fed as u64) as u32);
        let features = (1..=rows * config.features).map(|index| (index.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0);
        GoldenInput {
            tokens: std::iter::once(config.bos).chain(spread).take(fed as usize).collect(),
            features: features.collect(),
            rows,
            // The last generated token is not fed, so even a context of one token suffices for one.
            generate: if config.architecture == Architecture::Encoder { 0 } else { GENERATED.min(config.context - fed + 1) },
        }
    }

    /// Appends the golden section with a zero hash.
    pub fn put(&self, out: &mut Vec<u8>) {
        put_words(out, [self.tokens.len() as u32, self.generate, 0, self.rows]);
        put_words(out, self.tokens.iter().copied());
        put_words(out, self.features.iter().map(|value| value.to_bits()));
    }
}

/// Runs the golden input with the scalar kernels, which are the specification, and returns the output hash.
///
/// # Errors
/// [`PackError::Memory`]; [`PackError::Rejected`] if the engine refuses the image.
pub fn golden_hash(image: &[u8]) -> Result<u32, PackError> {
    let image = Image::new(image).map_err(PackError::Rejected)?;
    // A longer context changes no bit of the output, but takes memory.
    let plan = Plan::packed(image.config()).with_context(image.config().context.min(FED + GENERATED));
    let bytes = arena_bytes(image.config(), plan);
    let mut arena = AlignedBytes::try_zeroed(bytes).ok_or(PackError::Memory { bytes })?;
    let mut session = Session::with_kernels(&image, &mut arena, plan, &kernels::SCALAR).map_err(PackError::Rejected)?;
    session.golden_hash(&image.golden()).map_err(PackError::Rejected)
}
