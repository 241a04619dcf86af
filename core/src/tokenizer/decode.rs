//! Tokens to text, as they come.

use super::Tokenizer;
use crate::error::Error;

/// Bytes of text that one token can complete. A piece is UTF-8 of at most 255 bytes, a space may come before it, and the unfinished
/// character before that, if any, becomes one U+FFFD (3 bytes). A byte token completes less: at most a U+FFFD for the character it breaks
/// off and one for itself.
const MAX_TEXT_BYTES: usize = 3 + 1 + 255;

/// Turns a stream of tokens into text, never splitting a character: the bytes of an unfinished one are held back.
///
/// However the tokens are cut into streams of bytes, the text is that of [`String::from_utf8_lossy`] over all of them: bytes that can
/// never become a character are replaced by U+FFFD, one per maximal broken sequence.
///
/// [`String::from_utf8_lossy`]: https://doc.rust-lang.org/std/string/struct.String.html#method.from_utf8_lossy
#[derive(Clone, Debug)]
pub struct Decoder {
    /// The start of a character that is not complete: at most 3 bytes.
    held: heapless::Vec<u8, 4>,
    /// The next piece starts the text.
    at_start: bool,
    /// What the last call completed.
    text: heapless::String<MAX_TEXT_BYTES>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder for a text from its start. The space that encoding puts before a text is taken off its first token again (llama2.c does
    /// so after the begin token). Of WordPiece, each word but the first is shown with a space before it; a first piece keeps its `##`.
    pub const fn new() -> Self {
        Self { held: heapless::Vec::new(), at_start: true, text: heapless::String::new() }
    }

    /// A decoder for the rest of a text whose start is known, such as an answer behind its prompt: a leading space belongs to it
    /// (WordPiece: unless it goes on inside a word).
    pub const fn mid_text() -> Self {
        Self { held: heapless::Vec::new(), at_start: false, text: heapless::String::new() }
    }

    /// The text that `token` completes; often its piece, sometimes nothing yet. The begin and end tokens add nothing; behind a begin token
    /// a text starts anew.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`]; nothing has changed then.
    pub fn push(&mut self, tokenizer: &Tokenizer<'_>, token: u32) -> Result<&str, Error> {
        let shown = tokenizer.shown(token, self.at_start)?;
        self.at_start = tokenizer.starts_behind(token, self.at_start);
        self.text.clear();
        for &byte in shown.into_iter().flatten() {
            self.byte(byte);
        }
        Ok(&self.text)
    }

    /// Ends the stream: an unfinished character becomes U+FFFD. The decoder is then as good as new.
    pub fn finish(&mut self) -> &'static str {
        let text = if self.held.is_empty() { "" } else { "\u{FFFD}" };
        *self = Self::new();
        text
    }

    fn byte(&mut self, byte: u8) {
        if !self.held.is_empty() {
            // Cannot fail, and neither can the pushes below: see MAX_TEXT_BYTES.
            let _ = self.held.push(byte);
            if self.settle() {
                return;
            }
            // The character was broken off before this byte, which is looked at alone now.
            self.held.clear();
        }
        let _ = self.held.push(byte);
        if !self.settle() {
            self.held.clear();
        }
    }

    /// Moves a complete character from `held` to `text`, or leaves the start of one. A broken one gives U+FFFD and `false`.
    fn settle(&mut self) -> bool {
        match core::str::from_utf8(&self.held) {
            Ok(character) => {
                let _ = self.text.push_str(character);
                self.held.clear();
                true
            }
            Err(error) if error.error_len().is_none() => true,
            Err(_) => {
                let _ = self.text.push('\u{FFFD}');
                false
            }
        }
    }
}
