//! The logit lens: logits of a row of the residual stream after any layer (nostalgebraist 2020, "interpreting GPT: the logit lens").

use super::sequence::{Session, finite};
use crate::error::Error;
use crate::format::Architecture;
use crate::slices::prefix_mut;

impl Session<'_> {
    /// Logits `(vocab)` of a row `(d_model)` of the residual stream, through the final norm and the head. For a row after the last layer, as a
    /// probe receives it at [`Part::Residual`](crate::probe::Part::Residual), these are the model's own logits, bit for bit.
    ///
    /// They overwrite the logits of the token fed last; the sequence does not change.
    ///
    /// # Errors
    /// [`Error::Architecture`] for an encoder, [`Error::Features`] for a row of another width or with values that are not finite,
    /// [`Error::Overflow`].
    pub fn lens(&mut self, row: &[f32]) -> Result<&[f32], Error> {
        let (d_model, vocab) = (self.config().d_model as usize, self.config().vocab as usize);
        if self.config().architecture == Architecture::Encoder {
            return Err(Error::Architecture { asked: "the logit lens" });
        }
        if row.len() != d_model || !row.iter().all(|x| x.is_finite()) {
            return Err(Error::Features { width: d_model, values: row.len() });
        }
        let mut probe = ();
        let (model, pass) = self.pass(self.position.saturating_sub(1), &mut probe);
        model.logits_of(pass, row);
        finite(prefix_mut(self.workspace.output, vocab), self.position.saturating_sub(1))
    }
}
