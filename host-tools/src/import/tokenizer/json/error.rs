//! Errors of `tokenizer.json` and the older files of the `tokenizers` library.

use crate::import::tokenizer::charsmap::CharsmapError;
use crate::import::tokenizer::error::VocabularyError;

/// Reason why a tokenizer cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The vocabulary.
    #[error(transparent)]
    Vocabulary(#[from] VocabularyError),
    /// The charsmap of a Unigram.
    #[error(transparent)]
    Charsmap(#[from] CharsmapError),
    /// A part that is of another type than the engine supports.
    #[error("unsupported {part} {found}; supported: {supported}")]
    Unsupported {
        /// Name of the part, such as `normalizer`.
        part: &'static str,
        /// Its type.
        found: String,
        /// The supported types.
        supported: &'static str,
    },
    /// A part whose steps the engine does not have in this form or order.
    #[error("unsupported {part}; supported: {supported}")]
    UnsupportedForm {
        /// Name of the part, such as `pre_tokenizer`.
        part: &'static str,
        /// The supported forms.
        supported: &'static str,
    },
    /// A part that lacks a field, or has it in another form.
    #[error("invalid {part}: {source}")]
    Fields {
        /// Name of the part.
        part: &'static str,
        /// The JSON error.
        source: serde_json::Error,
    },
    /// An added token that matches single words only.
    #[error("the added token {0:?} matches single words only (single_word), which is not supported")]
    SingleWord(String),
    /// An added token that the vocabulary has under another id.
    #[error("the added token {content:?} is not token {id} of the vocabulary")]
    AddedTokenId {
        /// Text of the token.
        content: String,
        /// The id that the file states.
        id: u64,
    },
    /// An added token that is matched in a text that the normalizer has changed.
    #[error("the added token {content:?} is matched after {step}, which is not supported; set \"normalized\": false")]
    AddedTokenNormalized {
        /// Text of the token.
        content: String,
        /// The step of the normalizer.
        step: &'static str,
    },
    /// A token that the vocabulary lacks.
    #[error("the token {0:?} is not in the vocabulary")]
    TokenMissing(String),
    /// An id beyond the vocabulary.
    #[error("the {name} token {id} is outside the vocabulary of {tokens} tokens")]
    TokenRange {
        /// Purpose of the token, such as EOS.
        name: &'static str,
        /// The stated id.
        id: String,
        /// Tokens in the vocabulary.
        tokens: usize,
    },
    /// No token that ends a text.
    #[error("no EOS token found, such as {0}; name one as eos_token in tokenizer_config.json")]
    NoEos(&'static str),
    /// A Unigram without `unk_id`.
    #[error("the model has no token for unknown characters (unk_id)")]
    NoUnk,
    /// No piece for a space.
    #[error("the vocabulary has no piece for a space, U+2581")]
    NoSpacePiece,
    /// `ignore_merges` with byte fallback.
    #[error("ignore_merges is not supported together with byte_fallback")]
    IgnoreMerges,
    /// BPE with subword prefixes, suffixes or dropout.
    #[error("unsupported BPE model: continuing_subword_prefix, end_of_word_suffix and dropout must be absent")]
    BpeOptions,
    /// A Metaspace with a prefix for the first word, after steps that move words.
    #[error("a Metaspace with prepend_scheme \"first\" is not supported after a normalizer that strips or replaces characters")]
    PrependFirst,
    /// Longest word of a WordPiece outside the supported range.
    #[error("max_input_chars_per_word is {found}; supported: 1 to {max}")]
    WordLength {
        /// The stated length.
        found: u64,
        /// The longest supported word.
        max: u64,
    },
    /// A line of `merges.txt` that is not a merge rule.
    #[error("line {0} is not two pieces separated by a space")]
    MergeLine(usize),
    /// A tokenizer class whose settings are not in its files.
    #[error(
        "the folder has no tokenizer.json, and the tokenizer class {0} is not supported; supported from vocab.json and merges.txt: those of GPT-2, \
         GPT-J, RoBERTa, Whisper and Qwen 2; write a tokenizer.json with save_pretrained of a fast tokenizer"
    )]
    TokenizerClass(String),
    /// `added_tokens_decoder` in another form.
    #[error("invalid added_tokens_decoder in tokenizer_config.json")]
    AddedTokensDecoder,
}
