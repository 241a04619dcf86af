//! One running sequence: its keys and values, its position, and the verbs that move it.

use crate::arena::{Plan, Workspace};
use crate::error::Error;
use crate::generate::{Generation, Limits};
use crate::hash::OutputHash;
use crate::image::Image;
use crate::image::header::{Architecture, Config};
use crate::kernels::{self, Kernels};
use crate::layers::front;
use crate::model::Model;
use crate::numeric::float_mode_is_ieee;
use crate::sampling::Sampler;
use crate::tokenizer::StopMatcher;

/// A model at work on one sequence, in memory that the caller gave.
#[derive(Debug)]
pub struct Session<'a> {
    model: Model<'a>,
    kernels: &'static Kernels,
    workspace: Workspace<'a>,
    plan: Plan,
    position: usize,
}

impl<'a> Session<'a> {
    /// A session with the packed context, the default block and this machine's best kernels.
    ///
    /// # Errors
    /// See [`Session::with_plan`].
    pub fn new(image: &Image<'a>, arena: &'a mut [u8]) -> Result<Self, Error> {
        Self::with_plan(image, arena, Plan::packed(image.config()))
    }

    /// A session with another plan, such as a smaller context.
    ///
    /// # Errors
    /// [`Error::Context`] for a context of zero or beyond the packed one, or a block of zero; [`Error::ArenaTooSmall`] with the bytes that
    /// [`crate::arena_bytes`] states; [`Error::FloatMode`] when this CPU's float unit is not set up as IEEE 754 has it.
    pub fn with_plan(image: &Image<'a>, arena: &'a mut [u8], plan: Plan) -> Result<Self, Error> {
        Self::with_kernels(image, arena, plan, kernels::best())
    }

    /// A session with kernels of the caller's choice; they change speed, never results.
    ///
    /// # Errors
    /// See [`Session::with_plan`].
    pub fn with_kernels(image: &Image<'a>, arena: &'a mut [u8], plan: Plan, kernels: &'static Kernels) -> Result<Self, Error> {
        let packed = image.config().context;
        if plan.context == 0 || plan.context > packed || plan.block == 0 || plan.block > packed {
            let asked = if plan.block == 0 || plan.block > packed { plan.block } else { plan.context };
            return Err(Error::Context { asked: asked as usize, packed: packed as usize });
        }
        if !float_mode_is_ieee() {
            return Err(Error::FloatMode);
        }
        let workspace = Workspace::carve(arena, image.config(), plan)?;
        Ok(Session { model: Model::new(*image), kernels, workspace, plan, position: 0 })
    }

