//! A session: one sequence with its KV cache and its position.

use crate::error::Error;
use crate::format::{Architecture, Config};
use crate::image::Image;
use crate::kernels::{self, Kernels};
use crate::memory::{Plan, workspace::Workspace};
use crate::model::{Model, Pass};
use crate::numeric::float_mode_is_ieee;
use crate::parallel::Parallel;
use crate::probe::Probe;
use crate::sampling::Sampler;
use crate::slices::prefix_mut;
use zerocopy::FromBytes;

/// A model that processes one sequence, in memory given by the caller.
#[derive(Debug)]
pub struct Session<'a> {
    pub(super) model: Model<'a>,
    pub(super) kernels: &'static Kernels,
    pub(super) workspace: Workspace<'a>,
    pub(super) plan: Plan,
    pub(super) position: usize,
    /// Rows of encoder output that are available for cross-attention.
    pub(super) encoder_len: usize,
}

impl<'a> Session<'a> {
    /// Creates a session with the packed context, the default block and the fastest kernels of this CPU.
    ///
    /// # Errors
    /// See [`Session::with_plan`].
    pub fn new(image: &Image<'a>, arena: &'a mut [u8]) -> Result<Self, Error> {
        Self::with_plan(image, arena, Plan::packed(image.config()))
    }

    /// Creates a session with a plan of the caller's, such as a smaller context.
    ///
    /// # Errors
    /// [`Error::Context`] for a context of zero or beyond the packed one, or a block of zero; [`Error::ArenaTooSmall`] with the bytes that
    /// [`crate::arena_bytes`] states; [`Error::FloatMode`] when this CPU's float unit does not follow IEEE 754.
    pub fn with_plan(image: &Image<'a>, arena: &'a mut [u8], plan: Plan) -> Result<Self, Error> {
        Self::with_kernels(image, arena, plan, kernels::best())
    }

