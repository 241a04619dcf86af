//! Errors of GGUF files.

use crate::import::elements::UnsupportedElement;
use crate::import::limits::LimitError;
use crate::import::rope::RopeError;
use crate::import::tokenizer::charsmap::CharsmapError;
use crate::import::tokenizer::error::VocabularyError;
use crate::import::weights::WeightsError;

/// Reason why the container cannot be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ContainerError {
    /// Other first bytes.
    #[error("not a GGUF file")]
    NotGguf,
    /// A file for big-endian machines.
    #[error("big-endian GGUF file; convert it for a little-endian machine")]
    BigEndian,
    /// An unknown version.
    #[error("GGUF version {0} is not supported; supported: 2 and 3; convert the model again")]
    Version(u32),
    /// The file ends inside its header, metadata or tensor infos.
    #[error("the file ends before its tensors: it may be truncated; download it again")]
    Truncated,
    /// A tensor reaches beyond the file.
    #[error("the tensor {0} ends after the end of the file: it may be truncated; download it again")]
    TensorTruncated(String),
    /// A string that is not UTF-8.
    #[error("{0} is not UTF-8")]
    NotUtf8(String),
    /// An empty name, or one that is too long.
    #[error("{kind} has {bytes} bytes; supported: 1 to {max}")]
    NameLength {
        /// Kind of name.
        kind: &'static str,
        /// Its length.
        bytes: usize,
        /// The longest supported length.
        max: usize,
    },
    /// A metadata key that occurs twice.
    #[error("the metadata states {0} twice")]
    KeyTwice(String),
    /// A metadata key that is absent.
    #[error("the metadata lacks {0}")]
    KeyMissing(String),
    /// A value of another type than the key needs.
    #[error("{key} is not {expected}")]
    ValueType {
        /// The key.
        key: String,
        /// The needed type.
        expected: &'static str,
    },
    /// A bool that is neither 0 nor 1.
    #[error("{key} is {value}, neither true nor false")]
    Bool {
        /// The key.
        key: String,
        /// The byte.
        value: u8,
    },
    /// An unknown type of value.
    #[error("{key} is of unknown type {kind}")]
    ValueKind {
        /// The key.
        key: String,
        /// Number of the type.
        kind: u32,
    },
    /// An array of arrays.
    #[error("{0} is an array of arrays, which is not supported")]
    NestedArray(String),
    /// An alignment that is not a power of two, or too large.
    #[error("general.alignment is not a power of two up to 1 MiB")]
    Alignment,
    /// A tensor with 0 or too many dimensions.
    #[error("the tensor {name} has {dimensions} dimensions; supported: 1 to {max}")]
    Dimensions {
        /// Name of the tensor.
        name: String,
        /// Its dimensions.
        dimensions: u32,
        /// The largest supported number.
        max: u32,
    },
    /// A tensor of an element type that cannot be decoded.
    #[error("the tensor {name}: {source}")]
    Element {
        /// Name of the tensor.
        name: String,
        /// Its element type.
        source: UnsupportedElement,
    },
    /// Rows that are not whole blocks.
    #[error("the tensor {name} has rows of {columns} values, not a multiple of its block size {block}")]
    PartialBlock {
        /// Name of the tensor.
        name: String,
        /// Values of a row.
        columns: u64,
        /// Values of a block.
        block: u64,
    },
    /// A tensor without values, or with too many.
    #[error("the tensor {name} has the sizes {sizes:?}, which are empty or too large for a file")]
    Sizes {
        /// Name of the tensor.
        name: String,
        /// Its sizes, innermost first.
        sizes: Vec<u64>,
    },
    /// Two tensors share bytes.
    #[error("the tensors {0} and {1} overlap")]
    Overlap(String, String),
    /// A tensor at an offset that is not a multiple of the alignment.
    #[error("the tensor {name} starts at offset {offset}, which is not a multiple of {alignment}")]
    Misaligned {
        /// Name of the tensor.
        name: String,
        /// Its offset in the tensor data.
        offset: u64,
        /// Alignment of the file.
        alignment: u64,
    },
    /// A tensor with several dimensions where one is needed.
    #[error("the tensor {name} has the shape {shape:?}; expected one dimension")]
    NotAVector {
        /// Name of the tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
}

/// Reason why the model of a GGUF file cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// The container.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The tensors.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The sizes.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// RoPE.
    #[error(transparent)]
    Rope(#[from] RopeError),
    /// The vocabulary.
    #[error(transparent)]
    Vocabulary(#[from] VocabularyError),
    /// The charsmap of a Unigram.
    #[error(transparent)]
    Charsmap(#[from] CharsmapError),
    /// One file of a model that is split into several.
    #[error("the file is one of {0} parts of a model; merge them with `llama-gguf-split --merge`")]
    Split(u32),
    /// An architecture that is not supported.
    #[error("the architecture {name} is not supported; supported: {supported}")]
    Architecture {
        /// The architecture that the file states.
        name: String,
        /// The supported architectures.
        supported: String,
    },
    /// A setting with a value that is not supported.
    #[error("{key} is {value}, which is not supported; supported: {supported}")]
    Unsupported {
        /// The metadata key.
        key: String,
        /// Its value.
        value: String,
        /// The supported values.
        supported: &'static str,
    },
    /// A special token beyond the vocabulary.
    #[error("{key} is {token}, outside the vocabulary of {vocab} tokens")]
    SpecialToken {
        /// The metadata key.
        key: String,
        /// The token id.
        token: u32,
        /// Tokens in the vocabulary.
        vocab: u32,
    },
    /// Vocabulary and embedding table differ in size.
    #[error("the tokenizer has {tokens} tokens, but the embedding table has {rows} rows")]
    VocabularySize {
        /// Tokens.
        tokens: usize,
        /// Rows.
        rows: u32,
    },
    /// A tokenizer that does not write U+2581 before words.
    #[error("unsupported tokenizer: escape_whitespaces must be true and treat_whitespace_as_suffix false")]
    Whitespace,
}
