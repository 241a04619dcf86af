//! Speech to text: windows of sound through the encoder, tokens from the decoder.

mod options;
mod timestamps;

use std::fmt::{self, Display};
use std::time::{Duration, Instant};

use attoformer::frontend::Frontend;
use attoformer::image::GenerationConfig;
use attoformer::tokenizer::Decoder;
use attoformer::{Error, Sampler, Session, Tokenizer};

use crate::run::audio;

pub use options::{TranscribeOptions, language_name};
pub use timestamps::{SegmentTokens, TimestampRules};

/// Tokens that one window becomes at most: half of the decoder's places, as Whisper has it.
const TOKENS_MAX: usize = 224;
/// A window is silent where its first logits say so with more than this probability, and the mean logarithm of its tokens' probabilities is lower
/// than that (Radford et al. 2022, section 3.8).
const NO_SPEECH_THRESHOLD: f64 = 0.6;
const LOG_PROB_THRESHOLD: f64 = -1.0;

/// A clip's text.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    /// All tokens, without the prompt and the end.
    pub tokens: Vec<u32>,
    /// Their text.
    pub text: String,
    /// Its parts, where timestamps were asked for.
    pub segments: Vec<Segment>,
    /// The token of its language, where the model knows several.
    pub language: Option<u32>,
    /// Time for features and encoder.
    pub encode: Duration,
    /// Time for the decoder.
    pub decode: Duration,
}

/// A part of a transcript, from one timestamp to another.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Segment {
    /// Seconds from the clip's start.
    pub start: f64,
    /// Seconds from the clip's start.
    pub end: f64,
    /// What is said.
    pub text: String,
}

/// `[00:00.00 --> 00:04.20] text`, with hours before the minutes where there are any.
impl Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} --> {}] {}", Timecode(self.start), Timecode(self.end), self.text.trim())
    }
}

/// Seconds as a clock shows them.
struct Timecode(f64);

impl Display for Timecode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = (self.0 * 100.0).round() as u64;
        let (seconds, minutes, hours) = (hundredths / 100 % 60, hundredths / 6000 % 60, hundredths / 360_000);
        if hours > 0 {
            write!(f, "{hours:02}:")?;
        }
        write!(f, "{minutes:02}:{seconds:02}.{:02}", hundredths % 100)
    }
}

/// Writes down what is said, window by window; `show` is given the text as it comes, or with timestamps each part's line when its window is done.
///
/// Windows follow each other without a gap. With timestamps, one whose text has a part without an end is followed by one that begins at the last end.
///
/// # Errors
/// [`Error::Architecture`] for a model that writes no transcripts, or not such ones, and what the engine says.
pub fn transcribe(
    session: &mut Session,
    frontend: &Frontend<'_>,
    samples: &[f32],
    options: TranscribeOptions,
    mut show: impl FnMut(&str),
) -> Result<Transcript, Error> {
    let image = *session.image();
    let decoding = image.generation_config().ok_or(Error::Architecture { asked: "transcribe" })?;
    let timestamps = match TimestampRules::of(image.config(), &decoding) {
        None if options.timestamps => return Err(Error::Architecture { asked: "write timestamps" }),
        timestamps => timestamps.filter(|_| options.timestamps),
    };
    let transcript = Transcript { language: options.language, ..Transcript::default() };
    let mut transcriber = Transcriber { session, frontend, decoding, tokenizer: image.tokenizer()?, timestamps, options, transcript };
    let mut at = 0;
    while let Some(rest) = samples.get(at..).filter(|rest| !rest.is_empty()) {
        let clip = &rest[..rest.len().min(frontend.samples())];
        at += match timestamps {
            None => transcriber.words(clip, &mut show)?,
            Some(timestamps) => transcriber.parts(clip, at, &timestamps, &mut show)?,
        };
    }
    Ok(transcriber.transcript)
}

/// What stays the same from window to window, and the text so far.
struct Transcriber<'w, 's, 'i> {
    session: &'w mut Session<'s>,
    frontend: &'w Frontend<'i>,
    decoding: GenerationConfig<'i>,
    tokenizer: Tokenizer<'i>,
    timestamps: Option<TimestampRules>,
    options: TranscribeOptions,
    transcript: Transcript,
}

