//! The image's frame: header, section table, alignment and checksums (`docs/image.md`).

use attoformer::image::header::{Config, FORMAT_VERSION, HEADER_BYTES};
use attoformer::image::{CRC, header_checksum};

const SECTION_ALIGN: usize = 64;
const SECTION_TABLE_AT: usize = 128;
const SECTION_ROW: usize = 16;

/// An image in the making: sections, one after another, behind a header.
pub struct ImageWriter {
    bytes: Vec<u8>,
    /// Kind, start and size of each section.
    sections: Vec<(u32, usize, usize)>,
}

impl ImageWriter {
    /// An image of this shape, without sections yet.
    ///
    /// # Errors
    /// A sentence's end: a number that the format cannot hold, or that the engine does not run.
    pub fn new(config: &Config) -> Result<Self, String> {
        let mut bytes = vec![0; HEADER_BYTES];
        put_config(&mut bytes, config)?;
        Ok(ImageWriter { bytes, sections: Vec::new() })
    }

    /// Adds a section and returns its offset. The content is made when that offset is known.
    pub fn section(&mut self, kind: u32, content: impl FnOnce(&mut Vec<u8>)) -> usize {
        align(&mut self.bytes, SECTION_ALIGN);
        let start = self.bytes.len();
        content(&mut self.bytes);
        self.sections.push((kind, start, self.bytes.len() - start));
        start
    }

    /// Completes the header and seals the image.
    ///
    /// # Errors
    /// A sentence's end: a size that the format cannot hold.
    pub fn finish(mut self, arena_bytes: usize, tensors: u32) -> Result<Vec<u8>, String> {
        let total =
            u32::try_from(self.bytes.len()).map_err(|_| format!("an image of {} bytes is beyond the format's 4 GiB", self.bytes.len()))?;
        let arena =
            u32::try_from(arena_bytes).map_err(|_| format!("it would need {arena_bytes} bytes of RAM, beyond the format's 4 GiB"))?;
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

/// Makes both checksums right again after a change.
pub fn seal(image: &mut [u8]) {
    let payload = CRC.checksum(&image[HEADER_BYTES..]);
    put(image, 20, payload.to_le_bytes());
    let header = header_checksum(image);
    put(image, 16, header.to_le_bytes());
}

/// The fields that name the format and the model's shape; reads them back, so that the engine's limits hold.
fn put_config(header: &mut [u8], config: &Config) -> Result<(), String> {
    let narrow = |value: u32, name: &str| u16::try_from(value).map_err(|_| format!("{value} {name} are more than the format can state"));
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
    put(header, 54, narrow(config.head_dim, "dimensions of a head")?.to_le_bytes());
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
    put(header, 100, narrow(config.encoder_layers, "layers")?.to_le_bytes());
    put(header, 102, narrow(config.features, "features")?.to_le_bytes());
    put(header, 104, config.encoder_context.to_le_bytes());
    put(header, 108, config.score_scale.to_le_bytes());
    put(header, 112, config.embedding_scale.to_le_bytes());
    put(header, 116, narrow(config.rotary_dim, "turning dimensions")?.to_le_bytes());
    put(header, 118, narrow(config.buckets, "buckets")?.to_le_bytes());
    put(header, 120, narrow(config.globals, "global tokens")?.to_le_bytes());
    put(header, 122, narrow(config.layer_dim, "dimensions of per-layer embeddings")?.to_le_bytes());
    put(header, 80, config.begin.to_le_bytes());
    put(header, 84, config.end.to_le_bytes());
    match Config::read(header) {
        Ok(read) if read == *config => Ok(()),
        Ok(_) => Err("its shape does not survive the image's header".to_owned()),
        Err(error) => Err(format!("the engine cannot run its shape: {error}")),
    }
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}
