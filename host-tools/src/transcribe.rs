//! Speech to text: windows of sound through the encoder, tokens from the decoder.

use std::time::{Duration, Instant};

use attoformer::frontend::Frontend;
use attoformer::tokenizer::Decoder;
use attoformer::{Error, Sampler, Session};

use crate::sound;

/// Tokens that one window becomes at most: half of the decoder's places, as Whisper has it.
const TOKENS_MAX: usize = 224;

/// A clip's text.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    /// All tokens, without the prompt and the end.
    pub tokens: Vec<u32>,
    /// Their text.
    pub text: String,
    /// Time for features and encoder.
    pub encode: Duration,
    /// Time for the decoder.
    pub decode: Duration,
}

/// Writes down what is said, window by window; `show` is given the text as it comes.
///
/// # Errors
/// [`Error::Architecture`] for a model that writes no transcripts, and what the engine says.
pub fn transcribe(
    session: &mut Session,
    frontend: &Frontend<'_>,
    samples: &[f32],
    mut show: impl FnMut(&str),
) -> Result<Transcript, Error> {
    let image = *session.image();
    let decoding = image.decoding().ok_or(Error::Architecture { asked: "transcribe" })?;
    let tokenizer = image.tokenizer()?;
    let mut transcript = Transcript::default();
    for clip in samples.chunks(frontend.samples()) {
        let began = Instant::now();
        session.encode_features(&sound::features(frontend, clip))?;
        transcript.encode += began.elapsed();
        let began = Instant::now();
        session.prefill(decoding.prompt)?;
        let mut decoder = Decoder::mid_text();
        for made in 0..TOKENS_MAX {
            decoding.suppress(made == 0, session.logits());
            let token = Sampler::greedy().sample(session.logits(), &[]);
            if token == session.config().end || session.room() == 0 {
                break;
            }
            transcript.tokens.push(token);
            let text = decoder.push(&tokenizer, token)?;
            show(text);
            transcript.text.push_str(text);
            session.step(token)?;
        }
        let tail = decoder.finish();
        show(tail);
        transcript.text.push_str(tail);
        transcript.decode += began.elapsed();
    }
    Ok(transcript)
}
