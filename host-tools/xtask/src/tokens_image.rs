//! An image without its tokenizer, for the demo that takes token ids.

use anyhow::{Result, bail};

/// Bytes of the header (docs/image.md).
const HEADER_BYTES: usize = 512;
/// Offset of the header's checksum.
const CHECKSUM: usize = 16;
/// Offset of the number of sections.
const SECTION_COUNT: usize = 28;
/// Offset of the section table.
const SECTIONS: usize = 256;
/// Bytes of a row of the section table, which begins with the section's kind.
const SECTION_ROW: usize = 16;
/// Kind of the tokenizer section.
const TOKENIZER: u32 = 4;
/// A kind that no engine knows, so that readers skip the section.
const UNKNOWN: u32 = 0x7fff_ffff;

/// Hides the tokenizer section of an image and corrects the header's checksum.
///
/// # Errors
/// The bytes are too short for an image, or the image has no tokenizer.
pub fn without_tokenizer(image: &[u8]) -> Result<Vec<u8>> {
    if image.len() < HEADER_BYTES {
        bail!("the file is too short for an image");
    }
    let mut image = image.to_vec();
    let word = |image: &[u8], at: usize| u32::from_le_bytes([image[at], image[at + 1], image[at + 2], image[at + 3]]);
    let rows = (HEADER_BYTES - SECTIONS) / SECTION_ROW;
    let count = rows.min(word(&image, SECTION_COUNT) as usize);
    let Some(row) = (0..count).map(|row| SECTIONS + row * SECTION_ROW).find(|row| word(&image, *row) == TOKENIZER) else {
        bail!("the image has no tokenizer");
    };
    image[row..row + 4].copy_from_slice(&UNKNOWN.to_le_bytes());
    image[CHECKSUM..CHECKSUM + 4].fill(0);
    let checksum = crc32(&image[..HEADER_BYTES]);
    image[CHECKSUM..CHECKSUM + 4].copy_from_slice(&checksum.to_le_bytes());
    Ok(image)
}

/// CRC-32/ISO-HDLC, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_published_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
