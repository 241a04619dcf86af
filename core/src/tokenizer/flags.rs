//! Constants of the tokenizer section: kinds, header size and flag bits. The reader and the packer of the host tool share them.

/// Bytes of the section's header: eight u32 (kind, vocabulary, longest piece, flags, BOS, EOS, parameter of the kind, UNK).
pub const HEADER_BYTES: usize = 32;

/// Bytes of the longest piece.
pub const MAX_PIECE_BYTES: usize = 255;

/// The character that SentencePiece writes for a space. Pieces have the space.
pub const METASPACE: char = '\u{2581}';

/// SentencePiece-style BPE. The header's parameter is the token of byte 0.
pub const KIND_BPE: u32 = 1;
/// WordPiece. The header's parameter is the number of characters of the longest word that is split.
pub const KIND_WORDPIECE: u32 = 2;
/// Byte-level BPE. The header's parameter is the number of the pre-tokenizer's pattern.
pub const KIND_BYTE_BPE: u32 = 3;
/// Unigram. The header's parameter is the token of byte 0, if unknown characters become byte tokens.
pub const KIND_UNIGRAM: u32 = 4;

/// A table of added tokens follows the sorted ids. Every kind but WordPiece has this flag.
pub const ADDED_TOKENS: u32 = 1 << 8;

/// Flags of a row in the table of added tokens, named as the fields of `AddedToken` in the `tokenizers` crate.
pub mod added {
    /// A special token: text cannot forge it, it is matched only on request.
    pub const SPECIAL: u32 = 1;
    /// The match includes the white space before the token.
    pub const LSTRIP: u32 = 2;
    /// The match includes the white space after the token.
    pub const RSTRIP: u32 = 4;
    /// Matched after the tokens without this flag, in the text between them.
    pub const NORMALIZED: u32 = 8;
    /// All flags of a row.
    pub const ALL: u32 = SPECIAL | LSTRIP | RSTRIP | NORMALIZED;
}

/// Flags of SentencePiece-style BPE, and the lowest score.
pub mod bpe {
    /// A space is put before the text.
    pub const ADD_DUMMY_PREFIX: u32 = 1;
    /// No piece has a space after its first byte, so every space starts a word.
    pub const SPACE_ONLY_FIRST: u32 = 2;
    /// Inputs do not start with BOS.
    pub const NO_BOS: u32 = 4;
    /// Inputs end with EOS.
    pub const ADD_EOS: u32 = 8;
    /// U+2581 in a text is a space.
    pub const METASPACE: u32 = 16;
    /// The dummy prefix is only put before the start of the text, not after an added token.
    pub const PREFIX_FIRST: u32 = 32;
    /// No dummy prefix is put before text that begins with a space.
    pub const PREFIX_UNLESS_SPACE: u32 = 64;
    /// All flags of this kind.
    pub const ALL: u32 = 127;
    /// The score of a piece that no two tokens merge to.
    pub const NEVER: f32 = f32::MIN;
}

/// Flags of WordPiece, named as the options of BERT's tokenizer in the `tokenizers` crate.
pub mod wordpiece {
    /// Control characters are removed, white space becomes a space.
    pub const CLEAN_TEXT: u32 = 1;
    /// Chinese characters get spaces around them.
    pub const HANDLE_CHINESE_CHARS: u32 = 2;
    /// Characters are decomposed and nonspacing marks removed.
    pub const STRIP_ACCENTS: u32 = 4;
    /// Letters become lower case.
    pub const LOWERCASE: u32 = 8;
    /// All flags of this kind.
    pub const ALL: u32 = 15;
}

/// Flags and constants of byte-level BPE.
pub mod byte_bpe {
    /// Inputs start with BOS.
    pub const ADD_BOS: u32 = 1;
    /// Inputs end with EOS.
    pub const ADD_EOS: u32 = 2;
    /// A word that is a piece becomes that piece without merging.
    pub const IGNORE_MERGES: u32 = 4;
    /// Texts are normalized to Unicode's form C (NFC).
    pub const NFC: u32 = 8;
    /// All flags of this kind.
    pub const ALL: u32 = 15;
    /// The token of a byte that the vocabulary lacks.
    pub const ABSENT: u32 = u32::MAX;
}

/// Flags of Unigram, and the form of its map of characters.
pub mod unigram {
    /// Inputs start with BOS.
    pub const ADD_BOS: u32 = 1;
    /// Inputs end with EOS.
    pub const ADD_EOS: u32 = 2;
    /// Unknown characters become byte tokens (byte fallback).
    pub const BYTE_FALLBACK: u32 = 4;
    /// Scores are f64 instead of f32.
    pub const WIDE_SCORES: u32 = 8;
    /// White space at the end of the text is removed, after the characters are mapped.
    pub const TRIM_END: u32 = 16;
    /// A run of spaces becomes one U+2581.
    pub const COLLAPSE_SPACES: u32 = 32;
    /// Words end at white space, which is removed.
    pub const SPLIT_WHITESPACE: u32 = 64;
    /// A space is put before each word that does not begin with one.
    pub const ADD_DUMMY_PREFIX: u32 = 128;
    /// The dummy prefix is only put before the first word of the text.
    pub const PREFIX_FIRST: u32 = 512;
    /// A word starts at each space.
    pub const SPLIT_AT_SPACES: u32 = 1024;
    /// A map of characters (SentencePiece's `precompiled_charsmap`) follows the added tokens.
    pub const CHARSMAP: u32 = 2048;
    /// White space at both ends of the text is removed, before the characters are mapped.
    pub const STRIP: u32 = 4096;
    /// A run of spaces becomes one plain space instead of U+2581.
    pub const COLLAPSE_TO_SPACE: u32 = 8192;
    /// Bytes of the longest key of the map. A row of the map is a u64: the key, first byte highest, then where its replacement starts.
    pub const CHARSMAP_KEY_BYTES: usize = 5;
    /// Bits of a row for the start of the replacement.
    pub const CHARSMAP_START_BITS: u32 = 24;
    /// The end of each replacement.
    pub const CHARSMAP_END: char = '\0';
    /// Bytes of the longest replacement, so that the time to check a map is bounded by its size.
    pub const CHARSMAP_REPLACEMENT_BYTES: usize = 255;
    /// All flags of this kind.
    pub const ALL: u32 = ADD_BOS | ADD_EOS | BYTE_FALLBACK | WIDE_SCORES | CHARSMAP | SPACES;
    /// The flags that say how spaces are treated.
    pub const SPACES: u32 =
        TRIM_END | COLLAPSE_SPACES | SPLIT_WHITESPACE | ADD_DUMMY_PREFIX | PREFIX_FIRST | SPLIT_AT_SPACES | STRIP | COLLAPSE_TO_SPACE;
}
