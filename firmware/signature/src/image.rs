//! The signature of an image.

use core::fmt;

use attoformer::image::section;
use attoformer::internals::format::HEADER_BYTES;
use attoformer::internals::format::field::u32_at;
use attoformer::internals::format::header::at;
use attoformer::internals::format::sections::section_offset;

use crate::{KEY_BYTES, SIGNATURE_BYTES, Verifier};

/// Why an image is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureError {
    /// The bytes do not begin as an image does.
    NotAnImage,
    /// There are fewer bytes than the image states.
    Truncated {
        /// Bytes that the image states, or those of a header.
        need: usize,
        /// Bytes that exist.
        have: usize,
    },
    /// The image states no signature.
    NotSigned,
    /// The signature is not that of these bytes by the owner of the key, or the key itself is malformed.
    Wrong,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SignatureError::NotAnImage => f.write_str("it is not an Attoformer image"),
            SignatureError::Truncated { need, have } => write!(f, "the image is truncated: it has {have} of {need} bytes"),
            SignatureError::NotSigned => f.write_str("the image is not signed"),
            SignatureError::Wrong => f.write_str("the signature is not one of this image by this key"),
        }
    }
}

impl core::error::Error for SignatureError {}

/// Verifies the signature of an image. Bytes after the image's stated end are ignored, so a whole flash region may be given.
///
/// # Errors
/// A [`SignatureError`]; nothing of the image may be used then.
pub fn verify(key: &[u8; KEY_BYTES], image: &[u8]) -> Result<(), SignatureError> {
    let (message, signature) = split(image)?;
    let mut verifier = Verifier::new(key, signature).ok_or(SignatureError::Wrong)?;
    verifier.update(message);
    if verifier.finish() { Ok(()) } else { Err(SignatureError::Wrong) }
}

/// The signed bytes of an image and their signature, which is not verified. Bytes after the image's stated end are ignored.
///
/// # Errors
/// All but [`SignatureError::Wrong`]; that one, too, if the section of the signature is not the end of the image.
pub fn split(image: &[u8]) -> Result<(&[u8], &[u8; SIGNATURE_BYTES]), SignatureError> {
    let have = image.len();
    if !image.starts_with(b"ATTO") {
        return Err(SignatureError::NotAnImage);
    }
    if have < HEADER_BYTES {
        return Err(SignatureError::Truncated { need: HEADER_BYTES, have });
    }
    let need = u32_at(image, at::TOTAL_BYTES) as usize;
    let image = image.get(..need).ok_or(SignatureError::Truncated { need, have })?;
    match section_offset(image, section::SIGNATURE) as usize {
        0 => Err(SignatureError::NotSigned),
        start => image.split_last_chunk().filter(|(message, _)| message.len() == start).ok_or(SignatureError::Wrong),
    }
}
