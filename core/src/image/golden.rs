//! The golden vector: a short input and the hash of the model's output for it.

use crate::error::Error;
use crate::format::field::u32_at;
use crate::format::section;
use crate::format::{Architecture, Config, InputStem};
use zerocopy::FromBytes;

/// A short input and its `output_hash`, replayed by `Session::self_test`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Golden<'a> {
    /// Tokens to feed; an encoder-decoder that reads tokens encodes them first. Empty for an encoder of features.
    pub tokens: &'a [u32],
    /// Rows of features to encode, for models that read them.
    pub features: &'a [f32],
    /// Tokens to generate greedily after them, at least one; 0 for an encoder.
    pub generate: u32,
    /// [`crate::OutputHash`] of an encoder's output, then of the generated tokens.
    pub hash: u32,
}

impl<'a> Golden<'a> {
    /// No input and no output.
    pub(super) const EMPTY: Golden<'static> = Golden { tokens: &[], features: &[], generate: 0, hash: 0 };

    pub(super) fn parse(bytes: &'a [u8], config: &Config) -> Result<Self, Error> {
        let wrong = Error::Section { kind: section::GOLDEN };
        let (fed, generate, rows) = (u32_at(bytes, 0), u32_at(bytes, 4), u32_at(bytes, 12));
        let words = bytes.get(16..).and_then(|rest| <[u32]>::ref_from_bytes(rest).ok()).ok_or(wrong)?;
        let (tokens, rest) = words.split_at_checked(fed as usize).ok_or(wrong)?;
        let features: &[f32] = zerocopy::transmute_ref!(rest);
        // The token generated last is not fed.
        let places = fed as u64 + (generate as u64).saturating_sub(1);
        let generates = config.architecture != Architecture::Encoder;
        let reads = config.input_stem != InputStem::Tokens;
        let fits = features.len() as u64 == rows as u64 * config.features as u64
            && (rows != 0) == reads
            && (fed != 0) == config.has_embedding()
            && (generate != 0) == generates
            && places <= config.context as u64;
        if fits && tokens.iter().all(|&token| token < config.vocab) {
            Ok(Golden { tokens, features, generate, hash: u32_at(bytes, 8) })
        } else {
            Err(wrong)
        }
    }
}
