//! Vocabulary and settings of a tokenizer in memory, whatever file they come from.

use attoformer::internals::tokenizer::flags;

use super::charsmap::Charmap;
use super::error::VocabularyError;
use super::limits::PIECE_BYTES_MAX;

/// Character that SentencePiece writes for a space.
pub(super) const METASPACE: char = flags::METASPACE;

/// Vocabulary and settings of a tokenizer.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    /// Pieces by token id.
    pub pieces: Vec<Piece>,
    /// BOS: the token that begins a text.
    pub bos: u32,
    /// EOS: the token that ends a text.
    pub eos: u32,
    /// UNK: the token for text that cannot be encoded.
    pub unk: u32,
    /// Whether BOS is written before a text (BPE and Unigram; WordPiece always writes it).
    pub add_bos: bool,
    /// Whether EOS is written after a text (BPE and Unigram; WordPiece always writes it).
    pub add_eos: bool,
    /// Log probabilities of the pieces (Unigram, where [`Piece::score`] is 0).
    pub scores: Vec<f64>,
    /// Replacements of characters before tokenization (Unigram).
    pub charmap: Charmap,
    /// Merge rules in order of their rank (byte-level BPE).
    pub merges: Vec<Merge>,
    /// Added tokens: matched in a text before it is split (BPE and Unigram).
    pub added: Vec<AddedToken>,
    /// Tokenizer kind and its settings.
    pub scheme: Scheme,
}

/// Tokenizer kind and its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// SentencePiece BPE: pieces merge by score, with byte fallback for characters that are not pieces.
    SentencePiece {
        /// Token of byte 0; the other 255 byte tokens follow it.
        first_byte: u32,
        /// Treatment of spaces.
        spaces: SentencePieceSpaces,
    },
    /// WordPiece after BERT's normalizer (`BasicTokenizer`).
    WordPiece {
        /// Removes control characters and turns white space into spaces.
        clean_text: bool,
        /// Makes each Chinese character a word.
        handle_chinese_chars: bool,
        /// Removes accents.
        strip_accents: bool,
        /// Lowercases letters.
        lowercase: bool,
        /// Longest word that is split into pieces; a longer one is unknown.
        max_word_characters: u32,
    },
    /// Byte-level BPE: pieces of bytes merge by rank.
    ByteBpe {
        /// Pre-tokenizer pattern.
        split: SplitPattern,
        /// Normalizes texts to Unicode's form NFC first.
        nfc: bool,
        /// Takes a word that is a piece as it is, without merges.
        ignore_merges: bool,
    },
    /// Unigram: the segmentation with the largest sum of log probabilities.
    Unigram {
        /// Token of byte 0, followed by the other 255, where unknown characters fall back to bytes.
        first_byte: Option<u32>,
        /// Treatment of spaces.
        spaces: UnigramSpaces,
    },
}

/// Treatment of spaces by a Unigram tokenizer, in the order of its steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnigramSpaces {
    /// Removes white space at both ends of the text, before the charsmap.
    pub strip: bool,
    /// Removes white space at the end of the text, after the charsmap.
    pub trim_end: bool,
    /// Replaces several spaces by one U+2581, which is not white space.
    pub collapse_spaces: bool,
    /// Replaces them by one U+0020 instead, which is white space.
    pub collapse_to_plain_space: bool,
    /// Splits the text into words at white space, which is removed.
    pub split_whitespace: bool,
    /// Adds a space before each word, or before the text if it is not split, unless it has one.
    pub add_dummy_prefix: bool,
    /// Limits the dummy prefix to the start of the text.
    pub first_word_only: bool,
    /// Begins a word at each space.
    pub split_at_spaces: bool,
}

/// Treatment of spaces by SentencePiece BPE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SentencePieceSpaces {
    /// Adds a space before a text.
    pub add_dummy_prefix: bool,
    /// Limits the dummy prefix to the start of the text: none follows an added token.
    pub start_of_text_only: bool,
    /// Adds no dummy prefix to a text that begins with a space.
    pub unless_present: bool,
    /// Reads U+2581 in a text as a space.
    pub metaspace_is_space: bool,
}

impl SentencePieceSpaces {
    /// Settings of llama2.c.
    pub const LLAMA2C: SentencePieceSpaces =
        SentencePieceSpaces { add_dummy_prefix: true, start_of_text_only: false, unless_present: false, metaspace_is_space: false };
}

