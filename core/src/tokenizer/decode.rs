//! Tokens to text, one at a time.

/// Bytes of text that one token can complete: an unfinished character before it, which becomes one U+FFFD (3 bytes), a space, and a piece of
/// at most 255 bytes of UTF-8. A byte token completes less: at most a U+FFFD for the character that it interrupts and one for itself.
const MAX_TEXT_BYTES: usize = 3 + 1 + 255;

/// Turns a stream of tokens into text (detokenizes) without splitting a character: the bytes of an incomplete character are held back.
///
/// The text is that of [`String::from_utf8_lossy`] over the bytes of all tokens, whatever the boundaries between the tokens: bytes that can
/// not become a character are replaced by U+FFFD, one per maximal broken sequence.
///
/// [`String::from_utf8_lossy`]: https://doc.rust-lang.org/std/string/struct.String.html#method.from_utf8_lossy
#[derive(Clone, Debug)]
pub struct Decoder {
    /// The start of an incomplete character: at most 3 bytes.
    held: heapless::Vec<u8, 4>,
    /// Whether the next piece starts the text.
    pub(super) at_start: bool,
    /// The text that the last call completed.
    text: heapless::String<MAX_TEXT_BYTES>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder for a text from its start. The dummy prefix, the space that encoding puts before a text, is removed from the first token
    /// (llama2.c does so after BOS). In WordPiece a space is put before each word but the first; a first piece keeps its `##`.
    #[must_use]
    pub const fn new() -> Self {
        Self { held: heapless::Vec::new(), at_start: true, text: heapless::String::new() }
    }

    /// A decoder for the continuation of a text, such as the answer to a prompt: a leading space is kept (in WordPiece added, unless the
    /// first piece continues a word).
    #[must_use]
    pub const fn mid_text() -> Self {
        Self { held: heapless::Vec::new(), at_start: false, text: heapless::String::new() }
    }

    /// Ends the stream: an incomplete character becomes U+FFFD. The decoder is then as new.
    pub fn finish(&mut self) -> &'static str {
        let text = if self.held.is_empty() { "" } else { "\u{FFFD}" };
        *self = Self::new();
        text
    }

    /// The text that these bytes complete.
    pub(super) fn push_bytes(&mut self, parts: [&[u8]; 2]) -> &str {
        self.text.clear();
        for part in parts {
            for &byte in part {
                self.push_byte(byte);
            }
        }
        &self.text
    }

    fn push_byte(&mut self, byte: u8) {
        if !self.held.is_empty() {
            self.hold(byte);
            if self.settle() {
                return;
            }
            // The incomplete character ended before this byte, which is decoded on its own.
            self.held.clear();
        }
        self.hold(byte);
        if !self.settle() {
            self.held.clear();
        }
    }

    fn hold(&mut self, byte: u8) {
        let held = self.held.push(byte);
        debug_assert!(held.is_ok(), "`settle` leaves at most 3 bytes");
    }

    /// Moves a complete character from `held` to `text`, or keeps the start of one. A broken one gives U+FFFD and `false`.
    fn settle(&mut self) -> bool {
        let (pushed, settled) = match core::str::from_utf8(&self.held) {
            Ok(character) => {
                let pushed = self.text.push_str(character).is_ok();
                self.held.clear();
                (pushed, true)
            }
            Err(error) if error.error_len().is_none() => (true, true),
            Err(_) => (self.text.push('\u{FFFD}').is_ok(), false),
        };
        debug_assert!(pushed, "see MAX_TEXT_BYTES");
        settled
    }
}
