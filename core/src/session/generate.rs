//! Text generation, piece by piece, and the self-test that replays a generation.

use super::sequence::Session;
use crate::error::Error;
use crate::hash::OutputHash;
use crate::image::Golden;
use crate::sampling::Sampler;
use crate::slices::prefix_mut;
use crate::tokenizer::{Decoder, StopMatcher, Tokenizer};
use core::fmt;

/// Conditions that end a generation.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits<'s> {
    /// Most tokens to generate.
    pub tokens: usize,
    /// Stop sequences: texts that end the generation; they are not part of its text.
    pub stops: &'s [&'s str],
    /// Whether EOS is an ordinary token that does not end the generation.
    pub ignore_eos: bool,
}

impl Limits<'static> {
    /// At most this many tokens.
    #[must_use]
    pub const fn tokens(tokens: usize) -> Self {
        Limits { tokens, stops: &[], ignore_eos: false }
    }
}

impl<'s> Limits<'s> {
    /// Ends at these stop sequences as well.
    #[must_use]
    pub const fn with_stops<'t>(self, stops: &'t [&'t str]) -> Limits<'t> {
        Limits { stops, tokens: self.tokens, ignore_eos: self.ignore_eos }
    }

    /// Continues after EOS.
    #[must_use]
    pub const fn ignoring_eos(self) -> Limits<'s> {
        Limits { ignore_eos: true, ..self }
    }
}

/// The reason why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The model generated EOS.
    EndOfText,
    /// A stop sequence appeared.
    Stop,
    /// The limit of tokens was reached.
    Limit,
    /// The context is full.
    ContextFull,
}

impl End {
    /// The name that users see.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            End::EndOfText => "end_of_text",
            End::Stop => "stop",
            End::Limit => "limit",
            End::ContextFull => "context_full",
        }
    }
}

/// A part of the model's work in a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Work {
    /// Feeding a token.
    Feed,
    /// Choosing a token from the logits.
    Choose,
}

/// Hooks into a generation: a logits processor, and a meter of the model's work. `()` has neither.
pub trait Hooks {
    /// Changes the logits `(vocab)` before the next token is chosen; `generated` tokens precede it. The output hash covers the unchanged logits.
    fn process_logits(&mut self, generated: usize, logits: &mut [f32]) {
        let _ = (generated, logits);
    }

    /// Runs a part of the model's work.
    fn measure<T>(&mut self, work: Work, run: impl FnOnce() -> T) -> T {
        let _ = work;
        run()
    }
}

impl Hooks for () {}

/// A part of the generated text; displaying it writes the text. It is empty while a character or a stop sequence is incomplete.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'p> {
    /// The chosen token that the text comes from; `None` for the last piece, which may release text that was held back.
    pub token: Option<u32>,
    parts: [&'p str; 2],
}

impl fmt::Display for Piece<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| f.write_str(part))
    }
}

impl<'p> Piece<'p> {
    /// The text, in two consecutive parts.
    #[must_use]
    pub fn parts(&self) -> [&'p str; 2] {
        self.parts
    }
}

/// The loop that chooses tokens and feeds them.
#[derive(Clone, Copy, Debug)]
struct TokenLoop {
    sampler: Sampler,
    hash: OutputHash,
    generated: usize,
    limit: usize,
    ignore_eos: bool,
    /// The token chosen last. It is fed only when the next one is requested.
    pending: Option<u32>,
    end: Option<End>,
}

impl TokenLoop {
    fn new(sampler: Sampler, limit: usize, ignore_eos: bool) -> Self {
        TokenLoop { sampler, hash: OutputHash::new(), generated: 0, limit, ignore_eos, pending: None, end: None }
    }

