//! How a transcript begins, and which tokens are never written (Radford et al. 2022, section 2.3).

use super::bytes::u32_at;
use zerocopy::FromBytes;

/// Tokens that a decoder starts from, and tokens that it may not choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoding<'a> {
    /// Fed first.
    pub prompt: &'a [u32],
    /// Never chosen.
    pub suppressed: &'a [u32],
    /// Not chosen as the first token.
    pub suppressed_first: &'a [u32],
}

impl<'a> Decoding<'a> {
    /// Reads the section: three counts, then the three lists, all ids below `vocab`.
    pub(super) fn read(bytes: &'a [u8], vocab: u32) -> Option<Self> {
        let words = <[u32]>::ref_from_bytes(bytes.get(12..)?).ok()?;
        let (prompt, rest) = words.split_at_checked(u32_at(bytes, 0) as usize)?;
        let (suppressed, suppressed_first) = rest.split_at_checked(u32_at(bytes, 4) as usize)?;
        let agree = suppressed_first.len() == u32_at(bytes, 8) as usize && !prompt.is_empty();
        (agree && words.iter().all(|&token| token < vocab)).then_some(Decoding { prompt, suppressed, suppressed_first })
    }

    /// Makes the tokens that may not be chosen unlikely beyond all others.
    pub fn suppress(&self, first: bool, logits: &mut [f32]) {
        let also = if first { self.suppressed_first } else { &[] };
        for &token in self.suppressed.iter().chain(also) {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit = f32::MIN;
            }
        }
    }
}
