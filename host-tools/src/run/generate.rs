//! Text generation with the measurements that a PC reports: logits, timings and the output hash.

use std::time::{Duration, Instant};

use attoformer::generate::End;
use attoformer::tokenizer::{Decoder, StopMatcher};
use attoformer::{Error, Image, OutputHash, Sampler, Session};

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
    let start = usize::from(tokenizer.add_bos());
    tokens[0] = tokenizer.bos();
    let count = tokenizer.encode(text, &mut tokens[start..])?;
    tokens.truncate(start + count);
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
    let began = Instant::now();
    feed(session, request.prompt, observer, &refuse)?;
    let prefill = began.elapsed();

    let mut output = TextOutput::new(session, request).map_err(&refuse)?;
    let mut sampler = request.sampler;
    let mut hash = OutputHash::new();
    let (mut tokens, mut steps) = (Vec::new(), 0);
    let began = Instant::now();
    let end = loop {
        if request.limit.is_some_and(|limit| tokens.len() == limit) {
            break End::Limit;
        }
        if let Some(&last) = tokens.last() {
            if session.room() == 0 {
                break End::ContextFull;
            }
            feed(session, &[last], observer, &refuse)?;
            steps += 1;
        }
        hash.logits(session.logits());
        let token = session.sample(&mut sampler);
        hash.token(token);
        if token == session.config().eos {
            break End::EndOfText;
        }
        tokens.push(token);
        output.push(token, observer, &refuse)?;
        if output.stops.stopped() {
            break End::Stop;
        }
    };
    let decode = began.elapsed();
    let text = output.finish(observer)?;
    Ok(Outcome { tokens, text, end, prefill, decode, steps, output_hash: hash.value() })
}

/// Feeds tokens; passes their logits to the observer on request.
fn feed(
    session: &mut Session,
    tokens: &[u32],
    observer: &mut dyn Observer,
    refuse: impl Fn(Error) -> crate::Error,
) -> Result<(), crate::Error> {
    if !observer.wants_logits() {
        return session.prefill(tokens).map(|_| ()).map_err(refuse);
    }
    let mut observed = Ok(());
    let fed = session.prefill_each(tokens, |_, logits| {
        if observed.is_ok() {
            observed = observer.logits(logits);
        }
    });
    fed.map_err(refuse).and(observed)
}

/// Decodes tokens to text up to a stop sequence.
struct TextOutput<'r> {
    tokenizer: Option<attoformer::Tokenizer<'r>>,
    decoder: Decoder,
    stops: StopMatcher<'r>,
    text: String,
}

impl<'r> TextOutput<'r> {
    fn new<'a: 'r>(session: &Session<'a>, request: &Request<'r>) -> Result<Self, Error> {
        // A text starts only directly after BOS; then the space that encoding prepends is removed.
        let starts = request.prompt == [session.config().bos];
        let decoder = if starts { Decoder::new() } else { Decoder::mid_text() };
        let tokenizer = session.image().tokenizer().ok();
        Ok(TextOutput { tokenizer, decoder, stops: StopMatcher::new(request.stops)?, text: String::new() })
    }

    fn push(&mut self, token: u32, observer: &mut dyn Observer, refuse: impl Fn(Error) -> crate::Error) -> Result<(), crate::Error> {
        let Some(tokenizer) = &self.tokenizer else { return Ok(()) };
        let text = self.decoder.push(tokenizer, token).map_err(refuse)?;
        for part in self.stops.push(text) {
            self.text.push_str(part);
            observer.text(part)?;
        }
        Ok(())
    }

    /// Releases text held back for an incomplete character or stop sequence.
    fn finish(mut self, observer: &mut dyn Observer) -> Result<String, crate::Error> {
        let [tail, more] = self.stops.push(self.decoder.finish());
        for part in [tail, more, self.stops.finish()] {
            self.text.push_str(part);
            observer.text(part)?;
        }
        Ok(self.text)
    }
}
