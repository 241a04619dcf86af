//! The transcription loop: each window of audio passes through the encoder, then the decoder generates its tokens.

use std::time::Instant;

use attoformer::Decoder;
use attoformer::frontend::Frontend;
use attoformer::image::GenerationConfig;
use attoformer::{End, Error, Hooks, Limits, Sampler, Session, Tokenizer};

use super::options::TranscribeOptions;
use super::timestamps::{SegmentTokens, TimestampRules};
use super::transcript::{Segment, Transcript};
use crate::run::audio;

/// Tokens per window at most: half of the decoder's context, as in Whisper.
const TOKENS_MAX: usize = 224;
/// A window is silent if the no-speech probability exceeds this and the mean log-probability of its tokens is at most
/// [`LOG_PROB_THRESHOLD`] (Radford et al. 2022, section 3.8).
const NO_SPEECH_THRESHOLD: f64 = 0.6;
const LOG_PROB_THRESHOLD: f64 = -1.0;

/// Transcribes audio window by window. Passes the text to `on_text` as it becomes available; with timestamps, one line per segment once its window is
/// done.
///
/// Windows are contiguous. With timestamps, a window whose last segment is open is followed by a window that starts at the last segment end.
///
/// # Errors
/// [`Error::Architecture`] for a model that does not support transcription or timestamps, and other errors of the engine.
pub fn transcribe(
    session: &mut Session,
    frontend: &Frontend<'_>,
    samples: &[f32],
    options: TranscribeOptions,
    mut on_text: impl FnMut(&str),
) -> Result<Transcript, Error> {
    let image = *session.image();
    let generation_config = image.generation_config().ok_or(Error::Architecture { asked: "transcription" })?;
    let timestamps = match TimestampRules::of(image.config(), &generation_config) {
        None if options.timestamps => return Err(Error::Architecture { asked: "timestamps" }),
        timestamps => timestamps.filter(|_| options.timestamps),
    };
    let transcript = Transcript { language: options.language, ..Transcript::default() };
    let tokenizer = image.tokenizer()?;
    let mut transcriber = Transcriber { session, frontend, generation_config, tokenizer, timestamps, options, transcript };
    let mut at = 0;
    while let Some(rest) = samples.get(at..).filter(|rest| !rest.is_empty()) {
        let clip = &rest[..rest.len().min(frontend.samples())];
        at += match timestamps {
            None => transcriber.plain_window(clip, &mut on_text)?,
            Some(timestamps) => transcriber.segmented_window(clip, at, &timestamps, &mut on_text)?,
        };
    }
    Ok(transcriber.transcript)
}

/// State of a transcription: what all windows share, and the transcript so far.
struct Transcriber<'w, 's, 'i> {
    session: &'w mut Session<'s>,
    frontend: &'w Frontend<'i>,
    generation_config: GenerationConfig<'i>,
    tokenizer: Tokenizer<'i>,
    timestamps: Option<TimestampRules>,
    options: TranscribeOptions,
    transcript: Transcript,
}