    /// The image.
    pub fn image(&self) -> &Image<'a> {
        self.model.image()
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        self.model.image().config()
    }

    /// The kernels at work.
    pub fn kernels(&self) -> &'static Kernels {
        self.kernels
    }

    /// Tokens fed since the start or the last reset.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Tokens that still fit.
    pub fn room(&self) -> usize {
        (self.plan.context as usize).saturating_sub(self.position)
    }

    /// The tokens fed since the start or the last reset.
    pub fn tokens(&self) -> &[u32] {
        self.workspace.tokens.get(..self.position).unwrap_or_default()
    }

    /// Logits `(vocab)` after the token fed last. Sampling may overwrite them.
    pub fn logits(&mut self) -> &mut [f32] {
        let vocab = self.config().vocab as usize;
        front(self.workspace.output, vocab)
    }

    /// Chooses the next token from the logits; a repetition penalty looks at the tokens fed so far. Sampling overwrites the logits unless
    /// it is greedy without a penalty.
    pub fn sample(&mut self, sampler: &mut Sampler) -> u32 {
        let vocab = self.config().vocab as usize;
        let recent = self.workspace.tokens.get(..self.position).unwrap_or_default();
        sampler.sample(front(self.workspace.output, vocab), recent)
    }

    /// Forgets the sequence.
    pub fn reset(&mut self) {
        self.position = 0;
    }

    /// Feeds one token and returns the logits `(vocab)` for the next.
    ///
    /// # Errors
    /// See [`Session::prefill`].
    pub fn step(&mut self, token: u32) -> Result<&[f32], Error> {
        self.prefill(&[token])
    }

    /// Feeds tokens, block by block, and returns the logits `(vocab)` after the last one.
    ///
    /// # Errors
    /// [`Error::Architecture`], [`Error::EmptyPrompt`], [`Error::ContextFull`] and [`Error::TokenOutOfRange`] before anything is computed;
    /// [`Error::Overflow`].
    pub fn prefill(&mut self, tokens: &[u32]) -> Result<&[f32], Error> {
        self.accept(tokens, Architecture::Decoder)?;
        let mut last = 0;
        for block in tokens.chunks(self.block()) {
            self.forward(block);
            last = block.len() - 1;
        }
        self.logits_of(last)
    }

    /// Feeds tokens as [`Session::prefill`] does and shows the logits `(vocab)` after each of them.
    ///
    /// # Errors
    /// See [`Session::prefill`].
    pub fn prefill_each(&mut self, tokens: &[u32], mut see: impl FnMut(usize, &[f32])) -> Result<(), Error> {
        self.accept(tokens, Architecture::Decoder)?;
        for block in tokens.chunks(self.block()) {
            let start = self.position;
            self.forward(block);
            for row in 0..block.len() {
                see(start + row, self.logits_of(row)?);
            }
        }
        Ok(())
    }

    /// Encodes a whole sequence and returns its embedding `(d_model)`. It depends on nothing that came before, and leaves no token behind.
    ///
    /// # Errors
    /// [`Error::Architecture`], [`Error::EmptyPrompt`], [`Error::ContextFull`] and [`Error::TokenOutOfRange`] before anything is computed;
    /// [`Error::Overflow`].
    pub fn encode(&mut self, tokens: &[u32]) -> Result<&[f32], Error> {
        self.accept(tokens, Architecture::Encoder)?;
        let block = self.block();
        self.model.encode(self.kernels, &mut self.workspace, self.plan.context, block, tokens);
        self.model.pool(self.kernels, &mut self.workspace, tokens.len());
        self.finite_output(tokens.len() - 1)
    }

    /// Writes on from `prompt`: its tokens are fed (after the begin token at the start of a sequence), then text comes piece by piece.
    ///
    /// # Errors
    /// [`Error::NoTokenizer`], [`Error::ContextFull`] for a prompt that does not fit, [`Error::BufferTooSmall`] for a stop text that is too
    /// long, and those of [`Session::prefill`].
    pub fn generate<'s>(&'s mut self, prompt: &str, sampler: Sampler, limits: Limits<'s>) -> Result<Generation<'s, 'a>, Error> {
        let tokenizer = self.image().tokenizer()?;
        let stops = StopMatcher::new(limits.stops)?;
        let start = self.position;
        let tokens = core::mem::take(&mut self.workspace.tokens);
        let fed = encode_prompt(&tokenizer, prompt, start, front(tokens, self.plan.context as usize));
        let fed = fed.and_then(|end| self.prefill(tokens.get(start..end).unwrap_or_default()).map(|_| ()));
        self.workspace.tokens = tokens;
        fed?;
        Ok(Generation::new(self, tokenizer, sampler, stops, limits.tokens))
    }

    /// Replays the image's golden vector on this machine and forgets the sequence.
    ///
    /// # Errors
    /// [`Error::SelfTest`] when the hash differs; [`Error::ContextFull`] when the plan's context is too small for the vector.
    pub fn self_test(&mut self) -> Result<(), Error> {
        let golden = self.image().golden()?;
        self.reset();
        let found = self.golden_hash(golden.tokens, golden.generate);
        self.reset();
        match found? {
            found if found == golden.hash => Ok(()),
            found => Err(Error::SelfTest { expected: golden.hash, found }),
        }
    }

    /// Feeds `tokens`, generates greedily, and returns the hash of what was generated, or of an encoder's embedding: what a packer writes
    /// into the golden vector.
    ///
    /// # Errors
    /// See [`Session::prefill`] and [`Session::encode`].
    pub fn golden_hash(&mut self, tokens: &[u32], generate: u32) -> Result<u32, Error> {
        let mut hash = OutputHash::new();
        if self.config().architecture == Architecture::Encoder {
            hash.logits(self.encode(tokens)?);
            return Ok(hash.value());
        }
        self.prefill(tokens)?;
        for made in 1..=generate {
            hash.logits(self.logits());
            let token = Sampler::greedy().sample(self.logits(), &[]);
            hash.token(token);
            if made < generate {
                self.step(token)?;
            }
        }
        Ok(hash.value())
    }

    fn block(&self) -> usize {
        (self.plan.block as usize).max(1)
    }

    /// Checks tokens before any of them is computed.
    fn accept(&self, tokens: &[u32], architecture: Architecture) -> Result<(), Error> {
        let vocab = self.config().vocab;
        if self.config().architecture != architecture {
            let asked = match architecture {
                Architecture::Decoder => "write text",
                Architecture::Encoder => "make embeddings",
            };
            return Err(Error::Architecture { asked });
        }
        if tokens.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        if tokens.len() > self.room() {
            return Err(Error::ContextFull { tokens: self.position + tokens.len(), context: self.plan.context as usize });
        }
        match tokens.iter().find(|&&token| token >= vocab) {
            Some(&token) => Err(Error::TokenOutOfRange { token, vocab }),
            None => Ok(()),
        }
    }

    /// Runs one block of accepted tokens.
    fn forward(&mut self, block: &[u32]) {
        self.model.forward(self.kernels, &mut self.workspace, self.plan.context, self.position, block);
        let slots = self.workspace.tokens.get_mut(self.position..).unwrap_or_default();
        slots.iter_mut().zip(block).for_each(|(slot, &token)| *slot = token);
        self.position += block.len();
    }

    /// Logits of one row of the last block.
    fn logits_of(&mut self, row: usize) -> Result<&[f32], Error> {
        self.model.logits(self.kernels, &mut self.workspace, row);
        self.finite_output(self.position.saturating_sub(1))
    }

    /// What the token at `position` made, if it did not overflow.
    fn finite_output(&mut self, position: usize) -> Result<&[f32], Error> {
        let count = self.config().output_dim() as usize;
        let output = front(self.workspace.output, count);
        // Adding one to the exponent of an infinity or a NaN reaches the top bit; or-ing needs no branch per value.
        let finite = output.iter().fold(0, |all, x| all | ((x.to_bits() & 0x7fff_ffff) + 0x0080_0000)) >> 31 == 0;
        if finite { Ok(output) } else { Err(Error::Overflow { position }) }
    }
}

/// Writes the prompt's tokens behind `start` tokens already there, the begin token first at the start of a sequence; returns their end.
fn encode_prompt(tokenizer: &crate::Tokenizer<'_>, prompt: &str, start: usize, tokens: &mut [u32]) -> Result<usize, Error> {
    let context = tokens.len();
    let full = Error::ContextFull { tokens: context + 1, context };
    let mut end = start;
    if start == 0 {
        *tokens.first_mut().ok_or(full)? = tokenizer.begin();
        end = 1;
    }
    match tokenizer.encode(prompt, tokens.get_mut(end..).unwrap_or_default()) {
        Ok(count) => Ok(end + count),
        Err(Error::BufferTooSmall { .. }) => Err(full),
        Err(other) => Err(other),
    }
}
