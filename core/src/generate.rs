//! Text from a session, piece by piece.

use crate::error::Error;
use crate::hash::OutputHash;
use crate::sampling::Sampler;
use crate::session::Session;
use crate::tokenizer::{Decoder, StopMatcher, Tokenizer};
use core::fmt;

/// When a generation ends.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'s> {
    /// Tokens to generate at most.
    pub tokens: usize,
    /// Texts that end it; they are not shown themselves.
    pub stops: &'s [&'s str],
}

impl Limits<'static> {
    /// At most this many tokens.
    pub const fn tokens(tokens: usize) -> Self {
        Limits { tokens, stops: &[] }
    }
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The model wrote its end-of-text token.
    EndOfText,
    /// A stop text appeared.
    Stop,
    /// The limit of tokens was reached.
    Limit,
    /// The context is full.
    ContextFull,
}

/// A running generation. Dropping it cancels; the session keeps what was fed.
#[derive(Debug)]
pub struct Generation<'s, 'a> {
    session: &'s mut Session<'a>,
    tokenizer: Tokenizer<'a>,
    sampler: Sampler,
    stops: StopMatcher<'s>,
    decoder: Decoder,
    hash: OutputHash,
    left: usize,
    /// Chosen, shown, and fed only when the next one is wanted.
    pending: Option<u32>,
    end: Option<End>,
    flushed: bool,
}

/// A bit of new text; printing it shows it. It may be empty while a character or a stop text is incomplete.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'p> {
    /// The token chosen, if this piece comes from one; the last piece may only release text held back.
    pub token: Option<u32>,
    parts: [&'p str; 2],
}

impl fmt::Display for Piece<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| f.write_str(part))
    }
}

impl<'p> Piece<'p> {
    /// The text, in two parts that follow one another.
    pub fn parts(&self) -> [&'p str; 2] {
        self.parts
    }
}

impl<'s, 'a> Generation<'s, 'a> {
    pub(crate) fn new(
        session: &'s mut Session<'a>,
        tokenizer: Tokenizer<'a>,
        sampler: Sampler,
        stops: StopMatcher<'s>,
        left: usize,
    ) -> Self {
        // The first token fed is the begin token; after anything else the text goes on and keeps its leading space.
        let decoder = if session.position() == 1 { Decoder::new() } else { Decoder::mid_text() };
        let hash = OutputHash::new();
        Generation { session, tokenizer, sampler, stops, decoder, hash, left, pending: None, end: None, flushed: false }
    }

    /// The next piece; `None` once all text has been given.
    ///
    /// # Errors
    /// Those of [`Session::step`].
    #[expect(clippy::should_implement_trait, reason = "a piece borrows from the generation, which an Iterator's item cannot")]
    pub fn next(&mut self) -> Result<Option<Piece<'_>>, Error> {
        match self.choose()? {
            Some(token) => {
                let text = self.decoder.push(&self.tokenizer, token)?;
                let parts = self.stops.push(text);
                if self.stops.stopped() {
                    self.end = Some(End::Stop);
                }
                Ok(Some(Piece { token: Some(token), parts }))
            }
            None if self.flushed => Ok(None),
            None => {
                self.flushed = true;
                // An unfinished character, then what a stop text held back; a mismatch there releases all but one of the two at once.
                let [held, rest] = self.stops.push(self.decoder.finish());
                let released = self.stops.finish();
                Ok(Some(Piece { token: None, parts: [held, if rest.is_empty() { released } else { rest }] }))
            }
        }
    }

    /// Why it ended; `None` while it runs.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Hash over every sampled position so far, the end-of-text token included.
    pub fn output_hash(&self) -> u32 {
        self.hash.value()
    }

    /// Feeds the token chosen last and chooses the next one; `None` at the end.
    fn choose(&mut self) -> Result<Option<u32>, Error> {
        if self.end.is_none() && self.left == 0 {
            self.end = Some(End::Limit);
        }
        if self.end.is_none() && self.pending.is_some() && self.session.room() == 0 {
            self.end = Some(End::ContextFull);
        }
        if self.end.is_some() {
            return Ok(None);
        }
        if let Some(token) = self.pending.take() {
            self.session.step(token)?;
        }
        self.left -= 1;
        self.hash.logits(self.session.logits());
        let token = self.session.sample(&mut self.sampler);
        self.hash.token(token);
        if token == self.session.config().eos {
            self.end = Some(End::EndOfText);
            return Ok(None);
        }
        self.pending = Some(token);
        Ok(Some(token))
    }
}