impl Transcriber<'_, '_, '_> {
    /// A window in words without times. Returns the samples it covers.
    fn words(&mut self, clip: &[f32], show: &mut dyn FnMut(&str)) -> Result<usize, Error> {
        self.begin(clip)?;
        let began = Instant::now();
        let (mut decoder, mut text) = (Decoder::mid_text(), String::new());
        let tokenizer = self.tokenizer;
        let tokens = self.write(|token, _| {
            let piece = decoder.push(&tokenizer, token)?;
            show(piece);
            text.push_str(piece);
            Ok(())
        })?;
        let tail = decoder.finish();
        show(tail);
        self.transcript.text.push_str(&text);
        self.transcript.text.push_str(tail);
        self.transcript.tokens.extend(tokens);
        self.transcript.decode += began.elapsed();
        Ok(self.frontend.samples())
    }

    /// A window in parts with times. Returns the samples up to the next window.
    fn parts(&mut self, clip: &[f32], at: usize, timestamps: &TimestampRules, show: &mut dyn FnMut(&str)) -> Result<usize, Error> {
        let no_speech = self.begin(clip)?;
        let began = Instant::now();
        let mut certainty = 0.0;
        let tokens = self.write(|token, logits| {
            certainty += ln_probability(logits, token);
            Ok(())
        })?;
        let end = self.session.config().eos;
        certainty += ln_probability(self.session.logits(), end);
        let silent = no_speech > NO_SPEECH_THRESHOLD && certainty / (tokens.len() + 1) as f64 <= LOG_PROB_THRESHOLD;
        let (split_segments, next) = timestamps.split_segments(&tokens);
        // One timestamp stands for as many samples as one row of the encoder.
        let samples_each = self.frontend.samples() / self.session.config().encoder_context.max(1) as usize;
        let seconds = |samples: usize| samples as f64 / f64::from(self.frontend.sample_rate);
        for SegmentTokens { start, end, tokens: range } in split_segments.into_iter().filter(|_| !silent) {
            let text = self.text(&tokens[range.clone()])?;
            self.transcript.tokens.extend(&tokens[range]);
            if text.trim().is_empty() {
                continue;
            }
            let end = end.map_or(clip.len(), |end| end as usize * samples_each);
            let segment = Segment { start: seconds(at + start as usize * samples_each), end: seconds(at + end), text };
            show(&format!("{segment}\n"));
            self.transcript.text.push_str(&segment.text);
            self.transcript.segments.push(segment);
        }
        self.transcript.decode += began.elapsed();
        Ok(next.map_or(self.frontend.samples(), |next| (next as usize * samples_each).max(1)))
    }

    /// The text of a part's tokens.
    fn text(&self, tokens: &[u32]) -> Result<String, Error> {
        let (mut decoder, mut text) = (Decoder::mid_text(), String::new());
        for &token in tokens.iter().filter(|&&token| !self.timestamps.is_some_and(|timestamps| timestamps.contains(token))) {
            text.push_str(decoder.push(&self.tokenizer, token)?);
        }
        Ok(text + decoder.finish())
    }

    /// Hears a window and feeds the prompt, whose language the first window tells where none was asked for. Returns the probability that
    /// nothing is said.
    fn begin(&mut self, clip: &[f32]) -> Result<f64, Error> {
        let began = Instant::now();
        self.session.encode_features(&audio::features(self.frontend, clip))?;
        self.transcript.encode += began.elapsed();
        let began = Instant::now();
        let start = self.session.prefill(&self.decoding.prompt[..1])?;
        self.transcript.language = self.transcript.language.or_else(|| self.decoding.detect_language(start));
        // The mark of silence stands before that of no timestamps in every vocabulary of this family.
        let no_speech = self.timestamps.map_or(0.0, |_| ln_probability(start, self.decoding.no_timestamps - 1).exp());
        let prompt = self.decoding.prompt_for(self.transcript.language, self.options.translate, self.options.timestamps);
        let rest: Vec<u32> = prompt.skip(1).collect();
        if !rest.is_empty() {
            self.session.prefill(&rest)?;
        }
        self.transcript.decode += began.elapsed();
        Ok(no_speech)
    }

    /// The window's tokens; `see` is shown each with the logits it was chosen from.
    fn write(&mut self, mut on_logits: impl FnMut(u32, &[f32]) -> Result<(), Error>) -> Result<Vec<u32>, Error> {
        let mut tokens = Vec::new();
        while tokens.len() < TOKENS_MAX {
            let logits = self.session.logits();
            self.decoding.suppress(tokens.is_empty(), logits);
            if let Some(timestamps) = &self.timestamps {
                timestamps.apply(&tokens, logits);
            }
            let token = Sampler::greedy().sample(logits, &[]);
            if token == self.session.config().eos || self.session.room() == 0 {
                break;
            }
            on_logits(token, self.session.logits())?;
            tokens.push(token);
            self.session.step(token)?;
        }
        Ok(tokens)
    }
}

/// The logarithm of a token's probability; no system's mathematics, whose last bits differ.
fn ln_probability(logits: &[f32], token: u32) -> f64 {
    let largest = f64::from(logits.iter().copied().fold(f32::MIN, f32::max));
    let sum: f64 = logits.iter().map(|&logit| libm::exp(f64::from(logit) - largest)).sum();
    f64::from(logits.get(token as usize).copied().unwrap_or(f32::MIN)) - largest - libm::log(sum)
}
