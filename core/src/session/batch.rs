//! Batched decoding: several sequences of one length share each pass over the weights.

use super::sequence::{Session, finite};
use crate::error::Error;
use crate::format::{Architecture, AttentionKind};

impl Session<'_> {
    /// Longest sequence of a batch of `count` sequences, which share the context in equal parts: whole blocks of four tokens.
    #[must_use]
    pub fn batch_capacity(&self, count: usize) -> usize {
        (self.plan.context as usize / count.max(1)) & !3
    }

    /// Feeds one token to each of several sequences, which all have [`Session::position`] tokens, and passes each one's index and its logits
    /// `(vocab)` to `on_logits`. A sequence's logits have the same bits as alone. A batch begins after [`Session::reset`] and keeps its number
    /// of sequences, at most the plan's block, until the next one.
    ///
    /// # Errors
    /// [`Error::Architecture`] for anything but a decoder with softmax attention; [`Error::ContextFull`] beyond
    /// [`Session::batch_capacity`]; those of [`Session::prefill`].
    pub fn step_batch(&mut self, tokens: &[u32], mut on_logits: impl FnMut(usize, &mut [f32])) -> Result<(), Error> {
        let config = self.config();
        if config.architecture != Architecture::Decoder || config.attention != AttentionKind::Softmax {
            return Err(Error::Architecture { asked: "batched decoding" });
        }
        self.check_vocabulary(tokens)?;
        let (capacity, block) = (self.batch_capacity(tokens.len()), self.plan.block as usize);
        if tokens.len() > block {
            return Err(Error::BufferTooSmall { need: tokens.len(), have: block });
        }
        if self.position >= capacity {
            return Err(Error::ContextFull { tokens: self.position + 1, context: capacity });
        }
        let mut probe = ();
        let (model, pass) = self.pass(self.position, &mut probe);
        model.forward_batch(pass, tokens, capacity);
        self.position += 1;
        let position = self.position - 1;
        self.each_logits(tokens.len(), |row, logits| {
            finite(logits, position)?;
            on_logits(row, logits);
            Ok(())
        })
    }
}
