//! Text to tokens and back, straight from the image's bytes: no heap, no copy of the vocabulary, no panic on any input.
//!
//! [`Tokenizer`] reads the image's tokenizer section (kind 1: SentencePiece-style BPE as llama2.c runs it; kind 2: WordPiece with BERT's
//! normaliser), [`Decoder`] turns tokens back into text without ever splitting a character, [`StopMatcher`] ends a text at a stop string.
//!
//! **Text cannot forge control tokens.** The pieces of the begin, end and unknown tokens, and the spelled-out pieces of the byte tokens
//! (`<0x0A>`), are never matched against text. llama2.c looks them up like any other piece; its vocabularies hold no chain of merges that
//! leads to one, so its results are the same. BERT's own tokenizer splits `[SEP]` at its brackets, so its results are the same too.

mod bpe;
mod decode;
mod section;
mod stop;
mod vocabulary;
mod wordpiece;

pub use decode::Decoder;
pub use stop::{MAX_STOP_BYTES, StopMatcher};

use crate::error::Error;
use bpe::Bpe;
use vocabulary::Vocabulary;
use wordpiece::WordPiece;

/// A checked view of an image's tokenizer section. Copying it copies references only.
///
/// Made by [`Tokenizer::new`], which checks the whole section once; all later calls rely on that.
#[derive(Clone, Copy, Debug)]
pub struct Tokenizer<'a> {
    kind: Kind<'a>,
}

/// The ways to make tokens of a text.
#[derive(Clone, Copy, Debug)]
enum Kind<'a> {
    Bpe(Bpe<'a>),
    WordPiece(WordPiece<'a>),
}

/// What [`Tokenizer::encode_with_specials`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// Tokens written, the special ones included.
    pub tokens: usize,
    /// Tokens at the text's end for which there was no room.
    pub left_out: usize,
}

impl<'a> Tokenizer<'a> {
    /// Reads and checks `section`, the bytes of an image's tokenizer section, for a model with `vocab` tokens.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the section has another size than it implies, states another vocabulary than `vocab`, holds offsets,
    /// scores, an order, flags or token ids that contradict one another, or a piece that is not UTF-8 (the pieces of byte tokens are
    /// never read and may be anything).
    pub fn new(section: &'a [u8], vocab: u32) -> Result<Self, Error> {
        section::read(section, vocab)
    }

    /// Number of tokens.
    pub fn vocab(&self) -> u32 {
        self.vocabulary().len()
    }

    /// The token that begins a text (BERT's `[CLS]`). [`Tokenizer::encode`] does not write it.
    pub fn begin(&self) -> u32 {
        self.vocabulary().begin
    }

    /// The token that ends a text (BERT's `[SEP]`).
    pub fn end(&self) -> u32 {
        self.vocabulary().end
    }

    /// The token that stands for what the vocabulary lacks. BPE never yields it: unknown characters become byte tokens. In WordPiece it
    /// stands for a whole word.
    pub fn unknown(&self) -> u32 {
        self.vocabulary().unknown
    }

    /// The bytes that `token` stands for: one byte for a byte token, otherwise its piece (UTF-8, at most 255 bytes; in WordPiece with the
    /// `##` of a piece inside a word).
    ///
    /// The begin and end tokens give their stored spelling here; a [`Decoder`] leaves them out of the text.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`].
    pub fn piece(&self, token: u32) -> Result<&'a [u8], Error> {
        let byte = match &self.kind {
            Kind::Bpe(bpe) => bpe.byte(token),
            Kind::WordPiece(_) => None,
        };
        match byte {
            Some(byte) => Ok(core::slice::from_ref(byte)),
            None => self.vocabulary().stored(token).ok_or(Error::TokenOutOfRange { token, vocab: self.vocab() }),
        }
    }

    /// Writes the tokens of `text` to `out` and returns how many they are. No begin token is written.
    ///
    /// BPE: llama2.c's `encode`. `out` must have room for the tokens before a word and the word's characters, all at once; what lies behind
    /// the tokens returned is scratch. WordPiece: BERT's normaliser (as the vocabulary's flags say: control characters removed and white
    /// space made one kind, Chinese characters each a word, accents stripped, lower case), words cut at white space and around
    /// punctuation, each word split by its longest pieces from the left, or replaced as a whole by the unknown token when that fails or
    /// when it is longer than the vocabulary allows (Devlin et al. 2018; Wu et al. 2016, section 4.1).
    ///
    /// `text.len() + 1` elements always suffice. Time is linear in the number of words.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`].
    pub fn encode(&self, text: &str, out: &mut [u32]) -> Result<usize, Error> {
        match &self.kind {
            Kind::Bpe(bpe) => bpe.encode(text, out),
            Kind::WordPiece(wordpiece) => match wordpiece.encode(text, out) {
                need if need > out.len() => Err(Error::BufferTooSmall { need, have: out.len() }),
                count => Ok(count),
            },
        }
    }

    /// Writes `text` as a whole input of the model to `out`, whose length is the longest input wanted.
    ///
    /// WordPiece: `[CLS]`, the text's tokens, `[SEP]`. A text with too many tokens keeps its first `out.len() - 2`, as BERT has it, and
    /// the others are counted. BPE: the begin token and the text's tokens; too many are an error, because a prompt must not be cut.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] without room for the special tokens, and see above.
    pub fn encode_with_specials(&self, text: &str, out: &mut [u32]) -> Result<Encoding, Error> {
        let have = out.len();
        let (first, rest) = out.split_first_mut().ok_or(Error::BufferTooSmall { need: 1, have })?;
        *first = self.begin();
        match &self.kind {
            Kind::Bpe(bpe) => Ok(Encoding { tokens: bpe.encode(text, rest)?.saturating_add(1), left_out: 0 }),
            Kind::WordPiece(wordpiece) => {
                let (_, room) = rest.split_last_mut().ok_or(Error::BufferTooSmall { need: 2, have })?;
                let count = wordpiece.encode(text, room);
                let kept = count.min(room.len());
                if let Some(end) = rest.get_mut(kept) {
                    *end = self.end();
                }
                Ok(Encoding { tokens: kept.saturating_add(2), left_out: count.saturating_sub(kept) })
            }
        }
    }

    fn vocabulary(&self) -> &Vocabulary<'a> {
        match &self.kind {
            Kind::Bpe(bpe) => &bpe.vocabulary,
            Kind::WordPiece(wordpiece) => &wordpiece.vocabulary,
        }
    }

    /// What `token` adds to a text, in two parts: the space before a word, and the piece. The begin and end tokens add nothing.
    fn shown(&self, token: u32, at_start: bool) -> Result<[&'a [u8]; 2], Error> {
        let piece = self.piece(token)?;
        if token == self.begin() || token == self.end() {
            return Ok([&[], &[]]);
        }
        match &self.kind {
            Kind::Bpe(bpe) if at_start && bpe.space_in_front => Ok([&[], piece.strip_prefix(b" ").unwrap_or(piece)]),
            Kind::WordPiece(_) if !at_start => Ok(match piece.strip_prefix(wordpiece::INSIDE) {
                Some(inside) => [&[], inside],
                None => [b" ", piece],
            }),
            _ => Ok([&[], piece]),
        }
    }

    /// Whether what follows `token` is the start of a text. An end token does not end the start of a WordPiece text, which nothing was
    /// shown of yet.
    fn starts_behind(&self, token: u32, at_start: bool) -> bool {
        token == self.begin() || (at_start && token == self.end() && matches!(self.kind, Kind::WordPiece(_)))
    }
}
