//! The signature section of an image: its last 64 bytes.

use std::io::Write;
use std::path::Path;

use attoformer::Image;
use attoformer::image::section;
use attoformer::internals::format::field::{put, u32_at};
use attoformer::internals::format::header::at;
use attoformer::internals::format::limits::SECTIONS_MAX;
use attoformer::internals::format::sections::{SECTION_ALIGN, SIGNATURE_BYTES, put_section};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};

use super::SignError;
use crate::error::Error;
use crate::files;
use crate::pack::{align, seal};

/// Signs an image in place. A signature that it has is replaced; the same key gives the same file again. The file keeps its permissions.
///
/// # Errors
/// Those of [`files::map`] and [`files::write_whole`]; [`Error::Engine`] if the file is not an image; a [`SignError`] if it cannot be signed.
pub fn sign(path: &Path, key: &SigningKey) -> Result<(), Error> {
    let permissions = std::fs::metadata(path).map_err(Error::io(path))?.permissions();
    let signed = {
        let file = files::map(path)?;
        let image = whole_image(path, &file)?;
        signed(&image, key).map_err(Error::file(path))?
    };
    // What is written has passed the check of a device.
    attoformer_signature::verify(key.verifying_key().as_bytes(), &signed).map_err(Error::file(path))?;
    files::write_whole(path, |file| {
        file.get_ref().set_permissions(permissions).and_then(|()| file.write_all(&signed)).map_err(Error::io(path))
    })
}

/// Verifies the signature of an image with the code of the devices, and that the image is one that the engine opens.
///
/// # Errors
/// Those of [`files::map`]; a [`SignatureError`](attoformer_signature::SignatureError) if the signature is not one of this image by this key;
/// [`Error::Engine`] or a [`SignError`] if the file is not an image and nothing else.
pub fn verify(path: &Path, key: &VerifyingKey) -> Result<(), Error> {
    let file = files::map(path)?;
    attoformer_signature::verify(key.as_bytes(), &file).map_err(Error::file(path))?;
    whole_image(path, &file).map(drop)
}

/// The image that a file is, without a byte after it.
fn whole_image<'a>(path: &Path, file: &'a [u8]) -> Result<Image<'a>, Error> {
    let image = Image::new(file).map_err(Error::engine(path))?;
    match file.len() - image.bytes().len() {
        0 => Ok(image),
        bytes => Err(Error::file(path)(SignError::Trailing { bytes })),
    }
}

/// The bytes of an image with a signature by this key.
fn signed(image: &Image<'_>, key: &SigningKey) -> Result<Vec<u8>, SignError> {
    let mut bytes = if image.is_signed() { image.bytes().to_vec() } else { with_section(image.bytes())? };
    if let Some((message, signature)) = bytes.split_last_chunk_mut() {
        *signature = key.sign(message).to_bytes();
    }
    Ok(bytes)
}

/// An image with an empty signature section after it, counted by header, section table and checksums.
fn with_section(image: &[u8]) -> Result<Vec<u8>, SignError> {
    let count = u32_at(image, at::SECTIONS);
    if count >= SECTIONS_MAX {
        return Err(SignError::TableFull { count });
    }
    let mut bytes = image.to_vec();
    align(&mut bytes, SECTION_ALIGN);
    let start = bytes.len();
    bytes.resize(start + SIGNATURE_BYTES as usize, 0);
    let total = u32::try_from(bytes.len()).map_err(|_| SignError::TooLarge)?;
    put(&mut bytes, at::TOTAL_BYTES, total.to_le_bytes());
    put(&mut bytes, at::SECTIONS, (count + 1).to_le_bytes());
    put_section(&mut bytes, count as usize, (section::SIGNATURE, start as u32, SIGNATURE_BYTES));
    seal(&mut bytes);
    Ok(bytes)
}