    /// Creates a session with kernels of the caller's choice; they change speed, never results.
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
        Ok(Session { model: Model::new(*image), kernels, workspace, plan, position: 0, encoder_len: 0 })
    }

    /// Shares the session's work among threads. They change speed, never results.
    #[must_use]
    pub fn with_parallel(mut self, parallel: &'a dyn Parallel) -> Self {
        self.workspace.parallel = parallel;
        self
    }

    /// Gives the session memory for the logits of several tokens, four bytes for each entry of the vocabulary and token, so that
    /// [`Session::prefill_each`] computes them by one matrix product. It changes speed, never results; without it the arena's own buffers hold as
    /// many tokens' logits as fit.
    #[must_use]
    pub fn with_logit_memory(mut self, memory: &'a mut [u8]) -> Self {
        let skip = (memory.as_ptr() as usize).wrapping_neg() % size_of::<f32>();
        let aligned = memory.get_mut(skip..).unwrap_or_default();
        let len = aligned.len() / size_of::<f32>() * size_of::<f32>();
        self.workspace.logit_rows = aligned.get_mut(..len).and_then(|bytes| <[f32]>::mut_from_bytes(bytes).ok()).unwrap_or_default();
        self
    }

    /// The image.
    #[must_use]
    pub fn image(&self) -> &Image<'a> {
        self.model.image()
    }

    /// The model's shape.
    #[must_use]
    pub fn config(&self) -> &Config {
        self.model.image().config()
    }

    /// The kernels in use.
    #[must_use]
    pub fn kernels(&self) -> &'static Kernels {
        self.kernels
    }

    /// Tokens fed since the start or the last reset.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Tokens that still fit the context.
    #[must_use]
    pub fn remaining(&self) -> usize {
        (self.plan.context as usize).saturating_sub(self.position)
    }

    /// The tokens fed since the start or the last reset.
    #[must_use]
    pub fn tokens(&self) -> &[u32] {
        self.workspace.tokens.get(..self.position).unwrap_or_default()
    }

    /// Logits `(vocab)` after the token fed last. Sampling may overwrite them.
    pub fn logits(&mut self) -> &mut [f32] {
        let vocab = self.config().vocab as usize;
        prefix_mut(self.workspace.output, vocab)
    }

    /// Chooses the next token from the logits; a repetition penalty applies to the tokens fed so far. Sampling overwrites the logits unless
    /// it is greedy without a penalty.
    pub fn sample(&mut self, sampler: &mut Sampler) -> u32 {
        let vocab = self.config().vocab as usize;
        let recent = self.workspace.tokens.get(..self.position).unwrap_or_default();
        sampler.sample(prefix_mut(self.workspace.output, vocab), recent)
    }

    /// Starts a new sequence. The encoder output of an encoder-decoder stays.
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

    /// Feeds tokens like [`Session::prefill`], observed by a probe.
    ///
    /// # Errors
    /// See [`Session::prefill`].
    pub fn prefill_probed(&mut self, tokens: &[u32], probe: &mut impl Probe) -> Result<&[f32], Error> {
        self.check_decoder_input(tokens)?;
        let mut last = 0;
        for block in tokens.chunks(self.block()) {
            self.forward(block, probe);
            last = block.len() - 1;
        }
        self.logits_of(last, probe)
    }

    /// Feeds tokens like [`Session::prefill`] and passes the logits `(vocab)` after each of them to `on_logits`, with its position.
    ///
    /// # Errors
    /// See [`Session::prefill`].
    pub fn prefill_each(&mut self, tokens: &[u32], mut on_logits: impl FnMut(usize, &[f32])) -> Result<(), Error> {
        self.check_decoder_input(tokens)?;
        for block in tokens.chunks(self.block()) {
            let start = self.position;
            self.forward(block, &mut ());
            self.each_logits(block.len(), |row, logits| {
                on_logits(start + row, finite(logits, start + row)?);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Passes the logits `(vocab)` of the last pass's first `count` rows to `each`, with the row's index.
    pub(super) fn each_logits(&mut self, count: usize, each: impl FnMut(usize, &mut [f32]) -> Result<(), Error>) -> Result<(), Error> {
        let mut probe = ();
        let (model, pass) = self.pass(self.position.saturating_sub(count), &mut probe);
        model.each_logits(pass, count, each)
    }

    fn block(&self) -> usize {
        (self.plan.block as usize).max(1)
    }

    /// Checks a decoder's tokens before anything is computed.
    pub(super) fn check_decoder_input(&self, tokens: &[u32]) -> Result<(), Error> {
        match self.config().architecture {
            Architecture::Encoder => return Err(Error::Architecture { asked: "text generation" }),
            Architecture::EncoderDecoder if self.encoder_len == 0 => return Err(Error::NothingEncoded),
            _ => {}
        }
        if tokens.len() > self.remaining() {
            return Err(Error::ContextFull { tokens: self.position + tokens.len(), context: self.plan.context as usize });
        }
        self.check_vocabulary(tokens)
    }

    /// Checks that there are tokens, all of them in the vocabulary.
    pub(super) fn check_vocabulary(&self, tokens: &[u32]) -> Result<(), Error> {
        let vocab = self.config().vocab;
        if tokens.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        match tokens.iter().find(|&&token| token >= vocab) {
            Some(&token) => Err(Error::TokenOutOfRange { token, vocab }),
            None => Ok(()),
        }
    }

    /// The model, and a pass whose first row has this position.
    pub(super) fn pass<'s, P>(&'s mut self, start: usize, probe: &'s mut P) -> (&'s Model<'a>, Pass<'s, 'a, P>) {
        let Session { model, kernels, workspace, plan, .. } = self;
        (model, Pass { kernels, workspace, plan: *plan, start, probe })
    }

    /// Runs one block of checked tokens.
    fn forward(&mut self, block: &[u32], probe: &mut impl Probe) {
        let encoder_len = self.encoder_len;
        let (model, pass) = self.pass(self.position, probe);
        model.forward(pass, block, encoder_len);
        self.record(block);
    }

    /// Appends tokens to those fed so far.
    pub(super) fn record(&mut self, block: &[u32]) {
        let slots = self.workspace.tokens.get_mut(self.position..).unwrap_or_default();
        slots.iter_mut().zip(block).for_each(|(slot, &token)| *slot = token);
        self.position += block.len();
    }

    /// Logits `(vocab)` of one row of the last block.
    pub(super) fn logits_of(&mut self, row: usize, probe: &mut impl Probe) -> Result<&[f32], Error> {
        let (model, pass) = self.pass(self.position.saturating_sub(1), probe);
        model.logits(pass, row);
        let vocab = self.config().vocab as usize;
        finite(prefix_mut(self.workspace.output, vocab), self.position.saturating_sub(1))
    }
}

/// The output of the row at `position`, unless it overflowed.
pub(super) fn finite(output: &[f32], position: usize) -> Result<&[f32], Error> {
    // Adding one to the exponent of an infinity or a NaN reaches the top bit; or-ing needs no branch per value.
    let finite = output.iter().fold(0, |all, x| all | ((x.to_bits() & 0x7fff_ffff) + 0x0080_0000)) >> 31 == 0;
    if finite { Ok(output) } else { Err(Error::Overflow { position }) }
}