    /// Feeds the pending token and chooses the next one; `None` at the end.
    fn next_token(&mut self, session: &mut Session<'_>, hooks: &mut impl Hooks) -> Result<Option<u32>, Error> {
        if self.end.is_none() && self.generated == self.limit {
            self.end = Some(End::Limit);
        }
        if self.end.is_none() && self.pending.is_some() && session.remaining() == 0 {
            self.end = Some(End::ContextFull);
        }
        if self.end.is_some() {
            return Ok(None);
        }
        if let Some(token) = self.pending.take() {
            hooks.measure(Work::Feed, || session.step(token).map(|_| ()))?;
        }
        self.hash.logits(session.logits());
        hooks.process_logits(self.generated, session.logits());
        let token = hooks.measure(Work::Choose, || session.sample(&mut self.sampler));
        self.hash.token(token);
        if token == session.config().eos && !self.ignore_eos {
            self.end = Some(End::EndOfText);
            return Ok(None);
        }
        self.generated += 1;
        self.pending = Some(token);
        Ok(Some(token))
    }
}

/// The text of the tokens, up to a stop sequence.
#[derive(Debug)]
struct TextOutput<'s, 'a> {
    tokenizer: Tokenizer<'a>,
    decoder: Decoder,
    stops: StopMatcher<'s>,
}

/// A running generation. Dropping it cancels it; the session keeps the tokens that were fed.
#[derive(Debug)]
pub struct Generation<'s, 'a> {
    session: &'s mut Session<'a>,
    tokens: TokenLoop,
    text: Option<TextOutput<'s, 'a>>,
    /// Whether the text that was held back has been released.
    flushed: bool,
}

impl<'s, 'a> Generation<'s, 'a> {
    /// Returns the next piece; `None` after the last one. An image without a tokenizer yields tokens without text.
    ///
    /// # Errors
    /// Those of [`Session::step`].
    pub fn next_piece(&mut self) -> Result<Option<Piece<'_>>, Error> {
        self.next_piece_with(&mut ())
    }

    /// Returns the next piece like [`Generation::next_piece`], with hooks.
    ///
    /// # Errors
    /// Those of [`Session::step`].
    pub fn next_piece_with(&mut self, hooks: &mut impl Hooks) -> Result<Option<Piece<'_>>, Error> {
        let token = self.tokens.next_token(self.session, hooks)?;
        if token.is_none() && core::mem::replace(&mut self.flushed, true) {
            return Ok(None);
        }
        let Some(TextOutput { tokenizer, decoder, stops }) = &mut self.text else {
            return Ok(token.map(|token| Piece { token: Some(token), parts: [""; 2] }));
        };
        let Some(token) = token else {
            // An unfinished character, then the text that a stop sequence held back; a mismatch there releases all but one of the two at once.
            let [held, rest] = stops.push(decoder.finish());
            let released = stops.finish();
            return Ok(Some(Piece { token: None, parts: [held, if rest.is_empty() { released } else { rest }] }));
        };
        let parts = stops.push(decoder.push(tokenizer, token)?);
        if stops.stopped() {
            self.tokens.end = Some(End::Stop);
        }
        Ok(Some(Piece { token: Some(token), parts }))
    }

    /// The reason why the generation ended; `None` while it runs.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.tokens.end
    }

    /// Hash over every sampled position so far, that of EOS included (rule 10 of the numeric specification).
    #[must_use]
    pub fn output_hash(&self) -> u32 {
        self.tokens.hash.value()
    }

    /// The sampler, whose random state has advanced by the tokens generated.
    #[must_use]
    pub fn sampler(&self) -> Sampler {
        self.tokens.sampler
    }

    /// Logits `(vocab)` that the last token was chosen from. Sampling overwrites them unless it is greedy without a penalty.
    pub fn logits(&mut self) -> &[f32] {
        self.session.logits()
    }

    /// Tokens fed to the session so far, the prompt included. The token chosen last is not among them.
    #[must_use]
    pub fn position(&self) -> usize {
        self.session.position()
    }
}

