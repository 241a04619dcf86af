//! Writer of the image container: header, section table, alignment and checksums (`docs/image.md`).

use attoformer::image::header::{Config, FORMAT_VERSION, HEADER_BYTES};
use attoformer::image::{CRC, header_checksum};

use super::error::PackError;

const SECTION_ALIGN: usize = 64;
const SECTION_TABLE_AT: usize = 128;
const SECTION_ROW: usize = 16;

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
    /// [`PackError::FieldRange`], [`PackError::NotRepresentable`], [`PackError::Unsupported`].
    pub fn new(config: &Config) -> Result<Self, PackError> {
        let mut bytes = vec![0; HEADER_BYTES];
        put_config(&mut bytes, config)?;
        Ok(ImageWriter { bytes, sections: Vec::new() })
    }

    /// Appends a section and returns its offset. `content` is called once the offset is known.
    pub fn section(&mut self, kind: u32, content: impl FnOnce(&mut Vec<u8>)) -> usize {
        align(&mut self.bytes, SECTION_ALIGN);
        let start = self.bytes.len();
        content(&mut self.bytes);
        self.sections.push((kind, start, self.bytes.len() - start));
        start
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
        put(header, 12, total.to_le_bytes());
        put(header, 24, arena.to_le_bytes());
        put(header, 28, (self.sections.len() as u32).to_le_bytes());
        put(header, 76, tensors.to_le_bytes());
        for (index, &(kind, start, size)) in self.sections.iter().enumerate() {
            let at = SECTION_TABLE_AT + index * SECTION_ROW;
            put(header, at, kind.to_le_bytes());
            put(header, at + 4, (start as u32).to_le_bytes());
            put(header, at + 8, (size as u32).to_le_bytes());
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
    let payload = CRC.checksum(&image[HEADER_BYTES..]);
    put(image, 20, payload.to_le_bytes());
    let header = header_checksum(image);
    put(image, 16, header.to_le_bytes());
}

/// Writes the fields of format and configuration, then parses them: that enforces the limits of the engine.
fn put_config(header: &mut [u8], config: &Config) -> Result<(), PackError> {
    let narrow = |value: u32, field| u16::try_from(value).map_err(|_| PackError::FieldRange { value, field });
    put(header, 0, *b"ATTO");
    put(header, 4, FORMAT_VERSION.to_le_bytes());
    put(header, 6, (HEADER_BYTES as u16).to_le_bytes());
    put(header, 8, attoformer::NUMERICS.to_le_bytes());
    let kinds = [
        config.architecture as u8,
        config.norm as u8,
        config.placement as u8,
        config.activation as u8,
        config.gated as u8,
        config.positions as u8,
        config.mask as u8,
        config.kv as u8,
    ];
    put(header, 32, kinds);
    put(header, 40, config.d_model.to_le_bytes());
    put(header, 44, config.d_hidden.to_le_bytes());
    put(header, 48, narrow(config.layers, "layers")?.to_le_bytes());
    put(header, 50, narrow(config.heads, "heads")?.to_le_bytes());
    put(header, 52, narrow(config.kv_heads, "key/value heads")?.to_le_bytes());
    put(header, 54, narrow(config.head_dim, "head dimensions")?.to_le_bytes());
    put(header, 56, config.vocab.to_le_bytes());
    put(header, 60, config.context.to_le_bytes());
    put(header, 64, config.window.to_le_bytes());
    put(header, 68, config.norm_eps.to_le_bytes());
    put(header, 72, [config.tied_head as u8, config.final_norm as u8, config.embedding_norm as u8, config.pooling as u8]);
    let more = [
        config.normalized as u8,
        config.attention as u8,
        config.qk_norm as u8,
        config.parallel as u8,
        config.classifier as u8,
        config.pooler as u8,
        config.front as u8,
        config.class_token as u8,
    ];
    put(header, 88, more);
    put(header, 96, config.labels.to_le_bytes());
    put(header, 100, narrow(config.encoder_layers, "encoder layers")?.to_le_bytes());
    put(header, 102, narrow(config.features, "features")?.to_le_bytes());
    put(header, 104, config.encoder_context.to_le_bytes());
    put(header, 108, config.score_scale.to_le_bytes());
    put(header, 112, config.embedding_scale.to_le_bytes());
    put(header, 116, narrow(config.rotary_dim, "rotary dimensions")?.to_le_bytes());
    put(header, 118, narrow(config.buckets, "relative position buckets")?.to_le_bytes());
    put(header, 120, narrow(config.globals, "global tokens")?.to_le_bytes());
    put(header, 122, narrow(config.layer_dim, "per-layer embedding dimensions")?.to_le_bytes());
    put(header, 80, config.begin.to_le_bytes());
    put(header, 84, config.end.to_le_bytes());
    match Config::read(header) {
        Ok(read) if read == *config => Ok(()),
        Ok(_) => Err(PackError::NotRepresentable),
        Err(error) => Err(PackError::Unsupported(error)),
    }
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}