impl Transcriber<'_, '_, '_> {
    /// Transcribes a window without timestamps. Returns the number of samples that it covers.
    fn plain_window(&mut self, clip: &[f32], on_text: &mut dyn FnMut(&str)) -> Result<usize, Error> {
        self.encode_window(clip)?;
        let began = Instant::now();
        let (mut decoder, mut text) = (Decoder::mid_text(), String::new());
        let tokenizer = self.tokenizer;
        let tokens = self.decode_window(|token, _| {
            let piece = decoder.push(&tokenizer, token)?;
            on_text(piece);
            text.push_str(piece);
            Ok(())
        })?;
        let tail = decoder.finish();
        on_text(tail);
        self.transcript.text.push_str(&text);
        self.transcript.text.push_str(tail);
        self.transcript.tokens.extend(tokens);
        self.transcript.decode += began.elapsed();
        Ok(self.frontend.samples())
    }

    /// Transcribes a window into segments. Returns the number of samples up to the next window.
    fn segmented_window(
        &mut self,
        clip: &[f32],
        at: usize,
        timestamps: &TimestampRules,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<usize, Error> {
        let no_speech = self.encode_window(clip)?;
        let began = Instant::now();
        let mut log_prob = 0.0;
        let tokens = self.decode_window(|token, logits| {
            log_prob += ln_probability(logits, token);
            Ok(())
        })?;
        let eos = self.session.config().eos;
        log_prob += ln_probability(self.session.logits(), eos);
        let silent = no_speech > NO_SPEECH_THRESHOLD && log_prob / (tokens.len() + 1) as f64 <= LOG_PROB_THRESHOLD;
        let (segments, next) = timestamps.split_segments(&tokens);
        // A timestamp step covers as many samples as one encoder position.
        let samples_per_step = self.frontend.samples() / self.session.config().encoder_context.max(1) as usize;
        let seconds = |samples: usize| samples as f64 / f64::from(self.frontend.sample_rate);
        for SegmentTokens { start, end, tokens: range } in segments.into_iter().filter(|_| !silent) {
            let text = self.text(&tokens[range.clone()])?;
            self.transcript.tokens.extend(&tokens[range]);
            if text.trim().is_empty() {
                continue;
            }
            let end = end.map_or(clip.len(), |end| end as usize * samples_per_step);
            let segment = Segment { start: seconds(at + start as usize * samples_per_step), end: seconds(at + end), text };
            on_text(&format!("{segment}\n"));
            self.transcript.text.push_str(&segment.text);
            self.transcript.segments.push(segment);
        }
        self.transcript.decode += began.elapsed();
        Ok(next.map_or(self.frontend.samples(), |next| (next as usize * samples_per_step).max(1)))
    }

    /// The text of a segment's tokens, without its timestamps.
    fn text(&self, tokens: &[u32]) -> Result<String, Error> {
        let (mut decoder, mut text) = (Decoder::mid_text(), String::new());
        for &token in tokens.iter().filter(|&&token| !self.timestamps.is_some_and(|timestamps| timestamps.contains(token))) {
            text.push_str(decoder.push(&self.tokenizer, token)?);
        }
        Ok(text + decoder.finish())
    }

    /// Encodes a window and feeds the prompt. The first window determines the language unless it was given. Returns the no-speech probability.
    fn encode_window(&mut self, clip: &[f32]) -> Result<f64, Error> {
        let began = Instant::now();
        self.session.encode_features(&audio::features(self.frontend, clip))?;
        self.transcript.encode += began.elapsed();
        let began = Instant::now();
        let logits = self.session.prefill(&self.generation_config.prompt[..1])?;
        self.transcript.language = self.transcript.language.or_else(|| self.generation_config.detect_language(logits));
        // The no-speech token precedes the no-timestamps token in every vocabulary of this family.
        let no_speech = self.timestamps.map_or(0.0, |_| ln_probability(logits, self.generation_config.no_timestamps - 1).exp());
        let prompt = self.generation_config.prompt_for(self.transcript.language, self.options.translate, self.options.timestamps);
        let rest: Vec<u32> = prompt.skip(1).collect();
        if !rest.is_empty() {
            self.session.prefill(&rest)?;
        }
        self.transcript.decode += began.elapsed();
        Ok(no_speech)
    }

    /// Generates the tokens of a window; passes each to `on_token` with the logits that it was chosen from.
    fn decode_window(&mut self, mut on_token: impl FnMut(u32, &[f32]) -> Result<(), Error>) -> Result<Vec<u32>, Error> {
        let mut rules = Rules { config: self.generation_config, timestamps: self.timestamps, tokens: Vec::new() };
        let limit = TOKENS_MAX.min(self.session.remaining());
        let mut generation = self.session.continue_generation(Sampler::greedy(), Limits::tokens(limit))?;
        while let Some(piece) = generation.next_piece_with(&mut rules)? {
            let Some(token) = piece.token else { continue };
            rules.tokens.push(token);
            on_token(token, generation.logits())?;
        }
        if let Some(&last) = rules.tokens.last().filter(|_| generation.end() == Some(End::Limit)) {
            // The probability of EOS after the last token counts, too.
            self.session.step(last)?;
        }
        Ok(rules.tokens)
    }
}

/// The logits processor of a transcript: suppressed tokens, and the order of timestamps.
struct Rules<'i> {
    config: GenerationConfig<'i>,
    timestamps: Option<TimestampRules>,
    /// Tokens of the window so far.
    tokens: Vec<u32>,
}

impl Hooks for Rules<'_> {
    fn process_logits(&mut self, generated: usize, logits: &mut [f32]) {
        self.config.suppress(generated == 0, logits);
        if let Some(timestamps) = &self.timestamps {
            timestamps.apply(&self.tokens, logits);
        }
    }
}

/// Natural logarithm of a token's probability. Computed with libm: the system's functions differ in the last bits.
fn ln_probability(logits: &[f32], token: u32) -> f64 {
    let largest = f64::from(logits.iter().copied().fold(f32::MIN, f32::max));
    let sum: f64 = logits.iter().map(|&logit| libm::exp(f64::from(logit) - largest)).sum();
    f64::from(logits.get(token as usize).copied().unwrap_or(f32::MIN)) - largest - libm::log(sum)
}
