//! Name and provenance of an image. The engine does not need them.

use serde::{Deserialize, Serialize};

/// Name and provenance, stored as postcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata<'a> {
    /// The model's name.
    pub name: &'a str,
    /// File name of the source that was packed.
    pub source: &'a str,
    /// SHA-256 of that source.
    pub source_sha256: [u8; 32],
    /// Program that packed it, with its version.
    pub packer: &'a str,
    /// Parameters of the source model.
    pub parameters: u64,
}
