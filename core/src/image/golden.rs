//! The golden vector: a short input and the hash of what the model makes of it.

use super::bytes::u32_at;
use super::header::{Architecture, Config, Front};
use super::section;
use crate::error::Error;
use zerocopy::FromBytes;

/// A short input and its `output_hash`, replayed by `Session::self_test`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Golden<'a> {
    /// Tokens to feed; an encoder-decoder that reads tokens encodes them first. None for an encoder of features.
    pub tokens: &'a [u32],
    /// Rows of features to encode, for models that read them.
    pub features: &'a [f32],
    /// Tokens to generate greedily after them, at least one; 0 for an encoder.
    pub generate: u32,
    /// [`crate::OutputHash`] of what an encoder puts out, then of the generated tokens.
    pub hash: u32,
}

impl<'a> Golden<'a> {
    pub(super) fn read(bytes: &'a [u8], config: &Config) -> Result<Self, Error> {
        let wrong = Error::Section { kind: section::GOLDEN };
        let (fed, generate, rows) = (u32_at(bytes, 0), u32_at(bytes, 4), u32_at(bytes, 12));
        let words = bytes.get(16..).and_then(|rest| <[u32]>::ref_from_bytes(rest).ok()).ok_or(wrong)?;
        let (tokens, rest) = words.split_at_checked(fed as usize).ok_or(wrong)?;
        let features: &[f32] = zerocopy::transmute_ref!(rest);
        // The token generated last is not fed.
        let places = fed as u64 + (generate as u64).saturating_sub(1);
        let generates = config.architecture != Architecture::Encoder;
        let reads = config.front != Front::Tokens;
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
