//! Text to the tokens of a prompt.

use crate::error::Error;
use crate::tokenizer::Tokenizer;

impl Tokenizer<'_> {
    /// Writes the tokens of a prompt to `out` and returns their number: BOS if the model expects it, then the tokens of `text`.
    ///
    /// [`Tokenizer::max_tokens`] elements always suffice.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`].
    pub fn encode_prompt(&self, text: &str, out: &mut [u32]) -> Result<usize, Error> {
        let mut count = 0;
        if self.add_bos() {
            *out.first_mut().ok_or(Error::BufferTooSmall { need: 1, have: 0 })? = self.bos();
            count = 1;
        }
        let tokens = self.encode(text, out.get_mut(count..).unwrap_or_default())?;
        Ok(count + tokens)
    }
}
