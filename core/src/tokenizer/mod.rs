//! Text to tokens and back, straight from the image's bytes: no heap, no copy of the vocabulary, no panic on any input.
//!
//! [`Tokenizer`] reads the image's tokenizer section (kind 1: SentencePiece-style BPE as llama2.c runs it; kind 2: WordPiece with BERT's
//! normaliser; kind 3: byte-level BPE; kind 4: Unigram), [`Decoder`] turns tokens back into text without ever splitting a character, [`StopMatcher`] ends a text at a stop string.
//!
//! **Text cannot forge control tokens.** The pieces of the begin, end and unknown tokens, of the section's other control tokens, and the
//! spelled-out pieces of the byte tokens (`<0x0A>`), are never matched against text. llama2.c looks them up like any other piece; its
//! vocabularies hold no chain of merges that leads to one, so its results are the same. BERT's own tokenizer splits `[SEP]` at its
//! brackets, so its results are the same too. A chat template's text is the exception that a caller asks for:
//! [`Tokenizer::encode_parse_special`].

mod added;
mod bpe;
mod byte_bpe;
mod decode;
mod nfc;
mod section;
mod stop;
mod unigram;
mod vocabulary;
mod windows;
mod wordpiece;

pub use decode::Decoder;
pub use stop::{MAX_STOP_BYTES, StopMatcher};

use crate::error::Error;
use added::Added;
use bpe::Bpe;
use byte_bpe::ByteBpe;
use unigram::Unigram;
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
    ByteBpe(ByteBpe<'a>),
    Unigram(Unigram<'a>),
}

/// What [`Tokenizer::encode_with_special_tokens`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// Tokens written, the special ones included.
    pub tokens: usize,
    /// Tokens at the text's end for which there was no room.
    pub truncated: usize,
}

impl<'a> Tokenizer<'a> {
    /// Reads and checks `section`, the bytes of an image's tokenizer section, for a model with `vocab` tokens.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the section has another size than it implies, states another vocabulary than `vocab`, holds offsets,
    /// scores, an order, flags, pairs or token ids that contradict one another, or a piece that is not UTF-8 (the pieces of byte tokens
    /// are never read and may be anything; those of byte-level BPE are bytes).
    pub fn new(section: &'a [u8], vocab: u32) -> Result<Self, Error> {
        section::read(section, vocab)
    }

    /// Number of tokens.
    pub fn vocab(&self) -> u32 {
        self.vocabulary().len()
    }

    /// The token that begins a text (BERT's `[CLS]`). [`Tokenizer::encode`] does not write it.
    pub fn bos(&self) -> u32 {
        self.vocabulary().bos
    }

    /// The token that ends a text (BERT's `[SEP]`).
    pub fn eos(&self) -> u32 {
        self.vocabulary().eos
    }

    /// Whether the model's inputs start with the begin token: [`Tokenizer::encode_with_special_tokens`] writes it then.
    pub fn add_bos(&self) -> bool {
        match &self.kind {
            Kind::Bpe(bpe) => bpe.add_bos,
            Kind::WordPiece(_) => true,
            Kind::ByteBpe(bpe) => bpe.add_bos,
            Kind::Unigram(unigram) => unigram.add_bos,
        }
    }

    /// Whether the model's inputs close with the end token: [`Tokenizer::encode_with_special_tokens`] writes it then.
    pub fn add_eos(&self) -> bool {
        match &self.kind {
            Kind::Bpe(bpe) => bpe.add_eos,
            Kind::WordPiece(_) => true,
            Kind::ByteBpe(bpe) => bpe.add_eos,
            Kind::Unigram(unigram) => unigram.add_eos,
        }
    }

    /// Elements that always suffice for the tokens of a text of so many bytes, the begin and end tokens included: one a byte, or three where
    /// texts are brought to form C, in which some characters are three; two in BPE that puts a space behind each added token and in Unigram, where
    /// a map of characters may ask for more (one character becomes 18 in the published ones: seven a byte).
    pub fn max_tokens(&self, bytes: usize) -> usize {
        let growth = match &self.kind {
            Kind::ByteBpe(bpe) if bpe.nfc => nfc::GROWTH,
            Kind::Unigram(unigram) => unigram.growth(),
            Kind::Bpe(bpe) if bpe.repeats_space() => 2,
            _ => 1,
        };
        bytes.saturating_mul(growth).saturating_add(3)
    }

