//! Signatures of images, if the program is built with the feature `signatures`.

use attoformer_protocol::link::fault::Fault;

use crate::refusal::Refusal;

#[cfg(feature = "signatures")]
pub(crate) use attoformer_signature::Verifier;

/// Checks that these bytes are a public key.
#[cfg(feature = "signatures")]
pub(crate) fn check_key(key: &[u8; 32]) -> Result<(), Refusal> {
    if Verifier::new(key, &[0; 64]).is_some() { Ok(()) } else { Err(Fault::BadKey.into()) }
}

/// Verifies a whole image in place.
#[cfg(feature = "signatures")]
pub(crate) fn image(key: &[u8; 32], bytes: &[u8]) -> Result<(), Refusal> {
    attoformer_signature::verify(key, bytes).map_err(|error| match error {
        attoformer_signature::SignatureError::NotSigned => Fault::Unsigned.into(),
        _ => Fault::BadSignature.into(),
    })
}

/// A program without signatures refuses to act as if it had checked one.
#[cfg(not(feature = "signatures"))]
pub(crate) fn check_key(_: &[u8; 32]) -> Result<(), Refusal> {
    Err(Fault::NotBuiltIn { feature: "signatures" }.into())
}

/// A program without signatures runs nothing while the journal holds a key.
#[cfg(not(feature = "signatures"))]
pub(crate) fn image(_: &[u8; 32], _: &[u8]) -> Result<(), Refusal> {
    Err(Fault::NotBuiltIn { feature: "signatures" }.into())
}

/// Stands for the verifier that never exists without the feature.
#[cfg(not(feature = "signatures"))]
pub(crate) enum Verifier {}

#[cfg(not(feature = "signatures"))]
impl Verifier {
    pub(crate) fn new(_: &[u8; 32], _: &[u8; 64]) -> Option<Self> {
        None
    }

    pub(crate) fn update(&mut self, _: &[u8]) {}

    pub(crate) fn finish(self) -> bool {
        false
    }
}
