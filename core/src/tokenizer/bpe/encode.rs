//! Text to tokens, one word after another.

use super::{Bpe, Cut, METASPACE};
use crate::error::Error;
use crate::tokenizer::added::Added;
use crate::tokenizer::windows;

impl Bpe<'_> {
    /// Writes the tokens of `text` to `out`, those of `added` that it spells among them.
    pub fn encode_parts(&self, text: &str, out: &mut [u32], added: &Added<'_>, with_control: bool) -> Result<usize, Error> {
        // Where all of the room is left, a part is the text's first.
        let have = out.len();
        added.encode_parts(&self.vocabulary, text, with_control, out, |_, text, room| self.encode(text, room.len() == have, room))
    }

    /// [`Tokenizer::encode`](crate::Tokenizer::encode), by llama2.c's rule: a space is put before a text that is not empty (when and where
    /// the vocabulary says so); each character becomes the token of its piece, or else one byte token per UTF-8 byte; then the two neighbours
    /// whose joined piece has the highest score (the leftmost of equals) are merged, until no two can be. Byte tokens are not merged.
    ///
    /// A word is a space and what follows up to the next space, or a run of spaces and what follows; for the rare vocabulary with pieces
    /// across words the whole text is one. Long words are merged in windows (see `windows`).
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] as soon as the tokens, or a window's characters, do not fit what is left of `out`.
    fn encode(&self, text: &str, at_start: bool, out: &mut [u32]) -> Result<usize, Error> {
        let have = out.len();
        let front = if self.wants_space(text, at_start) { " " } else { "" };
        let mut rest = front.chars().chain(text.chars()).map(|character| self.space_or(character));
        let mut count = 0_usize;
        loop {
            let length = self.word(rest.clone());
            if length == 0 {
                return Ok(count);
            }
            let symbols = rest.clone().take(length).flat_map(|character| self.spell(character));
            let room = out.get_mut(count..).unwrap_or_default();
            let tokens = windows::encode(self, symbols, room).ok_or(Error::BufferTooSmall { need: have.saturating_add(1), have })?;
            count = count.saturating_add(tokens);
            rest.nth(length.saturating_sub(1));
        }
    }

    /// Whether a space is put before `text`.
    fn wants_space(&self, text: &str, at_start: bool) -> bool {
        let first = text.chars().next().map(|character| self.space_or(character));
        self.space_in_front && first.is_some() && (at_start || !self.only_at_start) && !(self.unless_there && first == Some(' '))
    }

    /// A space for what stands for one; any other character as it is.
    fn space_or(&self, character: char) -> char {
        if self.block_is_space && character == METASPACE { ' ' } else { character }
    }

    /// Characters of the word that `text` starts with; 0 for an empty text.
    fn word(&self, text: impl Iterator<Item = char>) -> usize {
        let mut before = None;
        let goes_on = |&character: &char| {
            let cut = before.replace(character).is_some_and(|before| self.cuts(before, character));
            !cut
        };
        text.take_while(goes_on).count()
    }

    /// Whether a word ends between two neighbouring characters.
    fn cuts(&self, before: char, after: char) -> bool {
        match self.cut {
            Cut::Spaces => after == ' ',
            Cut::Runs => after == ' ' && before != ' ',
            Cut::Never => false,
        }
    }

    /// A character's token, or those of its bytes.
    fn spell(&self, character: char) -> impl Iterator<Item = u32> + Clone {
        let mut bytes = [0; 4];
        let length = character.encode_utf8(&mut bytes).len();
        let known = bytes.get(..length).and_then(|piece| self.find(piece, &[]));
        let tokens = bytes.map(|byte| self.first_byte.wrapping_add(byte.into()));
        match known {
            Some(token) => [token; 4].into_iter().take(1),
            None => tokens.into_iter().take(length),
        }
    }
}
