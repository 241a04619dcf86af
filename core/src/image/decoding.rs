//! How a transcript begins, and which tokens are never written (Radford et al. 2022, section 2.3).
//!
//! The prompt is complete as it stands: English, or what the model hears, in words without times. Other prompts are this one with a token
//! changed, which [`Decoding::prompt_for`] does. What a transcript with timestamps may say after that is the caller's to rule; the host
//! tool's rules are in its `transcribe/timestamps.rs`.

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
    /// A token for each language of a multilingual model, whose piece is its code, such as `<|en|>`; none where there is one language.
    pub languages: &'a [u32],
    /// The token that asks for the words as they are said; 0 where none does.
    pub transcribe: u32,
    /// The token that asks for the words in English; 0 where none does.
    pub translate: u32,
    /// The token that asks for words without times; 0 where none does. Timestamps are all tokens behind it.
    pub no_timestamps: u32,
    /// The latest timestamp that a window may begin with, counted from 0 s.
    pub first_timestamp_max: u32,
}

/// Bytes before the lists.
const HEADER_BYTES: usize = 32;

impl<'a> Decoding<'a> {
    /// Reads the section: four counts, four tokens or limits, then the four lists, all ids below `vocab`.
    pub(super) fn read(bytes: &'a [u8], vocab: u32) -> Option<Self> {
        let words = <[u32]>::ref_from_bytes(bytes.get(HEADER_BYTES..)?).ok()?;
        let (prompt, rest) = words.split_at_checked(u32_at(bytes, 0) as usize)?;
        let (suppressed, rest) = rest.split_at_checked(u32_at(bytes, 4) as usize)?;
        let (suppressed_first, languages) = rest.split_at_checked(u32_at(bytes, 8) as usize)?;
        let [transcribe, translate, no_timestamps, first_timestamp_max] = [16, 20, 24, 28].map(|at| u32_at(bytes, at));
        let known = words.iter().chain(&[transcribe, translate, no_timestamps]).all(|&token| token < vocab);
        let agree = languages.len() == u32_at(bytes, 12) as usize && !prompt.is_empty() && known;
        let decoding =
            Decoding { prompt, suppressed, suppressed_first, languages, transcribe, translate, no_timestamps, first_timestamp_max };
        agree.then_some(decoding)
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

    /// The likeliest language by the logits behind the prompt's first token; `None` where there is only one.
    pub fn likeliest_language(&self, logits: &[f32]) -> Option<u32> {
        let logit = |token: u32| logits.get(token as usize).copied().unwrap_or(f32::MIN);
        self.languages.iter().copied().reduce(|best, token| if logit(token) > logit(best) { token } else { best })
    }

    /// The prompt for another language (a token of [`Decoding::languages`]), translation, and a transcript with timestamps.
    pub fn prompt_for(&self, language: Option<u32>, translate: bool, timestamps: bool) -> impl Iterator<Item = u32> {
        let kept = move |&&token: &&u32| !(timestamps && token == self.no_timestamps);
        self.prompt.iter().filter(kept).map(move |&token| match language {
            Some(language) if self.languages.contains(&token) => language,
            _ if translate && token == self.transcribe => self.translate,
            _ => token,
        })
    }
}