impl<'a> Session<'a> {
    /// Generates text from a prompt: feeds its tokens (after BOS at the start of a sequence, if the model expects it), then yields text piece by
    /// piece.
    ///
    /// # Errors
    /// [`Error::NoTokenizer`], [`Error::ContextFull`] for a prompt that does not fit, [`Error::BufferTooSmall`] for a stop sequence that is too
    /// long, and those of [`Session::prefill`].
    pub fn generate<'s>(&'s mut self, prompt: &str, sampler: Sampler, limits: Limits<'s>) -> Result<Generation<'s, 'a>, Error> {
        let tokenizer = self.image().tokenizer()?;
        let stops = StopMatcher::new(limits.stops)?;
        let start = self.position();
        let tokens = core::mem::take(&mut self.workspace.tokens);
        let context = self.plan.context as usize;
        let free = prefix_mut(tokens, context).get_mut(start..).unwrap_or_default();
        let encoded = if start == 0 { tokenizer.encode_prompt(prompt, free) } else { tokenizer.encode(prompt, free) };
        let fed = match encoded {
            Ok(count) => self.prefill(free.get(..count).unwrap_or_default()).map(|_| ()),
            Err(Error::BufferTooSmall { .. }) => Err(Error::ContextFull { tokens: context + 1, context }),
            Err(other) => Err(other),
        };
        self.workspace.tokens = tokens;
        fed?;
        let text = Some(TextOutput { tokenizer, decoder: self.text_decoder(), stops });
        Ok(Generation { session: self, tokens: TokenLoop::new(sampler, limits.tokens, limits.ignore_eos), text, flushed: false })
    }

    /// Generates after the tokens fed so far, of which there is at least one. Works for images without a tokenizer, too.
    ///
    /// # Errors
    /// [`Error::EmptyPrompt`] before the first token, [`Error::BufferTooSmall`] for a stop sequence that is too long.
    pub fn continue_generation<'s>(&'s mut self, sampler: Sampler, limits: Limits<'s>) -> Result<Generation<'s, 'a>, Error> {
        if self.position() == 0 {
            return Err(Error::EmptyPrompt);
        }
        let text = match self.image().tokenizer() {
            Ok(tokenizer) => Some(TextOutput { tokenizer, decoder: self.text_decoder(), stops: StopMatcher::new(limits.stops)? }),
            Err(_) => None,
        };
        let tokens = TokenLoop::new(sampler, limits.tokens, limits.ignore_eos);
        Ok(Generation { session: self, tokens, text, flushed: false })
    }

    /// A decoder for the text that follows the tokens fed so far. After BOS alone a text starts, without the leading space that encoding adds;
    /// after anything else it continues and keeps its leading space.
    #[must_use]
    pub fn text_decoder(&self) -> Decoder {
        match *self.tokens() {
            [token] if token == self.config().bos => Decoder::new(),
            _ => Decoder::mid_text(),
        }
    }

    /// Replays the image's golden vector on this machine, then starts a new sequence.
    ///
    /// # Errors
    /// [`Error::SelfTest`] when the hash differs; [`Error::ContextFull`] when the plan's context is too small for the vector.
    pub fn self_test(&mut self) -> Result<(), Error> {
        let golden = self.image().golden();
        self.reset();
        let found = self.golden_hash(&golden);
        self.reset();
        match found? {
            found if found == golden.hash => Ok(()),
            found => Err(Error::SelfTest { expected: golden.hash, found }),
        }
    }

    /// The hash of the model's output for a golden vector's input: of an encoder's output, then of a greedy generation.
    ///
    /// # Errors
    /// See [`Session::prefill`] and [`Session::encode`].
    pub fn golden_hash(&mut self, golden: &Golden<'_>) -> Result<u32, Error> {
        #[cfg_attr(not(feature = "encoder"), expect(unused_mut, reason = "only an encoder's output changes it here"))]
        let mut hash = OutputHash::new();
        #[cfg(feature = "encoder")]
        if self.config().has_encoder() {
            let output = if golden.features.is_empty() { self.encode(golden.tokens) } else { self.encode_features(golden.features) }?;
            hash.logits(output);
        }
        if golden.generate == 0 {
            return Ok(hash.value());
        }
        self.prefill(golden.tokens)?;
        let mut tokens = TokenLoop { hash, ..TokenLoop::new(Sampler::greedy(), golden.generate as usize, true) };
        while tokens.next_token(self, &mut ())?.is_some() {}
        Ok(tokens.hash.value())
    }
}
