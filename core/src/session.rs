//! One running sequence: its keys and values, its position, and the verbs that move it.

mod encode;
mod lens;

use crate::error::Error;
use crate::format::{Architecture, Config};
use crate::generate::{Generation, Limits};
use crate::hash::OutputHash;
use crate::image::Golden;
use crate::image::Image;
use crate::kernels::{self, Kernels};
use crate::memory::{Plan, workspace::Workspace};
use crate::model::Model;
use crate::numeric::float_mode_is_ieee;
use crate::parallel::Parallel;
use crate::probe::Probe;
use crate::sampling::Sampler;
use crate::slices::prefix_mut;
use crate::tokenizer::StopMatcher;

/// A model at work on one sequence, in memory that the caller gave.
#[derive(Debug)]
pub struct Session<'a> {
    model: Model<'a>,
    kernels: &'static Kernels,
    workspace: Workspace<'a>,
    plan: Plan,
    position: usize,
    /// Rows of the encoder whose keys and values are there.
    source: usize,
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
        Ok(Session { model: Model::new(*image), kernels, workspace, plan, position: 0, source: 0 })
    }

    /// The same session, whose work is shared among threads. They change speed, never results.
    pub fn with_parallel(mut self, parallel: &'a dyn Parallel) -> Self {
        self.workspace.parallel = parallel;
        self
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
        prefix_mut(self.workspace.output, vocab)
    }

    /// Chooses the next token from the logits; a repetition penalty looks at the tokens fed so far. Sampling overwrites the logits unless
    /// it is greedy without a penalty.
    pub fn sample(&mut self, sampler: &mut Sampler) -> u32 {
        let vocab = self.config().vocab as usize;
        let recent = self.workspace.tokens.get(..self.position).unwrap_or_default();
        sampler.sample(prefix_mut(self.workspace.output, vocab), recent)
    }

    /// Forgets the sequence; what an encoder-decoder's encoder read stays.
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
        self.prefill_probed(tokens, &mut ())
    }

    /// Feeds tokens as [`Session::prefill`] does, seen by a probe.
    ///
    /// # Errors
    /// See [`Session::prefill`].
    pub fn prefill_probed(&mut self, tokens: &[u32], probe: &mut impl Probe) -> Result<&[f32], Error> {
        self.accept(tokens)?;
        let mut last = 0;
        for block in tokens.chunks(self.block()) {
            self.forward(block, probe);
            last = block.len() - 1;
        }
        self.logits_of(last)
    }

    /// Feeds tokens as [`Session::prefill`] does and shows the logits `(vocab)` after each of them.
    ///
    /// # Errors
    /// See [`Session::prefill`].
    pub fn prefill_each(&mut self, tokens: &[u32], mut see: impl FnMut(usize, &[f32])) -> Result<(), Error> {
        self.accept(tokens)?;
        for block in tokens.chunks(self.block()) {
            let start = self.position;
            self.forward(block, &mut ());
            for row in 0..block.len() {
                see(start + row, self.logits_of(row)?);
            }
        }
        Ok(())
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
        let fed = encode_prompt(&tokenizer, prompt, start, prefix_mut(tokens, self.plan.context as usize));
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
        let golden = self.image().golden();
        self.reset();
        let found = self.golden_hash(&golden);
        self.reset();
        match found? {
            found if found == golden.hash => Ok(()),
            found => Err(Error::SelfTest { expected: golden.hash, found }),
        }
    }

    /// The hash of what the model makes of a golden vector's input: of what is generated greedily, or of what an encoder puts out.
    ///
    /// # Errors
    /// See [`Session::prefill`] and [`Session::encode`].
    pub fn golden_hash(&mut self, golden: &Golden<'_>) -> Result<u32, Error> {
        let mut hash = OutputHash::new();
        if self.config().has_encoder() {
            let output = if golden.features.is_empty() { self.encode(golden.tokens) } else { self.encode_features(golden.features) }?;
            hash.logits(output);
        }
        if golden.generate != 0 {
            self.prefill(golden.tokens)?;
        }
        for made in 1..=golden.generate {
            hash.logits(self.logits());
            let token = Sampler::greedy().sample(self.logits(), &[]);
            hash.token(token);
            if made < golden.generate {
                self.step(token)?;
            }
        }
        Ok(hash.value())
    }

    fn block(&self) -> usize {
        (self.plan.block as usize).max(1)
    }

    /// Checks a decoder's tokens before any of them is computed.
    fn accept(&self, tokens: &[u32]) -> Result<(), Error> {
        match self.config().architecture {
            Architecture::Encoder => return Err(Error::Architecture { asked: "write text" }),
            Architecture::EncoderDecoder if self.source == 0 => return Err(Error::NothingEncoded),
            _ => {}
        }
        if tokens.len() > self.room() {
            return Err(Error::ContextFull { tokens: self.position + tokens.len(), context: self.plan.context as usize });
        }
        self.known(tokens)
    }

    /// Whether there are tokens, all of the vocabulary.
    fn known(&self, tokens: &[u32]) -> Result<(), Error> {
        let vocab = self.config().vocab;
        if tokens.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        match tokens.iter().find(|&&token| token >= vocab) {
            Some(&token) => Err(Error::TokenOutOfRange { token, vocab }),
            None => Ok(()),
        }
    }

    /// Runs one block of accepted tokens.
    fn forward(&mut self, block: &[u32], probe: &mut impl Probe) {
        self.model.forward(self.kernels, &mut self.workspace, self.plan, self.position, block, self.source, probe);
        self.remember(block);
    }

    /// Tokens that have been fed.
    fn remember(&mut self, block: &[u32]) {
        let slots = self.workspace.tokens.get_mut(self.position..).unwrap_or_default();
        slots.iter_mut().zip(block).for_each(|(slot, &token)| *slot = token);
        self.position += block.len();
    }

    /// Logits of one row of the last block.
    fn logits_of(&mut self, row: usize) -> Result<&[f32], Error> {
        self.model.logits(self.kernels, &mut self.workspace, row);
        let vocab = self.config().vocab as usize;
        finite(prefix_mut(self.workspace.output, vocab), self.position.saturating_sub(1))
    }
}

/// What the row at `position` made, if it did not overflow.
fn finite(output: &[f32], position: usize) -> Result<&[f32], Error> {
    // Adding one to the exponent of an infinity or a NaN reaches the top bit; or-ing needs no branch per value.
    let finite = output.iter().fold(0, |all, x| all | ((x.to_bits() & 0x7fff_ffff) + 0x0080_0000)) >> 31 == 0;
    if finite { Ok(output) } else { Err(Error::Overflow { position }) }
}

/// Writes the prompt's tokens behind `start` tokens already there, the begin token first at the start of a sequence where the model wants it; returns their end.
fn encode_prompt(tokenizer: &crate::Tokenizer<'_>, prompt: &str, start: usize, tokens: &mut [u32]) -> Result<usize, Error> {
    let context = tokens.len();
    let full = Error::ContextFull { tokens: context + 1, context };
    let mut end = start;
    if start == 0 && tokenizer.add_bos() {
        *tokens.first_mut().ok_or(full)? = tokenizer.bos();
        end = 1;
    }
    match tokenizer.encode(prompt, tokens.get_mut(end..).unwrap_or_default()) {
        Ok(count) => Ok(end + count),
        Err(Error::BufferTooSmall { .. }) => Err(full),
        Err(other) => Err(other),
    }
}