    /// The token that stands for what the vocabulary lacks. BPE never yields it: unknown characters become byte tokens. In WordPiece it
    /// stands for a whole word, in Unigram for unknown characters that follow one another, unless they become byte tokens.
    pub fn unk(&self) -> u32 {
        self.vocabulary().unk
    }

    /// The bytes that `token` stands for: one byte for a byte token, otherwise its piece (at most 255 bytes; UTF-8, but in byte-level BPE;
    /// in WordPiece with the `##` of a piece inside a word).
    ///
    /// The begin and end tokens give their stored spelling here; a [`Decoder`] leaves them out of the text.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`].
    pub fn piece(&self, token: u32) -> Result<&'a [u8], Error> {
        let byte = match &self.kind {
            Kind::Bpe(bpe) => bpe.byte(token),
            Kind::Unigram(unigram) => unigram.byte(token),
            Kind::WordPiece(_) | Kind::ByteBpe(_) => None,
        };
        match byte {
            Some(byte) => Ok(core::slice::from_ref(byte)),
            None => self.vocabulary().stored(token).ok_or(Error::TokenOutOfRange { token, vocab: self.vocab() }),
        }
    }

    /// Writes the tokens of `text` to `out` and returns how many they are. No begin token is written.
    ///
    /// BPE: llama2.c's `encode`. `out` must have room for the tokens before a word and the word's characters, or the next 128 of them; what
    /// lies behind the tokens returned is scratch. Byte-level BPE: the same, with bytes for characters, in Unicode's form C where the vocabulary
    /// says so; the model's pattern cuts words, and ranked pairs merge them (Sennrich et al. 2016; Radford et al. 2019). WordPiece: BERT's
    /// normaliser (as the vocabulary's flags say: control
    /// characters removed and white space made one kind, Chinese characters each a word, accents stripped, lower case), words cut at white
    /// space and around punctuation, each word split by its longest pieces from the left, or replaced as a whole by the unknown token when
    /// that fails or when it is longer than the vocabulary allows (Devlin et al. 2018; Wu et al. 2016, section 4.1).
    ///
    /// Unigram: characters as the vocabulary's map has them, spaces as it wants them, each word cut into the pieces whose scores add up to most (Kudo 2018).
    ///
    /// Added tokens that are no control tokens are matched first, where the section has any.
    ///
    /// [`Tokenizer::max_tokens`] elements always suffice. Time is linear in the length of the text, also of one long word: BPE merges it in windows,
    /// longer ones only where a change far away reaches back.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`].
    pub fn encode(&self, text: &str, out: &mut [u32]) -> Result<usize, Error> {
        match &self.kind {
            Kind::Bpe(bpe) => bpe.encode_parts(text, out, &bpe.added, false),
            Kind::WordPiece(wordpiece) => wordpiece_tokens(wordpiece, text, out),
            Kind::ByteBpe(bpe) => bpe.encode(text, out, false),
            Kind::Unigram(unigram) => unigram.encode(text, out, &unigram.added, false),
        }
    }

    /// [`Tokenizer::encode`] for text that may spell control tokens, such as a chat template's: each becomes its token, and what is between
    /// them is encoded by itself. **What a user typed must not come in here.** The result is that of the `tokenizers` crate.
    ///
    /// A section without a table of control tokens has three: begin, end and unknown.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`].
    pub fn encode_parse_special(&self, text: &str, out: &mut [u32]) -> Result<usize, Error> {
        let special_tokens = Added::special_tokens(self.vocabulary());
        let special_tokens = Added::of_special_tokens(&special_tokens);
        match &self.kind {
            Kind::Bpe(bpe) => bpe.encode_parts(text, out, if bpe.added.is_empty() { &special_tokens } else { &bpe.added }, true),
            Kind::WordPiece(wordpiece) => {
                special_tokens.encode_parts(&wordpiece.vocabulary, text, true, out, |_, text, out| wordpiece_tokens(wordpiece, text, out))
            }
            Kind::ByteBpe(bpe) => bpe.encode(text, out, true),
            Kind::Unigram(unigram) => {
                unigram.encode(text, out, if unigram.added.is_empty() { &special_tokens } else { &unigram.added }, true)
            }
        }
    }

    /// Writes `text` as a whole input of the model to `out`, whose length is the longest input wanted.
    ///
    /// WordPiece: `[CLS]`, the text's tokens, `[SEP]`. A text with too many tokens keeps its first `out.len() - 2`, as BERT has it, and
    /// the others are counted. BPE: the begin and end tokens as [`Tokenizer::add_bos`] and [`Tokenizer::add_eos`] say around the text's
    /// tokens; too many are an error, because a prompt must not be cut.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] without room for the special tokens, and see above.
    pub fn encode_with_special_tokens(&self, text: &str, out: &mut [u32]) -> Result<Encoding, Error> {
        let have = out.len();
        let mut count = 0;
        if self.add_bos() {
            *out.first_mut().ok_or(Error::BufferTooSmall { need: 1, have })? = self.bos();
            count = 1;
        }
        let rest = out.get_mut(count..).unwrap_or_default();
        let mut truncated = 0;
        if let Kind::WordPiece(wordpiece) = &self.kind {
            let (_, room) = rest.split_last_mut().ok_or(Error::BufferTooSmall { need: 2, have })?;
            let all = wordpiece.encode(text, room);
            truncated = all.saturating_sub(room.len());
            count = count.saturating_add(all.min(room.len()));
        } else {
            count = count.saturating_add(self.encode(text, rest)?);
        }
        if self.add_eos() {
            *out.get_mut(count).ok_or(Error::BufferTooSmall { need: have.saturating_add(1), have })? = self.eos();
            count = count.saturating_add(1);
        }
        Ok(Encoding { tokens: count, truncated })
    }

    fn vocabulary(&self) -> &Vocabulary<'a> {
        match &self.kind {
            Kind::Bpe(bpe) => &bpe.vocabulary,
            Kind::WordPiece(wordpiece) => &wordpiece.vocabulary,
            Kind::ByteBpe(bpe) => &bpe.vocabulary,
            Kind::Unigram(unigram) => &unigram.vocabulary,
        }
    }

    /// Whether `token` adds nothing to a text.
    fn is_hidden(&self, token: u32) -> bool {
        let added = match &self.kind {
            Kind::Bpe(bpe) => bpe.added,
            Kind::WordPiece(_) => Added::default(),
            Kind::ByteBpe(bpe) => bpe.added,
            Kind::Unigram(unigram) => unigram.added,
        };
        token == self.bos() || token == self.eos() || added.is_control(token, self.vocabulary())
    }

    /// What `token` adds to a text, in two parts: the space before a word, and the piece. Control tokens add nothing, but for a
    /// WordPiece's other than begin and end.
    fn shown(&self, token: u32, at_start: bool) -> Result<[&'a [u8]; 2], Error> {
        let piece = self.piece(token)?;
        if self.is_hidden(token) {
            return Ok([&[], &[]]);
        }
        match &self.kind {
            Kind::Bpe(bpe) if at_start && bpe.space_in_front => Ok([&[], piece.strip_prefix(b" ").unwrap_or(piece)]),
            Kind::Unigram(unigram) if at_start && unigram.spaces.in_front => Ok([&[], piece.strip_prefix(b" ").unwrap_or(piece)]),
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
        token == self.bos() || (at_start && token == self.eos() && matches!(self.kind, Kind::WordPiece(_)))
    }
}

fn wordpiece_tokens(wordpiece: &WordPiece<'_>, text: &str, out: &mut [u32]) -> Result<usize, Error> {
    match wordpiece.encode(text, out) {
        need if need > out.len() => Err(Error::BufferTooSmall { need, have: out.len() }),
        count => Ok(count),
    }
}
