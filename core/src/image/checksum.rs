//! CRC-32 (ISO-HDLC, the one of zip and Ethernet), which the image's header and payload carry.
//!
//! Hosted targets use slicing-by-16, because the payload's checksum dominates the time to open a large image. Microcontrollers use a table of one
//! nibble, 64 bytes instead of 1 KB of flash, at less than twice the time per byte.

/// CRC-32 of all parts, one after another.
#[must_use]
pub fn checksum(parts: &[&[u8]]) -> u32 {
    crc32(parts)
}

#[cfg(not(target_os = "none"))]
fn crc32(parts: &[&[u8]]) -> u32 {
    static CRC: crc::Crc<u32, crc::Table<16>> = crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISO_HDLC);
    let mut digest = CRC.digest();
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize()
}

#[cfg(any(target_os = "none", test))]
mod nibbles {
    /// The reflected polynomial.
    const POLYNOMIAL: u32 = 0xedb8_8320;

    /// The remainder of each nibble.
    static REMAINDERS: [u32; 16] = {
        let mut table = [0; 16];
        let mut nibble = 0;
        while nibble < 16 {
            let (mut remainder, mut bit) = (nibble as u32, 0);
            while bit < 4 {
                remainder = (remainder >> 1) ^ (POLYNOMIAL & (remainder & 1).wrapping_neg());
                bit += 1;
            }
            table[nibble] = remainder;
            nibble += 1;
        }
        table
    };

    pub fn crc32(parts: &[&[u8]]) -> u32 {
        let step = |crc: u32| (crc >> 4) ^ REMAINDERS[(crc & 15) as usize];
        let bytes = parts.iter().copied().flatten();
        !bytes.fold(u32::MAX, |crc, &byte| step(step(crc ^ u32::from(byte))))
    }
}
#[cfg(target_os = "none")]
use nibbles::crc32;

#[cfg(test)]
mod tests {
    use super::{checksum, nibbles};

    #[test]
    fn both_tables_give_the_catalogues_check_value() {
        assert_eq!(checksum(&[b"123456789"]), 0xcbf4_3926);
        assert_eq!(checksum(&[b"1234", b"", b"56789"]), 0xcbf4_3926);
        assert_eq!(checksum(&[]), 0);
        let bytes: [u8; 1000] = core::array::from_fn(|at| (at * at / 7) as u8);
        for end in (0..50).chain([999, 1000]) {
            let parts = [&bytes[..end / 3], &bytes[end / 3..end]];
            assert_eq!(checksum(&parts), nibbles::crc32(&parts), "{end} bytes");
        }
    }
}
