//! Signatures of images: plain ed25519 (RFC 8032) over all bytes before them, see `docs/signatures.md`.

mod error;
mod image;
mod key;

pub use error::SignError;
pub use image::{sign, verify};
pub use key::{public_path, read_private, read_public, write_pair};
