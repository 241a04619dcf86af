//! The section table: sections in any order, each at a multiple of 64 bytes.

use super::field::{put, u32_at};
use super::header::{HEADER_BYTES, at, nonzero};
use super::limits::SECTIONS_MAX;
use crate::error::Error;

/// Kinds of sections.
pub mod section {
    /// Name and provenance, [`Metadata`](crate::image::Metadata) in postcard.
    pub const METADATA: u32 = 1;
    /// The tensor directory.
    pub const DIRECTORY: u32 = 2;
    /// Values and scales of all tensors.
    pub const WEIGHTS: u32 = 3;
    /// Vocabulary and merge scores.
    pub const TOKENIZER: u32 = 4;
    /// Frequencies of the rotary pairs (RoPE), as fractions of a turn per token.
    pub const ROTARY: u32 = 5;
    /// Golden vector.
    pub const GOLDEN: u32 = 6;
    /// Parameters that turn sound into rows of features, [`Frontend`](crate::frontend::Frontend).
    pub const FRONTEND: u32 = 7;
    /// A signature of all bytes before it: the last [`SIGNATURE_BYTES`](super::SIGNATURE_BYTES) of the image. The engine checks its
    /// place, `attoformer-signature` its value.
    pub const SIGNATURE: u32 = 8;
    /// Names of a classifier's labels, UTF-8, one per line.
    pub const LABELS: u32 = 9;
    /// The model's chat template, UTF-8; the engine does not read it.
    pub const CHAT: u32 = 10;
    /// Decoder prompt and suppressed tokens of a transcription model, [`GenerationConfig`](crate::image::GenerationConfig).
    pub const GENERATION: u32 = 11;
    /// Parameters that turn a picture into rows of features, [`Pictures`](crate::frontend::pictures::Pictures).
    pub const PICTURES: u32 = 12;
    /// Largest kind that this engine knows.
    pub const KNOWN_MAX: u32 = 12;
    /// Reserved: tokens that end a text, besides EOS.
    pub const END_TOKENS: u32 = 13;
    /// Reserved: the attention window of each layer.
    pub const LAYER_WINDOWS: u32 = 14;
    /// Reserved: the rotary frequencies of each layer.
    pub const LAYER_ROTARY: u32 = 15;
    /// Reserved: the memory regions that hold the parts of the image.
    pub const REGIONS: u32 = 16;
    /// Largest kind with a name.
    pub const NAMED_MAX: u32 = 16;
}

/// Alignment of a section's first byte.
pub const SECTION_ALIGN: usize = 64;
/// Bytes of a row of the section table: kind, offset, size, zero.
pub const SECTION_ROW: usize = 16;
/// Bytes of a signature.
pub const SIGNATURE_BYTES: u32 = 64;
/// Kinds of sections that have a place in [`Sections`], kind 0 included.
const KINDS: usize = section::KNOWN_MAX as usize + 1;

/// Start and end of each known section; an absent section is empty and starts at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sections([(u32, u32); KINDS]);

impl Sections {
    /// Reads the section table of an image. Each known kind occurs at most once, is aligned, follows the header and ends inside the image;
    /// a signature is the end of the image, and no other section reaches into it.
    ///
    /// # Errors
    /// [`Error::Field`] for too many sections, [`Error::Section`] for one that breaks a rule, [`Error::Reserved`] for bytes of the table that
    /// must be zero.
    pub fn parse(image: &[u8]) -> Result<Self, Error> {
        let mut sections = [(0, 0); KINDS];
        let count = u32_at(image, at::SECTIONS);
        if count > SECTIONS_MAX {
            return Err(Error::Field { name: "sections", value: count });
        }
        let table_end = at::SECTION_TABLE + SECTIONS_MAX as usize * SECTION_ROW;
        if let Some(at) = nonzero(image, at::SECTION_TABLE + count as usize * SECTION_ROW, table_end) {
            return Err(Error::Reserved { at: at as u32 });
        }
        let payload_end = payload_end(image) as u64;
        for index in 0..count as usize {
            let (kind, start, size) = row(image, index);
            let spare = at::SECTION_TABLE + index * SECTION_ROW + 12;
            if let Some(at) = nonzero(image, spare, spare + 4) {
                return Err(Error::Reserved { at: at as u32 });
            }
            let end = start as u64 + size as u64;
            let in_place = match kind {
                section::SIGNATURE => size == SIGNATURE_BYTES && end == image.len() as u64,
                _ => end <= payload_end,
            };
            if !(start as usize).is_multiple_of(SECTION_ALIGN) || (start as usize) < HEADER_BYTES || !in_place {
                return Err(Error::Section { kind });
            }
            if let Some(slot) = sections.get_mut(kind as usize).filter(|_| kind != 0) {
                if *slot != (0, 0) {
                    return Err(Error::Section { kind });
                }
                *slot = (start, end as u32);
            }
        }
        Ok(Sections(sections))
    }

    /// Start and end of a section, `(0, 0)` when it is absent.
    pub fn range(&self, kind: u32) -> (u32, u32) {
        self.0.get(kind as usize).copied().unwrap_or_default()
    }
}

/// End of the bytes that the payload's checksum covers: where the signature begins, or the end of the image without one.
pub fn payload_end(image: &[u8]) -> usize {
    match section_offset(image, section::SIGNATURE) as usize {
        0 => image.len(),
        start => start.min(image.len()),
    }
}

/// Kind, start and size in row `index` of the section table.
const fn row(image: &[u8], index: usize) -> (u32, u32, u32) {
    let at = at::SECTION_TABLE + index * SECTION_ROW;
    (u32_at(image, at), u32_at(image, at + 4), u32_at(image, at + 8))
}

/// Writes row `index` of the section table.
pub fn put_section(header: &mut [u8], index: usize, (kind, start, size): (u32, u32, u32)) {
    let at = at::SECTION_TABLE + index * SECTION_ROW;
    put(header, at, kind.to_le_bytes());
    put(header, at + 4, start.to_le_bytes());
    put(header, at + 8, size.to_le_bytes());
}

/// Offset of a section as an unchecked image states it, known to the compiler; 0 when the section is absent.
pub const fn section_offset(image: &[u8], kind: u32) -> u32 {
    let mut index = 0;
    while index < SECTIONS_MAX && index < u32_at(image, at::SECTIONS) {
        let (found, start, _) = row(image, index as usize);
        if found == kind {
            return start;
        }
        index += 1;
    }
    0
}
