//! Decoder prompt and suppressed tokens of a transcription model, as `generation_config.json` states them (Radford et al. 2022, section 2.3).
//!
//! The prompt asks for a transcript in English, or in the language that the model detects, without timestamps. [`GenerationConfig::prompt_for`]
//! derives the other prompts from it. The rules for timestamps are the caller's; those of the host tool are in its `transcribe` module.

use crate::format::field::u32_at;
use zerocopy::FromBytes;

/// The decoder's prompt, and tokens that must not be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenerationConfig<'a> {
    /// The decoder prompt.
    pub prompt: &'a [u32],
    /// Tokens never chosen.
    pub suppressed: &'a [u32],
    /// Tokens not chosen as the first token of the transcript.
    pub suppressed_first: &'a [u32],
    /// Language tokens of a multilingual model, such as `<|en|>`; empty for a monolingual model.
    pub languages: &'a [u32],
    /// The `<|transcribe|>` token; 0 for none.
    pub transcribe: u32,
    /// The `<|translate|>` token, which asks for English text; 0 for none.
    pub translate: u32,
    /// The `<|notimestamps|>` token; 0 for none. All later ids are timestamps.
    pub no_timestamps: u32,
    /// Index of the latest timestamp that a window may begin with, counted from 0 s.
    pub first_timestamp_max: u32,
}

/// Bytes before the lists.
const HEADER_BYTES: usize = 32;

impl<'a> GenerationConfig<'a> {
    /// Parses the section: four counts, four tokens or limits, then the four lists. All ids are below `vocab`.
    pub(super) fn parse(bytes: &'a [u8], vocab: u32) -> Option<Self> {
        let words = <[u32]>::ref_from_bytes(bytes.get(HEADER_BYTES..)?).ok()?;
        let (prompt, rest) = words.split_at_checked(u32_at(bytes, 0) as usize)?;
        let (suppressed, rest) = rest.split_at_checked(u32_at(bytes, 4) as usize)?;
        let (suppressed_first, languages) = rest.split_at_checked(u32_at(bytes, 8) as usize)?;
        let [transcribe, translate, no_timestamps, first_timestamp_max] = [16, 20, 24, 28].map(|at| u32_at(bytes, at));
        let known = words.iter().chain(&[transcribe, translate, no_timestamps]).all(|&token| token < vocab);
        let agree = languages.len() == u32_at(bytes, 12) as usize && !prompt.is_empty() && known;
        let generation_config =
            GenerationConfig { prompt, suppressed, suppressed_first, languages, transcribe, translate, no_timestamps, first_timestamp_max };
        agree.then_some(generation_config)
    }

    /// Sets the logits `(vocab)` of suppressed tokens to the smallest finite value; `first` is true for the transcript's first token.
    pub fn suppress(&self, first: bool, logits: &mut [f32]) {
        let also = if first { self.suppressed_first } else { &[] };
        for &token in self.suppressed.iter().chain(also) {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit = f32::MIN;
            }
        }
    }

    /// The most likely language by the logits `(vocab)` after the prompt's first token; `None` for a monolingual model.
    #[must_use]
    pub fn detect_language(&self, logits: &[f32]) -> Option<u32> {
        let logit = |token: u32| logits.get(token as usize).copied().unwrap_or(f32::MIN);
        self.languages.iter().copied().reduce(|best, token| if logit(token) > logit(best) { token } else { best })
    }

    /// The prompt for a language (one of [`GenerationConfig::languages`]), for translation, and for a transcript with timestamps.
    pub fn prompt_for(&self, language: Option<u32>, translate: bool, timestamps: bool) -> impl Iterator<Item = u32> {
        let kept = move |&&token: &&u32| !(timestamps && token == self.no_timestamps);
        self.prompt.iter().filter(kept).map(move |&token| match language {
            Some(language) if self.languages.contains(&token) => language,
            _ if translate && token == self.transcribe => self.translate,
            _ => token,
        })
    }
}
