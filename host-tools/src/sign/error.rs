//! Errors of keys and signatures.

use ed25519_dalek::pkcs8::ObjectIdentifier;

/// A key or an image that cannot be used for a signature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// A key file is not PEM.
    #[error("it is not a key in PEM form, which `atto keygen` and `openssl genpkey -algorithm ed25519` write")]
    NotPem,
    /// A private key is encrypted.
    #[error("the key is encrypted; decrypt it with `openssl pkey -in KEY -out DECRYPTED`")]
    Encrypted,
    /// A public key was given where a private one is needed.
    #[error("it is a public key; signing needs the private one")]
    Public,
    /// A private key was given where a public one is needed.
    #[error("it is a private key; name the public one, which `atto keygen` writes to KEY.pub")]
    Private,
    /// The PEM file holds something else.
    #[error("it holds {label:?}, not {wanted:?}, which `atto keygen` writes")]
    Label {
        /// The kind of key in the file.
        label: String,
        /// The kind of key that is needed.
        wanted: &'static str,
    },
    /// The key is one of another algorithm.
    #[error("it is a key of another algorithm ({}); images are signed with ed25519, see `atto keygen`", algorithm(.oid))]
    Algorithm {
        /// The algorithm's identifier.
        oid: ObjectIdentifier,
    },
    /// The key's content is damaged.
    #[error("the key is damaged: it is not an ed25519 key in the form of RFC 8410")]
    Malformed,
    /// Bytes follow the image.
    #[error("{bytes} bytes follow the image; a signature would not cover them")]
    Trailing {
        /// Bytes after the image's end.
        bytes: usize,
    },
    /// The image has no room for another section.
    #[error("the image has {count} sections, the most that an image can have; none is left for a signature")]
    TableFull {
        /// Sections of the image.
        count: u32,
    },
    /// The image would exceed what its offsets can express.
    #[error("the image is too large to be signed: it would exceed 4 GiB")]
    TooLarge,
}

/// Name of an algorithm of keys, or its identifier.
fn algorithm(oid: &ObjectIdentifier) -> String {
    let name = match oid.to_string().as_str() {
        "1.2.840.113549.1.1.1" => "RSA",
        "1.2.840.10045.2.1" => "EC",
        "1.2.840.10040.4.1" => "DSA",
        "1.3.101.110" => "X25519",
        "1.3.101.111" => "X448",
        "1.3.101.113" => "Ed448",
        other => return other.to_owned(),
    };
    name.to_owned()
}
