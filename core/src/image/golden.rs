//! The golden vector: a short input and the hash of what the model makes of it.

use super::bytes::u32_at;
use super::header::{Architecture, Config};
use super::section;
use crate::error::Error;
use zerocopy::FromBytes;

/// A short input and its `output_hash`, replayed by `Session::self_test`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Golden<'a> {
    /// Tokens to feed, at least one.
    pub tokens: &'a [u32],
    /// Tokens to generate greedily after them, at least one; 0 for an encoder.
    pub generate: u32,
    /// [`crate::OutputHash`] of the generated tokens, or of the embedding.
    pub hash: u32,
}

impl<'a> Golden<'a> {
    pub(super) fn read(bytes: &'a [u8], config: &Config) -> Result<Self, Error> {
        let wrong = Error::Section { kind: section::GOLDEN };
        let (fed, generate) = (u32_at(bytes, 0), u32_at(bytes, 4));
        // The token generated last is not fed.
        let places = fed as u64 + (generate as u64).saturating_sub(1);
        let tokens = bytes.get(16..).and_then(|rest| <[u32]>::ref_from_bytes(rest).ok()).ok_or(wrong)?;
        let generates = config.architecture == Architecture::Decoder;
        let fits = tokens.len() == fed as usize && fed != 0 && (generate != 0) == generates && places <= config.context as u64;
        if fits && tokens.iter().all(|&token| token < config.vocab) {
            Ok(Golden { tokens, generate, hash: u32_at(bytes, 8) })
        } else {
            Err(wrong)
        }
    }
}
