//! Text generation with the measurements that a PC reports: logits, timings and the output hash.

use std::time::{Duration, Instant};

use attoformer::{End, Error, Hooks, Image, Limits, Sampler, Session};

/// A generation request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// Prompt tokens.
    pub prompt: &'r [u32],
    /// Tokens to generate at most; unlimited up to the context otherwise.
    pub limit: Option<usize>,
    /// Stop sequences.
    pub stops: &'r [&'r str],
    /// Sampler.
    pub sampler: Sampler,
}

/// Result of a generation.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Generated tokens, without EOS.
    pub tokens: Vec<u32>,
    /// Their text; empty for an image without a tokenizer.
    pub text: String,
    /// Why the generation ended.
    pub end: End,
    /// Time of the prefill.
    pub prefill: Duration,
    /// Time after the prefill.
    pub decode: Duration,
    /// Decode steps in that time.
    pub steps: usize,
    /// Output hash (rule 10 of the numeric specification).
    pub output_hash: u32,
}

/// Observer of a generation.
pub trait Observer {
    /// Receives new text as soon as it is final.
    ///
    /// # Errors
    /// Ends the generation.
    fn text(&mut self, text: &str) -> Result<(), crate::Error>;

    /// Receives the logits `(vocab)` of the next position, from the first fed token to the last.
    ///
    /// # Errors
    /// Ends the generation.
    fn logits(&mut self, logits: &[f32]) -> Result<(), crate::Error>;

    /// Whether to call [`Observer::logits`]: the logits of every prompt token slow the prefill down.
    fn wants_logits(&self) -> bool;
}

/// Encodes a prompt: BOS if the model adds it, then the text.
///
/// # Errors
/// [`Error::NoTokenizer`], or another error of the tokenizer.
pub fn encode(image: &Image, text: &str) -> Result<Vec<u32>, Error> {
    let tokenizer = image.tokenizer()?;
    let mut tokens = vec![0; tokenizer.max_tokens(text.len())];
    let count = tokenizer.encode_prompt(text, &mut tokens)?;
    tokens.truncate(count);
    Ok(tokens)
}

/// Feeds the prompt and generates.
///
/// # Errors
/// Those of the engine as `refuse` converts them, and those of the observer.
pub fn generate(
    session: &mut Session,
    request: &Request,
    observer: &mut dyn Observer,
    refuse: impl Fn(Error) -> crate::Error,
) -> Result<Outcome, crate::Error> {
    let start = Instant::now();
    prefill(session, request.prompt, observer, &refuse)?;
    let prefill = start.elapsed();

    let limits = Limits::tokens(request.limit.unwrap_or(usize::MAX)).with_stops(request.stops);
    let prompt_end = session.position();
    let mut generation = session.continue_generation(request.sampler, limits).map_err(&refuse)?;
    let (mut tokens, mut text) = (Vec::new(), String::new());
    let start = Instant::now();
    let end = loop {
        let mut tap = LogitsTap { observer, result: Ok(()) };
        let piece = generation.next_piece_with(&mut tap).map_err(&refuse)?;
        tap.result?;
        match piece {
            Some(piece) => {
                tokens.extend(piece.token);
                for part in piece.parts() {
                    text.push_str(part);
                    observer.text(part)?;
                }
            }
            None => break generation.end().unwrap_or(End::Limit),
        }
    };
    let (decode, steps) = (start.elapsed(), generation.position() - prompt_end);
    Ok(Outcome { tokens, text, end, prefill, decode, steps, output_hash: generation.output_hash() })
}

/// Feeds the prompt and passes the logits of each position to the observer if it wants them.
fn prefill(
    session: &mut Session,
    tokens: &[u32],
    observer: &mut dyn Observer,
    refuse: impl Fn(Error) -> crate::Error,
) -> Result<(), crate::Error> {
    if !observer.wants_logits() {
        return session.prefill(tokens).map(|_| ()).map_err(refuse);
    }
    let mut result = Ok(());
    let fed = session.prefill_each(tokens, |_, logits| {
        if result.is_ok() {
            result = observer.logits(logits);
        }
    });
    fed.map_err(refuse).and(result)
}

/// Passes the logits of each generated token to the observer. Those of the prompt's last token were passed by [`prefill`].
struct LogitsTap<'o> {
    observer: &'o mut dyn Observer,
    result: Result<(), crate::Error>,
}

impl Hooks for LogitsTap<'_> {
    fn process_logits(&mut self, generated: usize, logits: &mut [f32]) {
        if generated > 0 && self.observer.wants_logits() {
            self.result = self.observer.logits(logits);
        }
    }
}
