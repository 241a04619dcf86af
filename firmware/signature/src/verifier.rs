//! The verification of a message that arrives in pieces.
//!
//! Its functions are not inlined: in a caller that is compiled for speed, they would take twice the flash.

use curve25519_dalek::{EdwardsPoint, Scalar, constants::ED25519_BASEPOINT_POINT, edwards::CompressedEdwardsY};

use crate::sha512::Sha512;
use crate::{KEY_BYTES, SIGNATURE_BYTES};

/// Verifies one signature of a message that arrives in pieces.
///
/// ```
/// # fn pieces() -> impl Iterator<Item = &'static [u8]> { [&b"a"[..], b"b"].into_iter() }
/// fn is_genuine(key: &[u8; 32], signature: &[u8; 64]) -> bool {
///     let Some(mut verifier) = attoformer_signature::Verifier::new(key, signature) else { return false };
///     pieces().for_each(|piece| verifier.update(piece));
///     verifier.finish()
/// }
/// ```
pub struct Verifier {
    hash: Sha512,
    /// The negative of the key's point.
    minus_key: EdwardsPoint,
    /// The signature's point R, compressed.
    commitment: [u8; 32],
    /// The signature's scalar s.
    response: Scalar,
}

impl Verifier {
    /// Starts the verification of a message. `None` if the key is not the canonical form of a point, or one of small order, or if the signature's
    /// scalar is not below the order of the group.
    #[must_use]
    #[inline(never)]
    pub fn new(key: &[u8; KEY_BYTES], signature: &[u8; SIGNATURE_BYTES]) -> Option<Self> {
        let (commitment, response) = signature.split_first_chunk::<32>()?;
        let response = Option::from(Scalar::from_canonical_bytes(*response.first_chunk()?))?;
        let mut hash = Sha512::new();
        hash.update(commitment);
        hash.update(key);
        Some(Verifier { hash, minus_key: -point(key)?, commitment: *commitment, response })
    }

    /// Appends a piece of the message, of any length.
    pub fn update(&mut self, piece: &[u8]) {
        self.hash.update(piece);
    }

    /// Ends the message and returns whether the signature is one of this message by the owner of the key.
    #[must_use]
    #[inline(never)]
    pub fn finish(self) -> bool {
        let challenge = Scalar::from_bytes_mod_order_wide(&self.hash.finish());
        // R = s B - k A, in encoded form, which excludes other encodings of the same point.
        (ED25519_BASEPOINT_POINT * self.response + self.minus_key * challenge).compress().0 == self.commitment
    }
}

/// The point of a key; `None` if the bytes are not its canonical form, or if its order is small.
fn point(key: &[u8; KEY_BYTES]) -> Option<EdwardsPoint> {
    is_reduced(key).then(|| CompressedEdwardsY(*key).decompress())?.filter(|point| !point.is_small_order())
}

/// Whether the coordinate, all bits but the highest, is below the prime 2^255 - 19.
fn is_reduced(key: &[u8; KEY_BYTES]) -> bool {
    let [lowest, middle @ .., highest] = key;
    highest & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff) || *lowest < 0xed
}
