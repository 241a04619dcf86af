//! Text to tokens, one word after another.

use super::{BLOCK, Bpe, Cut, merge::merge};
use crate::error::Error;
use crate::tokenizer::added::Added;

impl Bpe<'_> {
    /// Writes the tokens of `text` to `out`, those of `added` that it spells among them.
    pub fn encode_parts(&self, text: &str, out: &mut [u32], added: &Added<'_>, with_control: bool) -> Result<usize, Error> {
        // Where all of the room is left, a part is the text's first.
        let have = out.len();
        added.encode_parts(&self.vocabulary, text, with_control, out, |text, room| self.encode(text, room.len() == have, room))
    }

    /// [`Tokenizer::encode`](crate::Tokenizer::encode), by llama2.c's rule: a space is put before a text that is not empty (when and where
    /// the vocabulary says so); each character becomes the token of its piece, or else one byte token per UTF-8 byte; then the two neighbours
    /// whose joined piece has the highest score (the leftmost of equals) are merged, until no two can be. Byte tokens are not merged.
    ///
    /// A word is a space and what follows up to the next space, or a run of spaces and what follows; for the rare vocabulary with pieces
    /// across words the whole text is one. Time is linear in the number of words. A word of n characters takes O(n d) steps, where
    /// d <= n is the number of different scores its merges have, and O(n) look-ups once n is below half the room left in `out`.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] as soon as the characters of a word do not fit what is left of `out`; a word longer than `out` costs
    /// no more than `out` being filled once.
    fn encode(&self, text: &str, at_start: bool, out: &mut [u32]) -> Result<usize, Error> {
        let have = out.len();
        let full = Error::BufferTooSmall { need: have.saturating_add(1), have };
        let front = if self.wants_space(text, at_start) { " " } else { "" };
        let mut room = out;
        let mut characters = 0; // tokens of the current word, at the start of `room`
        let mut before = None;
        for mut rest in [front, text] {
            while let Some((character, tail)) = split_character(rest) {
                let character = self.space_or(character);
                if before.is_some_and(|before| self.cuts(before, character)) {
                    let tokens = merge(self, room, characters);
                    room = room.get_mut(tokens..).ok_or(full)?;
                    characters = 0;
                }
                let free = room.get_mut(characters..).ok_or(full)?;
                characters = characters.saturating_add(self.spell(character, free).ok_or(full)?);
                (before, rest) = (Some(character), tail);
            }
        }
        let tokens = merge(self, room, characters);
        Ok(have.saturating_sub(room.len()).saturating_add(tokens))
    }

    /// Whether a space is put before `text`.
    fn wants_space(&self, text: &str, at_start: bool) -> bool {
        let first = split_character(text).map(|(character, _)| self.space_or(character));
        self.space_in_front && first.is_some() && (at_start || !self.only_at_start) && !(self.unless_there && first == Some(" "))
    }

    /// A space for what stands for one; any other character as it is.
    fn space_or<'t>(&self, character: &'t str) -> &'t str {
        if self.block_is_space && character == BLOCK { " " } else { character }
    }

    /// Whether a word ends between two neighbouring characters.
    fn cuts(&self, before: &str, after: &str) -> bool {
        match self.cut {
            Cut::Spaces => after == " ",
            Cut::Runs => after == " " && before != " ",
            Cut::Never => false,
        }
    }

    /// Writes one character as its token, or as byte tokens; `None` when `out` is too short.
    fn spell(&self, character: &str, out: &mut [u32]) -> Option<usize> {
        if let Some(token) = self.find(character.as_bytes(), &[]) {
            *out.first_mut()? = token;
            return Some(1);
        }
        let slots = out.get_mut(..character.len())?;
        for (slot, byte) in slots.iter_mut().zip(character.bytes()) {
            *slot = self.first_byte.wrapping_add(byte.into());
        }
        Some(character.len())
    }
}

/// The first character of a text and what follows it.
fn split_character(text: &str) -> Option<(&str, &str)> {
    text.split_at_checked(text.chars().next()?.len_utf8())
}
