//! Writing on from a prompt, with all that a PC wants to know about it.

use std::time::{Duration, Instant};

use attoformer::generate::End;
use attoformer::tokenizer::{Decoder, StopMatcher};
use attoformer::{Error, Image, OutputHash, Sampler, Session};

/// What to generate.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// Tokens fed first.
    pub prompt: &'r [u32],
    /// Tokens to generate at most; without a limit the context is one.
    pub limit: Option<usize>,
    /// Texts that end it.
    pub stops: &'r [&'r str],
    /// How tokens are chosen.
    pub sampler: Sampler,
}

/// What was generated.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Generated tokens, without the one that ends a text.
    pub tokens: Vec<u32>,
    /// Their text; empty for an image without a tokenizer.
    pub text: String,
    /// Why it ended.
    pub end: End,
    /// Time to feed the prompt.
    pub prefill: Duration,
    /// Time for everything after it.
    pub decode: Duration,
    /// Tokens fed one by one in that time.
    pub steps: usize,
    /// Rule 8 of the numeric specification.
    pub output_hash: u32,
}

/// Someone who watches a generation.
pub trait Observer {
    /// New text, as soon as it is certain.
    ///
    /// # Errors
    /// Ends the generation.
    fn text(&mut self, text: &str) -> Result<(), crate::Error>;

    /// The logits `(vocab)` at the next position, from the first token fed to the last.
    ///
    /// # Errors
    /// Ends the generation.
    fn logits(&mut self, logits: &[f32]) -> Result<(), crate::Error>;

    /// Whether [`Observer::logits`] is wanted: computing them all slows the prefill down.
    fn wants_logits(&self) -> bool;
}

/// A prompt's tokens: the begin token, where the model wants it, then the text.
///
/// # Errors
/// [`Error::NoTokenizer`], or what the tokenizer says.
pub fn encode(image: &Image, text: &str) -> Result<Vec<u32>, Error> {
    let tokenizer = image.tokenizer()?;
    let mut tokens = vec![0; tokenizer.max_tokens(text.len())];
    let begins = usize::from(tokenizer.add_bos());
    tokens[0] = tokenizer.bos();
    let count = tokenizer.encode(text, &mut tokens[begins..])?;
    tokens.truncate(begins + count);
    Ok(tokens)
}

/// Feeds the prompt and generates.
///
/// # Errors
/// What the engine says, as `refuse` puts it, or what the observer says.
pub fn generate(
    session: &mut Session,
    request: &Request,
    observer: &mut dyn Observer,
    refuse: impl Fn(Error) -> crate::Error,
) -> Result<Outcome, crate::Error> {
    let began = Instant::now();
    feed(session, request.prompt, observer, &refuse)?;
    let prefill = began.elapsed();

    let mut writer = Writer::new(session, request).map_err(&refuse)?;
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
        writer.push(token, observer, &refuse)?;
        if writer.stops.stopped() {
            break End::Stop;
        }
    };
    let decode = began.elapsed();
    let text = writer.finish(observer)?;
    Ok(Outcome { tokens, text, end, prefill, decode, steps, output_hash: hash.value() })
}

/// Feeds tokens and shows their logits if wanted.
fn feed(
    session: &mut Session,
    tokens: &[u32],
    observer: &mut dyn Observer,
    refuse: impl Fn(Error) -> crate::Error,
) -> Result<(), crate::Error> {
    if !observer.wants_logits() {
        return session.prefill(tokens).map(|_| ()).map_err(refuse);
    }
    let mut seen = Ok(());
    let fed = session.prefill_each(tokens, |_, logits| {
        if seen.is_ok() {
            seen = observer.logits(logits);
        }
    });
    fed.map_err(refuse).and(seen)
}

/// Tokens to text, up to a stop.
struct Writer<'r> {
    tokenizer: Option<attoformer::Tokenizer<'r>>,
    decoder: Decoder,
    stops: StopMatcher<'r>,
    text: String,
}

impl<'r> Writer<'r> {
    fn new<'a: 'r>(session: &Session<'a>, request: &Request<'r>) -> Result<Self, Error> {
        // Only right behind the begin token does a text start, without the space that its encoding put in front.
        let starts = request.prompt == [session.config().bos];
        let decoder = if starts { Decoder::new() } else { Decoder::mid_text() };
        let tokenizer = session.image().tokenizer().ok();
        Ok(Writer { tokenizer, decoder, stops: StopMatcher::new(request.stops)?, text: String::new() })
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

    /// Releases what was held back.
    fn finish(mut self, observer: &mut dyn Observer) -> Result<String, crate::Error> {
        let [tail, more] = self.stops.push(self.decoder.finish());
        for part in [tail, more, self.stops.finish()] {
            self.text.push_str(part);
            observer.text(part)?;
        }
        Ok(self.text)
    }
}
