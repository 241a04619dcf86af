//! Verifies ed25519 signatures (RFC 8032) of attoformer images, on boards and on hosts.
//!
//! An image that is signed ends with 64 bytes: the signature of everything before them. [`verify`] checks an image that is in memory as a whole;
//! [`Verifier`] takes a message in pieces. Neither uses a heap, and no panic is reachable.
//!
//! The rules are strict: a key or a scalar that is not in canonical form is refused, so that nobody but the owner of the key can turn a signature into
//! another one, and so is a key of small order, for which anyone could make signatures.
#![no_std]

mod image;
mod sha512;
mod verifier;

pub use image::{SignatureError, split, verify};
pub use verifier::Verifier;

/// Bytes of a public key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;
