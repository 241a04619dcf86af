//! Text to tokens and back, in place in the image: no heap, no copy of the vocabulary, no panic on any input.
//!
//! [`Tokenizer`] reads the image's tokenizer section, [`Decoder`] turns tokens back into text and never splits a character, [`StopMatcher`]
//! ends a text at a stop sequence.
//!
//! | kind | Cargo feature | models |
//! |---|---|---|
//! | SentencePiece-style BPE, as llama2.c runs it | `bpe` | Llama 2, stories260K |
//! | WordPiece with BERT's normalizer | `wordpiece` | BERT, MiniLM |
//! | byte-level BPE | `byte-bpe` | GPT-2, Whisper, Llama 3, Qwen, SmolLM |
//! | Unigram | `unigram` | T5, XLM-R |
//!
//! All four are on by default. A section whose kind is not built in is refused with [`Error::NotBuiltIn`].
//!
//! **Text cannot forge special tokens.** The pieces of BOS, EOS, UNK and of the section's other special tokens, and the pieces that spell byte
//! tokens (`<0x0A>`), are never matched against text. llama2.c looks them up like any other piece; no sequence of merges leads to one in its
//! vocabularies, so its results are the same. BERT's tokenizer splits `[SEP]` at its brackets, so its results are the same too. The text of a
//! chat template is the exception, which a caller asks for: [`Tokenizer::encode_parse_special`].

// Without some of the kinds, parts of the shared modules are unused.
#![cfg_attr(not(all(feature = "bpe", feature = "byte-bpe", feature = "unigram", feature = "wordpiece")), allow(dead_code))]

mod added;
#[cfg(feature = "bpe")]
mod bpe;
#[cfg(feature = "byte-bpe")]
mod byte_bpe;
mod decode;
pub mod flags;
mod model;
#[cfg(any(feature = "byte-bpe", feature = "wordpiece"))]
mod nfc;
mod reader;
mod rules;
mod stop;
mod unicode;
#[cfg(feature = "unigram")]
mod unigram;
mod vocabulary;
#[cfg(any(feature = "bpe", feature = "byte-bpe"))]
mod windows;
#[cfg(feature = "wordpiece")]
mod wordpiece;

pub use decode::Decoder;
pub use stop::{MAX_STOP_BYTES, StopMatcher};

use crate::error::Error;
use added::{AddedTokens, Fragment};
use model::{Model, Section};
use rules::{CONTINUATION, Spacing, TextRules};
use vocabulary::{AddedRow, Vocabulary};

/// A checked view of an image's tokenizer section. A copy copies references only.
#[derive(Clone, Copy, Debug)]
pub struct Tokenizer<'a> {
    vocabulary: Vocabulary<'a>,
    rules: TextRules,
    model: Model<'a>,
}

/// The result of [`Tokenizer::encode_with_special_tokens`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// Tokens written, BOS and EOS included.
    pub tokens: usize,
    /// Tokens at the end of the text that did not fit.
    pub truncated: usize,
}

impl<'a> Tokenizer<'a> {
    /// Reads and checks `section`, the bytes of an image's tokenizer section, for a model with `vocab` tokens.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the section has another size than it implies, states another vocabulary than `vocab`, has offsets, scores, an
    /// order, flags, merges or token ids that contradict one another, or a piece that is not UTF-8 (the pieces of byte tokens are never read
    /// and may be anything; those of byte-level BPE are bytes). [`Error::NotBuiltIn`] if its kind was left out of this program.
    pub fn new(section: &'a [u8], vocab: u32) -> Result<Self, Error> {
        let (model, vocabulary, rules) = Model::read(Section::read(section, vocab)?)?;
        Ok(Tokenizer { vocabulary, rules, model })
    }

    /// Number of tokens.
    #[must_use]
    pub fn vocab(&self) -> u32 {
        self.vocabulary.len()
    }

    /// The token that begins a text (BERT's `[CLS]`). [`Tokenizer::encode`] does not write it.
    #[must_use]
    pub fn bos(&self) -> u32 {
        self.vocabulary.bos
    }

    /// The token that ends a text (BERT's `[SEP]`).
    #[must_use]
    pub fn eos(&self) -> u32 {
        self.vocabulary.eos
    }

