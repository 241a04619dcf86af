//! Faults: the reasons why a board refuses or fails a request. They print as one sentence with the cause and the remedy.

use core::fmt;
use serde::{Deserialize, Serialize};

/// The reason why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Fault<'a> {
    /// No slot holds a model that can run.
    NoModel,
    /// The engine refuses the image or the request: its own sentence.
    Engine(&'a str),
    /// The slot's number is not 0 or 1.
    NoSlot,
    /// The image is larger than a slot.
    TooLarge {
        /// Bytes of the image.
        bytes: u32,
        /// Bytes of a slot.
        limit: u32,
    },
    /// The model needs more RAM than the board has.
    Arena {
        /// Bytes of arena that the model needs.
        need: u32,
        /// Bytes that the board has.
        have: u32,
    },
    /// The model and the input together need more RAM than the board has.
    InputTooLong {
        /// Bytes of the input, with what the board needs to process it.
        need: u32,
        /// Bytes after the model's arena.
        have: u32,
    },
    /// The input does not have the stated size, or is not of the stated kind.
    BadInput,
    /// The model is older than the board accepts.
    TooOld {
        /// Version of the model.
        version: u32,
        /// Least version accepted.
        least: u32,
    },
    /// The least version would exceed the version of the model that sets it.
    LeastVersion {
        /// Version of the model.
        version: u32,
        /// The least version requested.
        least: u32,
    },
    /// The board has a key and the image no signature.
    Unsigned,
    /// The image's signature is not that of the board's key over these bytes.
    BadSignature,
    /// The bytes of the key are not a public key.
    BadKey,
    /// The board has a key already, which is never replaced.
    HasKey,
    /// The program was built without a part that the request needs.
    NotBuiltIn {
        /// The Cargo feature that adds it.
        feature: &'a str,
    },
    /// The new model's output differs from its golden vector.
    SelfTest {
        /// Output hash in the image.
        expected: u32,
        /// Output hash on this board.
        found: u32,
    },
    /// The bytes that arrived are not the image that was announced.
    Checksum,
    /// No upload was begun, or it received more bytes than announced.
    NoUpload,
    /// The upload is not complete.
    Incomplete {
        /// Bytes that arrived.
        have: u32,
        /// Bytes announced.
        need: u32,
    },
    /// The flash did not erase, write or read.
    Flash,
    /// The request cannot be understood: host and board have different versions.
    Unknown,
}

impl fmt::Display for Fault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Fault::NoModel => f.write_str("the board holds no model that can run; send one with `atto device upload`"),
            Fault::Engine(sentence) => f.write_str(sentence),
            Fault::NoSlot => f.write_str("the slots are 0 and 1"),
            Fault::TooLarge { bytes, limit } => {
                write!(f, "the image has {bytes} bytes, a slot of this board {limit}; pack it with --budget-flash {limit}")
            }
            Fault::Arena { need, have } => {
                write!(f, "the model needs {need} bytes of arena, this board has {have}; pack it with a smaller --context")
            }
            Fault::InputTooLong { need, have } => {
                write!(f, "the input needs {need} bytes beside the model, this board has {have}; shorten it")
            }
            Fault::BadInput => f.write_str("the input is not of the stated kind and size"),
            Fault::TooOld { version, least } => {
                write!(f, "the model has version {version}, this board accepts {least} and newer; pack it with a newer --model-version")
            }
            Fault::LeastVersion { version, least } => {
                write!(f, "the model has version {version}, so it cannot set the least version to {least}")
            }
            Fault::Unsigned => f.write_str("the image is not signed, and this board runs signed models only; sign it with `atto sign`"),
            Fault::BadSignature => f.write_str(
                "the image was changed after it was signed, or was signed with another key than this board's; sign it with that key",
            ),
            Fault::BadKey => f.write_str("these 32 bytes are not a public ed25519 key"),
            Fault::HasKey => f.write_str("this board has another key already, which cannot be replaced over the link"),
            Fault::NotBuiltIn { feature } => write!(f, "this board's firmware was built without {feature}; build it with that feature"),
            Fault::SelfTest { expected, found } => {
                write!(f, "the model computed {found:08x} instead of {expected:08x} in its self-test; the previous model keeps running")
            }
            Fault::Checksum => f.write_str("the bytes that arrived are not the image that was announced; upload it again"),
            Fault::NoUpload => f.write_str("no upload is under way; begin it again"),
            Fault::Incomplete { have, need } => write!(f, "the upload ended after {have} of {need} bytes; begin it again to go on there"),
            Fault::Flash => f.write_str("the board's flash cannot be erased, written or read; the part may be worn out"),
            Fault::Unknown => f.write_str("the board does not know this request; use an `atto` and a firmware of the same version"),
        }
    }
}
