//! What can go wrong, as small `Copy` values that carry the numbers.

use core::fmt;

/// Why an image, a session or a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The bytes end before the image does.
    TooShort {
        /// Bytes needed.
        need: usize,
        /// Bytes given.
        have: usize,
    },
    /// The bytes do not begin with `ATTO`.
    NotAnImage,
    /// The image starts at an address that is not a multiple of 16.
    Misaligned,
    /// The image's format version is one this engine does not read.
    Version {
        /// Version in the header.
        found: u16,
    },
    /// The image was made for another numeric specification.
    Numerics {
        /// Number in the header.
        found: u32,
    },
    /// The header does not have the checksum it states.
    HeaderChecksum,
    /// The sections do not have the checksum the header states.
    PayloadChecksum,
    /// A header field has a value outside its range.
    Field {
        /// The field's name.
        name: &'static str,
        /// The value found.
        value: u32,
    },
    /// A section is absent, twice there, misplaced, or has the wrong size.
    Section {
        /// The section's kind.
        kind: u32,
    },
    /// A directory entry does not agree with the header, or points outside the weights.
    Tensor {
        /// Number of the entry in the directory.
        index: u32,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A weight or scale is NaN or infinite.
    NotFinite {
        /// Number of the tensor in the directory.
        index: u32,
    },
    /// The tokenizer section contradicts itself or the header.
    Tokenizer {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A part of the engine that the image needs was left out when this program was built.
    NotBuiltIn {
        /// The Cargo feature that adds it.
        feature: &'static str,
    },
    /// The image has no tokenizer.
    NoTokenizer,
    /// The metadata section cannot be read.
    Metadata,
    /// The arena is smaller than the plan asks for.
    ArenaTooSmall {
        /// Bytes needed.
        need: usize,
        /// Bytes given.
        have: usize,
    },
    /// The arena's stated size in the header differs from the one that follows from it.
    ArenaMismatch {
        /// Bytes stated.
        stated: u32,
        /// Bytes that follow from the header.
        implied: u32,
    },
    /// A plan asks for a context of zero, or for more tokens than the image was packed for.
    Context {
        /// Tokens asked for.
        asked: usize,
        /// Tokens the image allows.
        packed: usize,
    },
    /// The sequence would grow beyond the context.
    ContextFull {
        /// Tokens there would be.
        tokens: usize,
        /// Tokens there is room for.
        context: usize,
    },
    /// The model cannot do what was asked: an encoder does not write, a decoder does not encode.
    Architecture {
        /// What was asked for.
        asked: &'static str,
    },
    /// An encoder-decoder was to write before its encoder read anything.
    NothingEncoded,
    /// Features are not whole rows of finite values.
    Features {
        /// Values of a row.
        width: usize,
        /// Values given.
        values: usize,
    },
    /// A prompt holds no token.
    EmptyPrompt,
    /// A token id is not in the vocabulary.
    TokenOutOfRange {
        /// The id.
        token: u32,
        /// Size of the vocabulary.
        vocab: u32,
    },
    /// A buffer for tokens or text is too small.
    BufferTooSmall {
        /// Elements needed, as far as known.
        need: usize,
        /// Elements given.
        have: usize,
    },
    /// The logits, or the embedding, are not all finite: the weights drove the arithmetic out of range.
    Overflow {
        /// Position of the token that was fed last.
        position: usize,
    },
    /// A sampling parameter is outside its range.
    Sampling {
        /// The parameter's name.
        name: &'static str,
    },
    /// The CPU flushes subnormal numbers to zero or does not round to nearest even.
    FloatMode,
    /// The golden vector gave another hash on this machine.
    SelfTest {
        /// Hash in the image.
        expected: u32,
        /// Hash computed here.
        found: u32,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Error::TooShort { need, have } => write!(f, "the image is cut: it needs {need} bytes and has {have}"),
            Error::NotAnImage => f.write_str("not an .atto image: it does not begin with ATTO"),
            Error::Misaligned => f.write_str("the image must start at an address that is a multiple of 16"),
            Error::Version { found } => write!(f, "image format {found} is not supported, this engine reads format 1"),
            Error::Numerics { found } => {
                write!(
                    f,
                    "the image was packed for numerics {found}, this engine computes numerics {}: pack it again",
                    crate::numeric::NUMERICS
                )
            }
            Error::HeaderChecksum => f.write_str("the header is damaged: its checksum does not match"),
            Error::PayloadChecksum => f.write_str("the image is damaged: the checksum of its sections does not match"),
            Error::Field { name, value } => write!(f, "header field {name} has the impossible value {value}"),
            Error::Section { kind } => write!(f, "section {kind} is missing, doubled, misplaced or of the wrong size"),
            Error::Tensor { index, what } => write!(f, "tensor {index}: {what}"),
            Error::NotFinite { index } => write!(f, "tensor {index} holds a value that is NaN or infinite"),
            Error::Tokenizer { what } => write!(f, "tokenizer: {what}"),
            Error::NotBuiltIn { feature } => {
                write!(f, "the image needs the engine's feature `{feature}`, which this program was built without: enable it in Cargo.toml")
            }
            Error::NoTokenizer => f.write_str("the image has no tokenizer: it reads tokens or features, not text"),
            Error::Metadata => f.write_str("the metadata section cannot be read"),
            Error::ArenaTooSmall { need, have } => write!(f, "the arena has {have} bytes, the plan needs {need}"),
            Error::ArenaMismatch { stated, implied } => {
                write!(f, "the image states an arena of {stated} bytes, its header implies {implied}")
            }
            Error::Context { asked, packed } => write!(f, "a context of {asked} tokens was asked for, the image allows 1 to {packed}"),
            Error::ContextFull { tokens, context } => write!(f, "{tokens} tokens do not fit the context of {context}"),
            Error::Architecture { asked } => write!(f, "the model is not made to {asked}"),
            Error::NothingEncoded => f.write_str("the encoder has read nothing yet: encode an input first"),
            Error::Features { width, values } => {
                write!(f, "{values} features are not one or more rows of {width}, or some are NaN or infinite")
            }
            Error::EmptyPrompt => f.write_str("the prompt is empty: give at least one token"),
            Error::TokenOutOfRange { token, vocab } => write!(f, "token {token} is not in the vocabulary of {vocab}"),
            Error::BufferTooSmall { need, have } => write!(f, "a buffer of {have} elements is too small, {need} are needed"),
            Error::Overflow { position } => write!(f, "the output at position {position} is not finite: the weights overflow f32"),
            Error::Sampling { name } => write!(f, "sampling parameter {name} is out of range"),
            Error::FloatMode => {
                f.write_str("the CPU is set to flush subnormal numbers to zero or to round another way: restore the IEEE 754 defaults")
            }
            Error::SelfTest { expected, found } => write!(f, "self-test failed: hash {found:08x} instead of {expected:08x}"),
        }
    }
}

impl core::error::Error for Error {}