    /// The unknown token, for text that the vocabulary lacks. BPE never yields it: unknown characters become byte tokens. In WordPiece it replaces a whole
    /// word, in Unigram adjacent unknown characters, unless the vocabulary has byte fallback.
    #[must_use]
    pub fn unk(&self) -> u32 {
        self.vocabulary.unk
    }

    /// Whether the inputs of the model start with BOS, which [`Tokenizer::encode_with_special_tokens`] then writes.
    #[must_use]
    pub fn add_bos(&self) -> bool {
        self.rules.add_bos
    }

    /// Whether the inputs of the model end with EOS, which [`Tokenizer::encode_with_special_tokens`] then writes.
    #[must_use]
    pub fn add_eos(&self) -> bool {
        self.rules.add_eos
    }

    /// An upper bound on the tokens of a text of `bytes` bytes, BOS and EOS included: `bytes × growth + 3`. `growth` is 1; with NFC 3, since
    /// some characters become three; 2 in BPE that puts a space after each added token; in Unigram 2, or more with a map of characters (in the
    /// published maps one character becomes 18, which makes it 7).
    #[must_use]
    pub fn max_tokens(&self, bytes: usize) -> usize {
        bytes.saturating_mul(self.rules.growth).saturating_add(3)
    }

    /// The bytes of `token`: one byte for a byte token, otherwise its piece (at most 255 bytes; UTF-8, except in byte-level BPE; in WordPiece
    /// with the `##` of a piece that continues a word).
    ///
    /// BOS and EOS give their stored spelling here; a [`Decoder`] leaves them out of the text.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`].
    pub fn piece(&self, token: u32) -> Result<&'a [u8], Error> {
        match self.vocabulary.byte(token) {
            Some(byte) => Ok(core::slice::from_ref(byte)),
            None => self.vocabulary.piece(token).ok_or(Error::TokenOutOfRange { token, vocab: self.vocab() }),
        }
    }

    /// Writes the tokens of `text` to `out` and returns how many they are. BOS is not written.
    ///
    /// - BPE: llama2.c's `encode`. `out` must hold the tokens before a word and the characters of the word, or the next 128 of them.
    /// - Byte-level BPE: the same with bytes instead of characters, with NFC if the vocabulary says so. The model's pre-tokenizer splits words,
    ///   and pairs merge by rank (Sennrich et al. 2016; Radford et al. 2019).
    /// - WordPiece: BERT's normalizer (by the vocabulary's flags: control characters removed and white space unified, each Chinese character a
    ///   word, accents stripped, lower case), words split at white space and around punctuation, each word split into its longest pieces from
    ///   the left. A word that cannot be split, or that is longer than the vocabulary allows, becomes UNK as a whole (Devlin et al. 2018; Wu
    ///   et al. 2016, section 4.1).
    /// - Unigram: characters replaced by the vocabulary's map, spaces treated by its flags, each word split into the pieces with the highest
    ///   sum of scores (Kudo 2018).
    ///
    /// Added tokens that are not special tokens are matched first. Elements of `out` after the returned tokens are scratch.
    ///
    /// [`Tokenizer::max_tokens`] elements always suffice. Time is linear in the length of the text, also for one long word: BPE merges it in
    /// windows, longer ones only if a distant change has an effect.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`].
    pub fn encode(&self, text: &str, out: &mut [u32]) -> Result<usize, Error> {
        self.encode_fragments(text, self.vocabulary.added, false, out)
    }

    /// [`Tokenizer::encode`] for text that may spell special tokens, such as that of a chat template: each becomes its token, and the text
    /// between them is encoded separately. **Text that a user typed must not be passed here.** The result is that of the `tokenizers` crate.
    ///
    /// A section without added tokens has three special tokens: BOS, EOS and UNK (in byte-level BPE none).
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`].
    pub fn encode_parse_special(&self, text: &str, out: &mut [u32]) -> Result<usize, Error> {
        let added = self.vocabulary.added;
        if added.is_empty() && self.model.has_implied_special_tokens() {
            return self.encode_fragments(text, &self.vocabulary.special_rows(), true, out);
        }
        self.encode_fragments(text, added, true, out)
    }

    /// Writes `text` as a whole input of the model to `out`, whose length is the longest input wanted: the tokens of the text, with BOS and EOS
    /// around them as [`Tokenizer::add_bos`] and [`Tokenizer::add_eos`] say (WordPiece: always `[CLS]` and `[SEP]`).
    ///
    /// In WordPiece a text with too many tokens keeps the first `out.len() - 2`, as in BERT, and the others are counted. In the other kinds
    /// too many tokens are an error, because a prompt must not be truncated.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] if the special tokens do not fit, and see above.
    pub fn encode_with_special_tokens(&self, text: &str, out: &mut [u32]) -> Result<Encoding, Error> {
        let have = out.len();
        let mut count = 0;
        if self.add_bos() {
            *out.first_mut().ok_or(Error::BufferTooSmall { need: 1, have })? = self.bos();
            count = 1;
        }
        let mut rest = out.get_mut(count..).unwrap_or_default();
        let may_truncate = self.rules.spacing == Spacing::Words;
        if may_truncate {
            (_, rest) = rest.split_last_mut().ok_or(Error::BufferTooSmall { need: 2, have })?;
        }
        let (tokens, truncated) = match self.encode(text, rest) {
            Ok(tokens) => (tokens, 0),
            Err(Error::BufferTooSmall { need, have }) if may_truncate => (have, need.saturating_sub(have)),
            Err(error) => return Err(error),
        };
        count = count.saturating_add(tokens);
        if self.add_eos() {
            *out.get_mut(count).ok_or(Error::BufferTooSmall { need: have.saturating_add(1), have })? = self.eos();
            count = count.saturating_add(1);
        }
        Ok(Encoding { tokens: count, truncated })
    }

    /// Writes the added tokens of `text`, and the tokens of the text between them, to `out`.
    fn encode_fragments(&self, text: &str, rows: &[AddedRow], parse_special: bool, out: &mut [u32]) -> Result<usize, Error> {
        let have = out.len();
        let mut count = 0_usize;
        let added = AddedTokens { vocabulary: &self.vocabulary, rows, parse_special };
        added.split(text, |fragment| {
            let full = Error::BufferTooSmall { need: have.saturating_add(1), have };
            let rest = out.get_mut(count..).ok_or(full)?;
            let tokens = match fragment {
                Fragment::Token(token) => {
                    *rest.first_mut().ok_or(full)? = token;
                    1
                }
                Fragment::Text(segment) => self.model.encode(&self.vocabulary, segment, rest).ok_or(full)?,
            };
            count = count.saturating_add(tokens);
            if count > have {
                return Err(Error::BufferTooSmall { need: count, have });
            }
            Ok(())
        })?;
        Ok(count)
    }

    /// The bytes that `token` adds to a text: a space, and the piece. Special tokens add nothing; only UNK shows its piece, unless it is an added token.
    fn decoded(&self, token: u32, at_start: bool) -> Result<[&'a [u8]; 2], Error> {
        let piece = self.piece(token)?;
        if token == self.bos() || token == self.eos() || self.vocabulary.is_added_special(token) {
            return Ok([&[], &[]]);
        }
        Ok(match self.rules.spacing {
            Spacing::DummyPrefix if at_start => [&[], piece.strip_prefix(b" ").unwrap_or(piece)],
            Spacing::Words if !at_start => match piece.strip_prefix(CONTINUATION) {
                Some(inside) => [&[], inside],
                None => [b" ", piece],
            },
            _ => [&[], piece],
        })
    }
}

impl Decoder {
    /// The text that `token` completes: often its piece, sometimes nothing yet. BOS and EOS add nothing; a text starts anew after BOS.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`]; the decoder is then unchanged.
    pub fn push(&mut self, tokenizer: &Tokenizer<'_>, token: u32) -> Result<&str, Error> {
        let parts = tokenizer.decoded(token, self.at_start)?;
        // EOS does not end the start of a WordPiece text, of which nothing has been shown yet.
        let stays_at_start = self.at_start && token == tokenizer.eos() && tokenizer.rules.spacing == Spacing::Words;
        self.at_start = token == tokenizer.bos() || stays_at_start;
        Ok(self.push_bytes(parts))
    }
}
