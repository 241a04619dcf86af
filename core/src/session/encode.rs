//! Session methods for encoders (bidirectional attention).

use super::sequence::{Session, finite};
use crate::error::Error;
use crate::format::{Architecture, AttentionKind, Classifier, InputStem, MaskKind};
use crate::model::encoder::{Input, input_stem_rows, seq_starts};
use crate::probe::Probe;
use crate::slices::prefix_mut;

impl Session<'_> {
    /// Encodes a whole sequence, independent of earlier ones.
    ///
    /// An encoder returns its embedding `(d_model)`, or the logits of a classifier: `(labels)` of the sequence, or `(tokens, labels)`. An
    /// encoder-decoder returns its encoder's rows `(tokens, d_model)`; their keys and values are cached for cross-attention, and the decoder
    /// starts a new sequence.
    ///
    /// # Errors
    /// [`Error::Architecture`], [`Error::EmptyPrompt`], [`Error::ContextFull`] and [`Error::TokenOutOfRange`] before anything is computed;
    /// [`Error::Overflow`].
    pub fn encode(&mut self, tokens: &[u32]) -> Result<&[f32], Error> {
        self.encode_probed(tokens, &mut ())
    }

    /// Encodes like [`Session::encode`], observed by a probe.
    ///
    /// # Errors
    /// See [`Session::encode`].
    pub fn encode_probed(&mut self, tokens: &[u32], probe: &mut impl Probe) -> Result<&[f32], Error> {
        if !self.config().has_encoder() || self.config().input_stem != InputStem::Tokens {
            return Err(Error::Architecture { asked: "token input" });
        }
        self.check_vocabulary(tokens)?;
        self.run(Input::Tokens(tokens), tokens.len(), probe)
    }

    /// Encodes one sequence of rows of features, `(frames, features)`, for models that read audio or images; see [`Session::encode`].
    ///
    /// # Errors
    /// [`Error::Architecture`], [`Error::Features`] for values that are not whole rows or not finite, [`Error::ContextFull`], [`Error::Overflow`].
    pub fn encode_features(&mut self, features: &[f32]) -> Result<&[f32], Error> {
        self.encode_features_probed(features, &mut ())
    }

    /// Encodes rows of features like [`Session::encode_features`], observed by a probe.
    ///
    /// # Errors
    /// See [`Session::encode_features`].
    pub fn encode_features_probed(&mut self, features: &[f32], probe: &mut impl Probe) -> Result<&[f32], Error> {
        let width = self.config().features as usize;
        if !self.config().has_encoder() || self.config().input_stem == InputStem::Tokens {
            return Err(Error::Architecture { asked: "feature input" });
        }
        if features.is_empty() || !features.len().is_multiple_of(width) || !features.iter().all(|x| x.is_finite()) {
            return Err(Error::Features { width, values: features.len() });
        }
        let count = input_stem_rows(self.config(), features.len() / width);
        self.run(Input::Features(features), count, probe)
    }

    /// Encodes several sequences of `lengths` tokens, packed one after another without padding. `on_output` receives each sequence's index and
    /// the output that [`Session::encode`] returns for it alone, bit for bit. Sequences are processed in order, as many at a time as fit the
    /// context together, each rounded up to a multiple of four tokens.
    ///
    /// # Errors
    /// Those of [`Session::encode`], after the output of all earlier batches; [`Error::BufferTooSmall`] for fewer tokens than the lengths add up
    /// to; [`Error::Architecture`] for encoder-decoders and models that read features.
    pub fn encode_batch(&mut self, tokens: &[u32], lengths: &[usize], mut on_output: impl FnMut(usize, &[f32])) -> Result<(), Error> {
        if self.config().architecture != Architecture::Encoder || self.config().input_stem != InputStem::Tokens {
            return Err(Error::Architecture { asked: "batches of texts" });
        }
        let (mut rest, mut waiting, mut number) = (tokens, lengths, 0);
        while !waiting.is_empty() {
            let together = self.fitting(waiting);
            let (batch, later_lengths) = waiting.split_at_checked(together).unwrap_or_default();
            if let Some(&tokens) = batch.iter().find(|&&tokens| tokens == 0 || tokens > self.row_limit()) {
                return Err(if tokens == 0 { Error::EmptyPrompt } else { Error::ContextFull { tokens, context: self.row_limit() } });
            }
            let need = batch.iter().sum();
            let (rows, later) = rest.split_at_checked(need).ok_or(Error::BufferTooSmall { need, have: rest.len() })?;
            self.check_vocabulary(rows)?;
            let mut probe = ();
            let (model, pass) = self.pass(0, &mut probe);
            model.encode(pass, Input::Tokens(rows), batch);
            let mut first = 0;
            for &tokens in batch {
                on_output(number, self.pool_or_classify(first, tokens, &mut ())?);
                (first, number) = (first + tokens, number + 1);
            }
            (rest, waiting) = (later, later_lengths);
        }
        Ok(())
    }

    /// Feeds the bidirectional prefix of a decoder with a prefix mask at the start of a sequence, and returns the logits `(vocab)` after the last
    /// token.
    ///
    /// # Errors
    /// [`Error::Architecture`] if the model has no prefix mask or the session is not at the start of a sequence; those of [`Session::prefill`].
    pub fn prefill_prefix(&mut self, tokens: &[u32]) -> Result<&[f32], Error> {
        if self.config().mask != MaskKind::Prefix || self.position != 0 {
            return Err(Error::Architecture { asked: "prefix prefill" });
        }
        self.check_decoder_input(tokens)?;
        let mut probe = ();
        let (model, pass) = self.pass(0, &mut probe);
        model.encode(pass, Input::Tokens(tokens), &[tokens.len()]);
        self.record(tokens);
        self.logits_of(tokens.len() - 1, &mut ())
    }

    /// Number of sequences that fit the context together, at least one. Linear attention's state holds one sequence at a time.
    fn fitting(&self, lengths: &[usize]) -> usize {
        if self.config().attention == AttentionKind::Linear {
            return 1;
        }
        let limit = self.row_limit();
        let ends = seq_starts(lengths).map(|(seq_start, tokens)| seq_start.saturating_add(tokens));
        ends.take_while(|&end| end <= limit).count().max(1)
    }

    /// Longest sequence of the encoder, rows.
    fn row_limit(&self) -> usize {
        let config = self.config();
        if config.has_cross() { config.encoder_context as usize } else { self.plan.context as usize }
    }

    /// Runs one sequence of `count` rows.
    fn run(&mut self, input: Input<'_>, count: usize, probe: &mut impl Probe) -> Result<&[f32], Error> {
        if count > self.row_limit() {
            return Err(Error::ContextFull { tokens: count, context: self.row_limit() });
        }
        let (model, pass) = self.pass(0, probe);
        model.encode(pass, input, &[count]);
        if !self.config().has_cross() {
            return self.pool_or_classify(0, count, probe);
        }
        let (model, pass) = self.pass(0, probe);
        model.project_encoder_kv(pass, count);
        (self.encoder_len, self.position) = (count, 0);
        let d_model = self.config().d_model as usize;
        finite(prefix_mut(self.workspace.x, count * d_model), count - 1)
    }

    /// Output for `tokens` rows from row `first` on.
    fn pool_or_classify(&mut self, first: usize, tokens: usize, probe: &mut impl Probe) -> Result<&[f32], Error> {
        let (model, pass) = self.pass(first, probe);
        model.pool_or_classify(pass, tokens);
        let count = match self.config().classifier {
            Classifier::Tokens => tokens * self.config().labels as usize,
            _ => self.config().output_dim(0) as usize,
        };
        finite(prefix_mut(self.workspace.output, count), tokens - 1)
    }
}