/// Pre-tokenizer pattern with which byte-level BPE splits a text into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitPattern {
    /// GPT-2's pattern.
    Gpt2,
    /// Llama 3's pattern, which is GPT-4's.
    Llama3,
    /// Qwen 2's pattern: Llama 3's with one digit per word.
    Qwen2,
    /// SmolLM's: one digit per word, then GPT-2's pattern.
    SmolLm,
}

/// One entry of a vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// The text of the piece.
    pub bytes: Vec<u8>,
    /// Merge priority (SentencePiece BPE): higher scores merge first, and nothing merges to [`NEVER`]. 0 in the other schemes.
    pub score: f32,
}

/// Score of a piece that no two tokens merge to.
pub const NEVER: f32 = flags::bpe::NEVER;

/// Merge rule of byte-level BPE; its place in the list is the merge rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merge {
    /// Left token.
    pub left: u32,
    /// Right token.
    pub right: u32,
    /// Token that the two merge to.
    pub merged: u32,
}

/// Token that is matched in a text before the text is split into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddedToken {
    /// Token id.
    pub token: u32,
    /// Special token: matched only where the caller asks for special tokens, so that plain text cannot forge it.
    pub special: bool,
    /// Takes the white space before it.
    pub lstrip: bool,
    /// Takes the white space after it.
    pub rstrip: bool,
    /// Matched in the normalized text, after all tokens without this flag.
    pub normalized: bool,
}

impl AddedToken {
    /// An added token without further flags.
    pub fn new(token: u32, special: bool) -> Self {
        AddedToken { token, special, lstrip: false, rstrip: false, normalized: false }
    }
}

/// Ids of the special tokens that every tokenizer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecialIds {
    /// Token that begins a text.
    pub bos: u32,
    /// Token that ends a text.
    pub eos: u32,
    /// Token for text that cannot be encoded.
    pub unk: u32,
}

impl SpecialIds {
    /// BOS, EOS and UNK, in this order.
    pub fn all(self) -> [u32; 3] {
        [self.bos, self.eos, self.unk]
    }

    /// Adds those to `added` that are not in it and pass `filter`, as special tokens: text must not spell them.
    pub(super) fn add_to(self, added: &mut Vec<AddedToken>, filter: impl Fn(u32) -> bool) {
        for token in self.all() {
            if filter(token) && !added.iter().any(|added| added.token == token) {
                added.push(AddedToken::new(token, true));
            }
        }
    }
}

impl Tokenizer {
    /// A tokenizer that writes BOS before a text, and no EOS after it.
    pub fn new(pieces: Vec<Piece>, SpecialIds { bos, eos, unk }: SpecialIds, scheme: Scheme) -> Self {
        Tokenizer {
            pieces,
            bos,
            eos,
            unk,
            add_bos: true,
            add_eos: false,
            scores: Vec::new(),
            charmap: Charmap::new(),
            merges: Vec::new(),
            added: Vec::new(),
            scheme,
        }
    }

    /// Adds empty pieces up to `rows`, for a model whose embedding table is longer than its vocabulary.
    pub fn pad_to(&mut self, rows: usize) {
        if rows > self.pieces.len() {
            self.pieces.resize(rows, Piece { bytes: Vec::new(), score: 0.0 });
        }
    }

    /// Checks that an image can store all pieces and that the added tokens have texts, all different.
    ///
    /// # Errors
    /// [`VocabularyError`] with the first token that fails.
    pub(super) fn checked(self) -> Result<Self, VocabularyError> {
        for (id, piece) in (0..).zip(&self.pieces) {
            let bytes = String::from_utf8_lossy(&piece.bytes).len().max(piece.bytes.len());
            if bytes > PIECE_BYTES_MAX {
                return Err(VocabularyError::PieceTooLong { id, bytes });
            }
        }
        let bytes = |added: &AddedToken| &self.pieces[added.token as usize].bytes;
        let mut added: Vec<&AddedToken> = self.added.iter().collect();
        added.sort_by_key(|added| bytes(added));
        if let Some(empty) = added.iter().find(|added| bytes(added).is_empty()) {
            return Err(VocabularyError::AddedTokenEmpty(empty.token));
        }
        if let Some(pair) = added.windows(2).find(|pair| bytes(pair[0]) == bytes(pair[1])) {
            return Err(VocabularyError::AddedTokensEqual(pair[0].token, pair[1].token));
        }
        Ok(self)
    }
}
