//! Errors of a vocabulary, whatever file states it.

use super::limits::PIECE_BYTES_MAX;

/// Reason why a vocabulary cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum VocabularyError {
    /// A piece is longer than an image can store.
    #[error("piece {id} has {bytes} bytes; at most {PIECE_BYTES_MAX} are supported")]
    PieceTooLong {
        /// Token id.
        id: u64,
        /// Length of the piece.
        bytes: usize,
    },
    /// An added token has no text.
    #[error("the added token {0} is empty")]
    AddedTokenEmpty(u32),
    /// Two added tokens have one text.
    #[error("the added tokens {0} and {1} have the same text")]
    AddedTokensEqual(u32, u32),
    /// An added token is matched after NFC normalization; the engine matches it before.
    #[error("the added token {0:?} is matched after NFC normalization, which is not supported; set \"normalized\": false")]
    AddedTokenAfterNfc(String),
    /// Tokens and scores are not as many.
    #[error("the vocabulary has {tokens} tokens, but {scores} scores")]
    ScoreCount {
        /// Tokens.
        tokens: usize,
        /// Scores.
        scores: usize,
    },
    /// A score is NaN or infinite.
    #[error("the score of token {token} is {score}; scores must be finite")]
    ScoreNotFinite {
        /// Token id.
        token: usize,
        /// Its score.
        score: f32,
    },
    /// A Unigram score is above 0, NaN or infinite.
    #[error("the score of token {token} is {score}, which is not the logarithm of a probability")]
    ScoreNotLogProbability {
        /// Token id.
        token: usize,
        /// Its score.
        score: f64,
    },
    /// Byte fallback without its 256 tokens.
    #[error("the vocabulary has no byte tokens; byte fallback needs <0x00> to <0xFF>")]
    NoByteTokens,
    /// The byte tokens are not consecutive.
    #[error("the byte tokens are not consecutive: token {token} is not {expected}")]
    ByteTokenOrder {
        /// Token id.
        token: usize,
        /// Text of the byte token.
        expected: String,
    },
    /// A piece has U+0020, for which SentencePiece writes U+2581.
    #[error("token {token} is {text:?}, with a plain space; SentencePiece writes U+2581 for a space")]
    PlainSpace {
        /// Token id.
        token: usize,
        /// Its text.
        text: String,
    },
    /// A merge rule that is not "left right".
    #[error("the merge {0:?} is not two pieces separated by a space")]
    MergeForm(String),
    /// A merge rule names a piece that does not exist.
    #[error("merge {rank} needs the piece {piece:?}, which the vocabulary lacks")]
    MergePieceMissing {
        /// Merge rank.
        rank: usize,
        /// The missing piece.
        piece: String,
    },
    /// A merge rule makes a special token, so text could forge it.
    #[error("merge {rank} produces the special token {token:?}, which plain text must not produce")]
    MergeMakesSpecialToken {
        /// Merge rank.
        rank: usize,
        /// Text of the special token.
        token: String,
    },
    /// A merge rule reads or makes a byte token.
    #[error("merge {0} reads or produces a byte token, which is not supported")]
    MergeOfByteToken(usize),
    /// A pre-tokenizer that the engine does not have.
    #[error("the pre-tokenizer {0:?} is not supported; supported are gpt-2, smollm, llama-bpe and qwen2")]
    PreTokenizer(String),
    /// No BOS, EOS or UNK token.
    #[error("the vocabulary states no BOS, EOS or UNK token")]
    NoSpecialTokens,
    /// A special token beyond the vocabulary.
    #[error("the special token {token} is outside the vocabulary of {tokens} tokens")]
    SpecialTokenRange {
        /// Token id.
        token: u32,
        /// Tokens in the vocabulary.
        tokens: usize,
    },
    /// A special token that is not a piece.
    #[error("the special token {0:?} is not in the vocabulary")]
    SpecialTokenMissing(String),
    /// Tokens and token types are not as many.
    #[error("the vocabulary has {tokens} tokens, but {types} token types")]
    TypeCount {
        /// Tokens.
        tokens: usize,
        /// Token types.
        types: usize,
    },
    /// Two pieces with one id.
    #[error("two pieces have the id {id}, one of them {piece:?}")]
    IdTwice {
        /// Token id.
        id: u64,
        /// One of the pieces.
        piece: String,
    },
    /// An id without a piece.
    #[error("no piece has the id {expected}; the next id is {next}")]
    IdMissing {
        /// The missing id.
        expected: u64,
        /// The next id that exists.
        next: u64,
    },
    /// Two ids with one piece.
    #[error("pieces {first} and {second} are both {piece:?}")]
    PieceTwice {
        /// Token id.
        first: u32,
        /// Token id.
        second: u64,
        /// The piece.
        piece: String,
    },
}
