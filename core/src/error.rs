//! Errors: small `Copy` values that carry the numbers, and print as one sentence with the cause and the remedy.

use crate::version::{FORMAT_VERSION, NUMERICS};
use core::fmt;

/// The reason why an image, a session or a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
    /// The engine does not read the image's format version.
    Version {
        /// Version in the header.
        found: u16,
    },
    /// The image was packed for another numeric specification.
    Numerics {
        /// Number in the header.
        found: u32,
    },
    /// The image states parts that this engine does not know and must not ignore.
    Required {
        /// The unknown bits of the header's field `required`.
        bits: u32,
    },
    /// A byte that the format reserves is not zero.
    Reserved {
        /// Offset of the byte in the header.
        at: u32,
    },
    /// The header's checksum does not match.
    HeaderChecksum,
    /// The checksum of the sections does not match.
    PayloadChecksum,
    /// A header field has a value outside its range.
    Field {
        /// The field's name.
        name: &'static str,
        /// The value found.
        value: u32,
    },
    /// A section is missing, duplicated, misplaced, or has the wrong size.
    Section {
        /// The section's kind.
        kind: u32,
    },
    /// A directory entry contradicts the header, or points outside the weights section.
    Tensor {
        /// Index of the entry in the directory.
        index: u32,
        /// The fault.
        what: &'static str,
    },
    /// A weight or scale is NaN or infinite.
    NotFinite {
        /// Index of the tensor in the directory.
        index: u32,
    },
    /// The tokenizer section contradicts itself or the header.
    Tokenizer {
        /// The fault.
        what: &'static str,
    },
    /// The image needs a part of the engine that this program was built without.
    NotBuiltIn {
        /// The Cargo feature that adds the part.
        feature: &'static str,
    },
    /// The image has no tokenizer.
    NoTokenizer,
    /// The metadata section is absent or unreadable.
    Metadata,
    /// The arena is smaller than the plan requires.
    ArenaTooSmall {
        /// Bytes needed.
        need: usize,
        /// Bytes given.
        have: usize,
    },
    /// The arena size in the header differs from the size that follows from the model's shape.
    ArenaMismatch {
        /// Bytes stated.
        stated: u32,
        /// Bytes that follow from the shape.
        implied: u32,
    },
    /// A plan's context or block is zero, or larger than the image's context.
    Context {
        /// Tokens requested.
        asked: usize,
        /// Tokens the image allows.
        packed: usize,
    },
    /// The sequence would exceed the context.
    ContextFull {
        /// Length of the sequence with the new tokens.
        tokens: usize,
        /// Tokens that fit.
        context: usize,
    },
    /// The model does not support the call.
    Architecture {
        /// The unsupported operation, such as `text generation`.
        asked: &'static str,
    },
    /// An encoder-decoder was asked to generate before its encoder had an input.
    NothingEncoded,
    /// Features are not whole rows of finite values.
    Features {
        /// Values per row.
        width: usize,
        /// Values given.
        values: usize,
    },
    /// There is no token to start from.
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
    /// Logits or an embedding are not finite: the weights overflow f32.
    Overflow {
        /// Position of the last token fed.
        position: usize,
    },
    /// A sampling parameter is outside its range.
    Sampling {
        /// The parameter's name.
        name: &'static str,
    },
    /// The CPU flushes subnormal numbers to zero or does not round to nearest even.
    FloatMode,
    /// The golden vector has another hash on this machine.
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
            Error::TooShort { need, have } => write!(f, "the image is truncated: {have} of {need} bytes"),
            Error::NotAnImage => f.write_str("not an .atto image: it does not begin with ATTO"),
            Error::Misaligned => f.write_str("the image must start at an address that is a multiple of 16"),
            Error::Version { found } => {
                let remedy = if found > FORMAT_VERSION { "update the engine" } else { "pack the model again" };
                write!(f, "the image has format version {found}, this engine reads version {FORMAT_VERSION}: {remedy}")
            }
            Error::Numerics { found } => {
                let remedy = if found > NUMERICS { "update the engine" } else { "pack the model again" };
                write!(f, "the image was packed for numerics {found}, this engine computes numerics {NUMERICS}: {remedy}")
            }
            Error::Required { bits } => {
                write!(f, "this image needs a newer engine (unknown bits {bits:#x} of `required`): update the engine (atto/attoformer)")
            }
            Error::Reserved { at } => {
                write!(
                    f,
                    "byte {at} of the header is reserved and not zero: the image is damaged, or needs a newer engine (atto/attoformer)"
                )
            }
            Error::HeaderChecksum => f.write_str("the image's header is damaged: its checksum does not match"),
            Error::PayloadChecksum => f.write_str("the image is damaged: the checksum of its sections does not match"),
            Error::Field { name, value } => write!(f, "header field {name} has the invalid value {value}"),
            Error::Section { kind } => write!(f, "section {kind} is missing, duplicated, misplaced or of the wrong size"),
            Error::Tensor { index, what } => write!(f, "tensor {index}: {what}"),
            Error::NotFinite { index } => write!(f, "tensor {index} contains a NaN or an infinity"),
            Error::Tokenizer { what } => write!(f, "tokenizer: {what}"),
            Error::NotBuiltIn { feature } => {
                write!(f, "the image needs the engine's feature `{feature}`, which this program was built without: enable it in Cargo.toml")
            }
            Error::NoTokenizer => f.write_str("the image has no tokenizer: give it tokens or features instead of text"),
            Error::Metadata => f.write_str("the metadata section is absent or unreadable"),
            Error::ArenaTooSmall { need, have } => write!(f, "the arena has {have} bytes, the plan needs {need}"),
            Error::ArenaMismatch { stated, implied } => {
                write!(f, "the image states an arena of {stated} bytes, its shape implies {implied}")
            }
            Error::Context { asked, packed } => write!(f, "a context or block of {asked} tokens is not within the image's 1 to {packed}"),
            Error::ContextFull { tokens, context } => write!(f, "{tokens} tokens exceed the context of {context}"),
            Error::Architecture { asked } => write!(f, "this model does not support {asked}"),
            Error::NothingEncoded => f.write_str("the encoder has no input yet: encode one first"),
            Error::Features { width, values } => write!(f, "{values} features are not one or more rows of {width} finite values"),
            Error::EmptyPrompt => f.write_str("the prompt is empty: give at least one token"),
            Error::TokenOutOfRange { token, vocab } => write!(f, "token {token} is not in the vocabulary of {vocab}"),
            Error::BufferTooSmall { need, have } => write!(f, "a buffer of {have} elements is too small, {need} are needed"),
            Error::Overflow { position } => write!(f, "the output at position {position} is not finite: the weights overflow f32"),
            Error::Sampling { name } => write!(f, "sampling parameter {name} is out of range"),
            Error::FloatMode => {
                f.write_str("the CPU flushes subnormal numbers to zero or does not round to nearest even: restore the IEEE 754 defaults")
            }
            Error::SelfTest { expected, found } => write!(f, "the self-test failed: hash {found:08x} instead of {expected:08x}"),
        }
    }
}

impl core::error::Error for Error {}
