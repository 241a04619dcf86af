//! Genuine signatures are accepted, in pieces of any size; everything else is refused.

use attoformer_signature::Verifier;
use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::CompressedEdwardsY;

/// A test vector of RFC 8032.
struct Vector {
    name: String,
    key: [u8; 32],
    message: Vec<u8>,
    signature: [u8; 64],
}

/// The five vectors of section 7.1.
fn vectors() -> Vec<Vector> {
    let lines: Vec<&str> = include_str!("rfc8032.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let (vectors, rest) = lines.as_chunks::<5>();
    assert!(rest.is_empty() && vectors.len() == 5);
    let vector = |&[name, _, key, message, signature]: &[&str; 5]| Vector {
        name: name.to_owned(),
        key: hex(key).try_into().unwrap(),
        message: hex(message.trim_matches('-')),
        signature: hex(signature).try_into().unwrap(),
    };
    vectors.iter().map(vector).collect()
}

fn hex(text: &str) -> Vec<u8> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    assert!(rest.is_empty(), "{text}");
    pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Whether a signature of a message in pieces is accepted.
fn is_accepted<'a>(key: &[u8; 32], signature: &[u8; 64], pieces: impl Iterator<Item = &'a [u8]>) -> bool {
    Verifier::new(key, signature).is_some_and(|mut verifier| {
        pieces.for_each(|piece| verifier.update(piece));
        verifier.finish()
    })
}

#[test]
fn every_vector_of_the_rfc_is_accepted_in_pieces_of_any_size() {
    let vectors = vectors();
    let lengths: Vec<usize> = vectors.iter().map(|vector| vector.message.len()).collect();
    assert_eq!(lengths, [0, 1, 2, 1023, 64], "the lengths of the RFC's messages");
    for Vector { name, key, message, signature } in &vectors {
        for size in (1..=300).chain([511, 512, 1023, 1024]) {
            assert!(is_accepted(key, signature, message.chunks(size)), "{name} in pieces of {size}");
        }
        for cut in 0..=message.len() {
            let (first, second) = message.split_at(cut);
            assert!(is_accepted(key, signature, [first, &[], second].into_iter()), "{name} cut at {cut}");
        }
    }
}

#[test]
fn a_signature_of_another_message_or_by_another_key_is_refused() {
    let vectors = vectors();
    for (index, Vector { name, key, message, signature }) in vectors.iter().enumerate() {
        let longer = [message.as_slice(), &[0]].concat();
        assert!(!is_accepted(key, signature, [longer.as_slice()].into_iter()), "{name}: a byte more");
        for at in 0..message.len() {
            let mut changed = message.clone();
            changed[at] ^= 1 << (at % 8);
            assert!(!is_accepted(key, signature, [changed.as_slice()].into_iter()), "{name}: byte {at} of the message");
        }
        for bit in 0..512 {
            let mut changed = *signature;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_accepted(key, &changed, [message.as_slice()].into_iter()), "{name}: bit {bit} of the signature");
        }
        let other = &vectors[(index + 1) % vectors.len()].key;
        assert!(!is_accepted(other, signature, [message.as_slice()].into_iter()), "{name}: another key");
    }
}

#[test]
fn a_scalar_that_is_not_reduced_is_refused() {
    // The order of the group, RFC 8032, section 5.1. Adding it to a scalar gives the same point.
    let order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    for Vector { name, key, message, mut signature } in vectors() {
        let mut carry = 0;
        for (byte, add) in signature[32..].iter_mut().zip(&order) {
            let sum = u16::from(*byte) + u16::from(*add) + carry;
            (*byte, carry) = (sum as u8, sum >> 8);
        }
        assert_eq!(carry, 0, "the sum fits 32 bytes");
        assert!(Verifier::new(&key, &signature).is_none(), "{name}");
        assert!(!is_accepted(&key, &signature, [message.as_slice()].into_iter()), "{name}");
    }
}

#[test]
fn keys_of_small_order_are_refused() {
    // With the neutral point as key, s = 0 and R = the neutral point would sign any message.
    for point in EIGHT_TORSION {
        let key = point.compress().0;
        assert!(CompressedEdwardsY(key).decompress().is_some(), "it is a point");
        assert!(Verifier::new(&key, &[0; 64]).is_none(), "{key:x?}");
    }
}

#[test]
fn keys_that_are_no_canonical_point_are_refused() {
    let signature = [0; 64];
    // Coordinates from the prime on, all of which fit 255 bits.
    let mut points = 0;
    for lowest in 0xed..=0xff_u8 {
        for highest in [0x7f, 0xff] {
            let mut key = [0xff; 32];
            (key[0], key[31]) = (lowest, highest);
            points += usize::from(CompressedEdwardsY(key).decompress().is_some_and(|point| !point.is_small_order()));
            assert!(Verifier::new(&key, &signature).is_none(), "{key:x?}");
        }
    }
    assert!(points > 0, "some of them are points to a lenient reader");
    // About half of all coordinates are on no point.
    let refused =
        (0..=255).filter(|first| Verifier::new(&core::array::from_fn(|at| if at == 0 { *first } else { 3 }), &signature).is_none());
    let refused = refused.count();
    assert!((64..192).contains(&refused), "{refused} of 256 coordinates were refused");
}
