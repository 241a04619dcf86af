//! Writer of the image container: header, section table, alignment and checksums (`docs/image.md`).

use attoformer::image::Config;
use attoformer::image::{header_checksum, payload_checksum};
use attoformer::internals::format::HEADER_BYTES;
use attoformer::internals::format::field::put;
use attoformer::internals::format::header::at;
use attoformer::internals::format::sections::{SECTION_ALIGN, put_section};

use super::error::PackError;

/// An image under construction: a header, then sections.
pub struct ImageWriter {
    bytes: Vec<u8>,
    /// Kind, offset and size of each section.
    sections: Vec<(u32, usize, usize)>,
}

impl ImageWriter {
    /// Starts an image of this configuration.
    ///
    /// # Errors
    /// [`PackError::Unsupported`].
    pub fn new(config: &Config) -> Result<Self, PackError> {
        let mut bytes = vec![0; HEADER_BYTES];
        config.emit(&mut bytes).map_err(PackError::Unsupported)?;
        Ok(ImageWriter { bytes, sections: Vec::new() })
    }

    /// States the version of the model.
    pub fn model_version(&mut self, version: u32) {
        put(&mut self.bytes, at::MODEL_VERSION, version.to_le_bytes());
    }

    /// Appends a section and returns its offset. `content` is called once the offset is known.
    pub fn section(&mut self, kind: u32, content: impl FnOnce(&mut Vec<u8>)) -> usize {
        align(&mut self.bytes, SECTION_ALIGN);
        let start = self.bytes.len();
        content(&mut self.bytes);
        self.sections.push((kind, start, self.bytes.len() - start));
        start
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Completes the header and writes the checksums.
    ///
    /// # Errors
    /// [`PackError::TooLarge`].
    pub fn finish(mut self, arena_bytes: usize, tensors: u32) -> Result<Vec<u8>, PackError> {
        let size = |what, bytes: usize| u32::try_from(bytes).map_err(|_| PackError::TooLarge { what, bytes });
        let total = size("the image", self.bytes.len())?;
        let arena = size("the arena", arena_bytes)?;
        let header = &mut self.bytes[..HEADER_BYTES];
        put(header, at::TOTAL_BYTES, total.to_le_bytes());
        put(header, at::ARENA_BYTES, arena.to_le_bytes());
        put(header, at::SECTIONS, (self.sections.len() as u32).to_le_bytes());
        put(header, at::TENSORS, tensors.to_le_bytes());
        for (index, &(kind, start, size)) in self.sections.iter().enumerate() {
            put_section(header, index, (kind, start as u32, size as u32));
        }
        seal(&mut self.bytes);
        Ok(self.bytes)
    }
}

/// Appends zeros up to a multiple of `align`.
pub fn align(bytes: &mut Vec<u8>, align: usize) {
    bytes.resize(bytes.len().next_multiple_of(align), 0);
}

/// Recomputes both checksums.
pub fn seal(image: &mut [u8]) {
    let payload = payload_checksum(image);
    put(image, at::PAYLOAD_CHECKSUM, payload.to_le_bytes());
    let header = header_checksum(image);
    put(image, at::HEADER_CHECKSUM, header.to_le_bytes());
}
