//! Key files in PEM form (RFC 8410): private keys as PKCS #8, public ones as SubjectPublicKeyInfo, as openssl reads and writes them.

use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::spki::SubjectPublicKeyInfoRef;
use ed25519_dalek::pkcs8::spki::der;
use ed25519_dalek::pkcs8::{
    ALGORITHM_OID, Document, EncodePrivateKey, EncodePublicKey, KeypairBytes, PrivateKeyInfoRef, PublicKeyBytes, SecretDocument,
};
use ed25519_dalek::{SigningKey, VerifyingKey};

use super::SignError;
use crate::error::Error;
use crate::files;

const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";

/// Path of the public key of a key pair: that of the private one with `.pub` after it.
#[must_use]
pub fn public_path(private: &Path) -> PathBuf {
    let mut path = private.as_os_str().to_owned();
    path.push(".pub");
    path.into()
}

/// Makes a key pair from the system's random numbers and writes both keys to new files, the private one for its owner alone.
///
/// # Errors
/// [`FileError::Exists`](files::FileError::Exists) if one of them exists, [`Error::Io`] if one cannot be written; then neither is written.
pub fn write_pair(path: &Path) -> Result<(), Error> {
    let public = public_path(path);
    if let Some(existing) = [path, &public].into_iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(Error::file(existing)(files::FileError::Exists));
    }
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| Error::request(format!("the system gives no random numbers: {error}")))?;
    let key = SigningKey::from_bytes(&seed);
    // Without the public key, which openssl does not read from a PKCS #8 file.
    let pair = KeypairBytes { secret_key: seed, public_key: None };
    let private_pem = pair.to_pkcs8_pem(der::pem::LineEnding::LF).expect("a key of fixed size has an encoding");
    let public_pem = key.verifying_key().to_public_key_pem(der::pem::LineEnding::LF).expect("a key of fixed size has an encoding");
    files::write_new(path, true, private_pem.as_bytes())?;
    files::write_new(&public, false, public_pem.as_bytes()).inspect_err(|_| {
        // The first error is the one to report.
        let _ = std::fs::remove_file(path);
    })
}

/// Reads a private key.
///
/// # Errors
/// Those of [`files::text`], and a [`SignError`].
pub fn read_private(path: &Path) -> Result<SigningKey, Error> {
    private_key(&pem(path)?).map_err(Error::file(path))
}

/// Reads a public key.
///
/// # Errors
/// Those of [`files::text`], and a [`SignError`].
pub fn read_public(path: &Path) -> Result<VerifyingKey, Error> {
    public_key(&pem(path)?).map_err(Error::file(path))
}

/// The text of a key file. A file that is not text is not PEM.
fn pem(path: &Path) -> Result<String, Error> {
    let bytes = files::map(path)?;
    str::from_utf8(&bytes).map(str::to_owned).map_err(|_| Error::file(path)(SignError::NotPem))
}

/// Why a file is not read: it is not PEM, or it is PEM and holds no structure.
fn unreadable(error: der::Error) -> SignError {
    match error.kind() {
        der::ErrorKind::Pem(_) => SignError::NotPem,
        _ => SignError::Malformed,
    }
}

/// Parses a private key.
fn private_key(pem: &str) -> Result<SigningKey, SignError> {
    let (label, document) = SecretDocument::from_pem(pem).map_err(unreadable)?;
    match label {
        PRIVATE => {}
        PUBLIC => return Err(SignError::Public),
        "ENCRYPTED PRIVATE KEY" => return Err(SignError::Encrypted),
        _ => return Err(SignError::Label { label: label.to_owned(), wanted: PRIVATE }),
    }
    let info: PrivateKeyInfoRef<'_> = document.decode_msg().map_err(|_| SignError::Malformed)?;
    if info.algorithm.oid != ALGORITHM_OID {
        return Err(SignError::Algorithm { oid: info.algorithm.oid });
    }
    SigningKey::try_from(info).map_err(|_| SignError::Malformed)
}

/// Parses a public key.
fn public_key(pem: &str) -> Result<VerifyingKey, SignError> {
    let (label, document) = Document::from_pem(pem).map_err(unreadable)?;
    match label {
        PUBLIC => {}
        PRIVATE | "ENCRYPTED PRIVATE KEY" => return Err(SignError::Private),
        _ => return Err(SignError::Label { label: label.to_owned(), wanted: PUBLIC }),
    }
    let info: SubjectPublicKeyInfoRef<'_> = document.decode_msg().map_err(|_| SignError::Malformed)?;
    if info.algorithm.oid != ALGORITHM_OID {
        return Err(SignError::Algorithm { oid: info.algorithm.oid });
    }
    let key = PublicKeyBytes::try_from(info).and_then(|bytes| VerifyingKey::try_from(&bytes));
    key.ok().filter(|key| !key.is_weak()).ok_or(SignError::Malformed)
}
