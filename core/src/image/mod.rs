//! The packed model: checked once by [`Image::new`], trusted afterwards. The format's page is `docs/image.md`.

pub(crate) mod bytes;
pub mod decoding;
pub mod directory;
pub mod golden;
pub mod header;
mod kinds;
pub mod metadata;
pub(crate) mod roles;
mod shape;

use crate::arena::{Plan, arena_bytes};
use crate::error::Error;
use crate::frontend::Frontend;
use crate::frontend::pictures::Pictures;
use crate::tokenizer::Tokenizer;
use bytes::u32_at;
use decoding::Decoding;
use directory::{Dtype, ENTRY_BYTES, Entry, Role, TensorOrder};
use golden::Golden;
use header::{Config, FORMAT_VERSION, HEADER_BYTES, PositionKind, SECTION_ROW, SECTION_TABLE_AT, SECTIONS_MAX};
use metadata::Metadata;
use zerocopy::FromBytes;

/// Kinds of sections.
pub mod section {
    /// Name and provenance, [`super::metadata::Metadata`] in postcard.
    pub const METADATA: u32 = 1;
    /// The tensor directory.
    pub const DIRECTORY: u32 = 2;
    /// All tensors' values and scales.
    pub const WEIGHTS: u32 = 3;
    /// Vocabulary and merge scores.
    pub const TOKENIZER: u32 = 4;
    /// Turn fractions of the rotary pairs.
    pub const ROTARY: u32 = 5;
    /// Golden vector.
    pub const GOLDEN: u32 = 6;
    /// How sound becomes rows of features, [`crate::frontend`].
    pub const FRONTEND: u32 = 7;
    /// Names of a classifier's labels, UTF-8, a line each.
    pub const LABELS: u32 = 9;
    /// The model's chat template, UTF-8; the engine does not read it.
    pub const CHAT: u32 = 10;
    /// How a transcript begins and what is never written, [`super::decoding::Decoding`].
    pub const DECODING: u32 = 11;
    /// How a picture becomes rows of features, [`crate::frontend::pictures`].
    pub const PICTURES: u32 = 12;
    /// Highest kind that this engine knows.
    pub const KNOWN_MAX: u32 = 12;
}

/// An image from a file beside the source, as a constant `&'static [u8]` at the alignment that [`Image::new`] wants.
#[macro_export]
macro_rules! include_image {
    ($($path:tt)*) => {{
        #[repr(C, align(16))]
        struct Aligned<T: ?Sized>(T);
        const IMAGE: &Aligned<[u8]> = &Aligned(*include_bytes!($($path)*));
        &IMAGE.0
    }};
}

const KINDS: usize = section::KNOWN_MAX as usize + 1;

/// CRC-32 as the header uses it (ISO-HDLC, the one of zip and Ethernet).
pub const CRC: crc::Crc<u32, crc::Table<1>> = crc::Crc::<u32, crc::Table<1>>::new(&crc::CRC_32_ISO_HDLC);

/// Checksum of a header, its own field taken as zero.
pub fn header_checksum(header: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    digest.update(header.get(..16).unwrap_or_default());
    digest.update(&[0; 4]);
    digest.update(header.get(20..HEADER_BYTES).unwrap_or_default());
    digest.finalize()
}

/// A packed model in memory (flash, a mapped file), checked and ready to run. Copying it copies a few words.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    bytes: &'a [u8],
    config: Config,
    order: TensorOrder,
    /// Start and end of each known section; an absent one is empty at 0.
    sections: [(u32, u32); KINDS],
}

impl<'a> Image<'a> {
    /// Checks all that `bytes` says about itself; what it returns can run without further checks.
    ///
    /// Bytes behind the image's stated end are ignored, so a whole flash region may be given.
    ///
    /// # Errors
    /// The first thing found wrong, as a value that names it.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        if !(bytes.as_ptr() as usize).is_multiple_of(16) {
            return Err(Error::Misaligned);
        }
        let config = Config::read(bytes)?;
        let total = u32_at(bytes, 12) as usize;
        if total < HEADER_BYTES {
            return Err(Error::Field { name: "total_bytes", value: total as u32 });
        }
        let bytes = bytes.get(..total).ok_or(Error::TooShort { need: total, have: bytes.len() })?;
        if header_checksum(bytes) != u32_at(bytes, 16) {
            return Err(Error::HeaderChecksum);
        }
        if CRC.checksum(bytes.get(HEADER_BYTES..).unwrap_or_default()) != u32_at(bytes, 20) {
            return Err(Error::PayloadChecksum);
        }
        let image = Image { bytes, config, order: TensorOrder::new(&config), sections: read_sections(bytes)? };
        image.check_arena()?;
        image.check_rotary()?;
        image.check_directory()?;
        image.golden()?;
        image.check_words()?;
        if !image.section(section::TOKENIZER).is_empty() {
            image.tokenizer()?;
        }
        Ok(image)
    }

    /// Bytes of arena for the packed context and the default block, known to the compiler: the size of a `static`.
    ///
    /// 0 for bytes that do not begin with a header; [`Image::new`] says what is wrong with them.
    pub const fn arena_bytes(bytes: &[u8]) -> usize {
        match Config::read(bytes) {
            Ok(config) => arena_bytes(&config, Plan::packed(&config)),
            Err(_) => 0,
        }
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The image's own bytes, without what may follow it in memory.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Bytes of one section, empty when it is absent.
    pub fn section(&self, kind: u32) -> &'a [u8] {
        let (start, end) = self.sections.get(kind as usize).copied().unwrap_or_default();
        self.bytes.get(start as usize..end as usize).unwrap_or_default()
    }

    /// The tokenizer packed with the model.
    ///
    /// # Errors
    /// [`Error::NoTokenizer`] when the image has none.
    pub fn tokenizer(&self) -> Result<Tokenizer<'a>, Error> {
        match self.section(section::TOKENIZER) {
            [] => Err(Error::NoTokenizer),
            bytes => Tokenizer::new(bytes, self.config.vocab),
        }
    }

    /// Name and provenance.
    ///
    /// # Errors
    /// [`Error::Metadata`] when the section is absent or unreadable.
    pub fn metadata(&self) -> Result<Metadata<'a>, Error> {
        postcard::from_bytes(self.section(section::METADATA)).map_err(|_| Error::Metadata)
    }

    /// The golden vector.
    ///
    /// # Errors
    /// [`Error::Section`] when it is malformed.
    pub fn golden(&self) -> Result<Golden<'a>, Error> {
        Golden::read(self.section(section::GOLDEN), &self.config)
    }

    /// Turn fractions of the rotary pairs, as (low, high) words.
    pub(crate) fn rotary(&self) -> &'a [[u32; 2]] {
        self.view(self.sections[section::ROTARY as usize].0, self.config.turning_dim() / 2)
    }

    /// Names of a classifier's labels, in the order of its outputs; none where the image names none.
    pub fn labels(&self) -> impl Iterator<Item = &'a str> {
        core::str::from_utf8(self.section(section::LABELS)).unwrap_or_default().lines()
    }

    /// How sound becomes rows of features; `None` where the image does not read sound.
    pub fn frontend(&self) -> Option<Frontend<'a>> {
        Frontend::new(self.section(section::FRONTEND)).ok()
    }

    /// How a picture becomes rows of features; `None` where the image does not read pictures, or does not say.
    pub fn pictures(&self) -> Option<Pictures> {
        Pictures::new(self.section(section::PICTURES)).ok()
    }

    /// How a transcript begins and what is never written; `None` where the image does not say.
    pub fn decoding(&self) -> Option<Decoding<'a>> {
        Decoding::read(self.section(section::DECODING), self.config.vocab)
    }

    /// A directory entry by role and layer (any layer where the role has none).
    pub fn entry(&self, role: Role, layer: u32) -> Option<Entry> {
        let (index, of_layer) = self.order.find(role, layer)?;
        Entry::parse(self.section(section::DIRECTORY), index as usize * ENTRY_BYTES, role, of_layer)
    }

    /// All tensors in directory order.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        (0..self.order.count()).filter_map(|index| {
            let (role, layer) = self.order.role_at(index);
            Entry::parse(self.section(section::DIRECTORY), index as usize * ENTRY_BYTES, role, layer)
        })
    }

    /// `count` elements from `offset` on; empty where the image does not hold them.
    pub(crate) fn view<T: FromBytes + zerocopy::Immutable>(&self, offset: u32, count: u32) -> &'a [T] {
        self.bytes
            .get(offset as usize..)
            .and_then(|rest| <[T]>::ref_from_prefix_with_elems(rest, count as usize).ok())
            .map_or(&[], |(view, _)| view)
    }

    fn check_arena(&self) -> Result<(), Error> {
        let stated = u32_at(self.bytes, 24);
        match u32::try_from(arena_bytes(&self.config, Plan::packed(&self.config))) {
            Ok(follows) if follows == stated => Ok(()),
            // An arena beyond 4 GiB cannot be stated at all.
            follows => Err(Error::ArenaStatement { stated, follows: follows.unwrap_or(u32::MAX) }),
        }
    }

    fn check_rotary(&self) -> Result<(), Error> {
        let want = match self.config.positions {
            PositionKind::Rotary => self.config.turning_dim() as usize / 2 * 8,
            _ => return Ok(()),
        };
        if self.section(section::ROTARY).len() == want { Ok(()) } else { Err(Error::Section { kind: section::ROTARY }) }
    }

    /// Labels are text, a name for each output; front ends make rows of the model's width; decoding tokens are in the vocabulary.
    fn check_words(&self) -> Result<(), Error> {
        let labels = self.section(section::LABELS);
        let named = core::str::from_utf8(labels).is_ok_and(|text| text.lines().count() == self.config.labels as usize);
        if !labels.is_empty() && !named {
            return Err(Error::Section { kind: section::LABELS });
        }
        if !self.section(section::FRONTEND).is_empty() {
            let frontend = Frontend::new(self.section(section::FRONTEND))?;
            if frontend.features() != self.config.features as usize {
                return Err(Error::Section { kind: section::FRONTEND });
            }
        }
        if !self.section(section::PICTURES).is_empty() {
            let pictures = Pictures::new(self.section(section::PICTURES))?;
            let rows = pictures.rows() + usize::from(self.config.class_token);
            if pictures.features() != self.config.features as usize || rows > self.config.context as usize {
                return Err(Error::Section { kind: section::PICTURES });
            }
        }
        if !self.section(section::DECODING).is_empty() && self.decoding().is_none() {
            return Err(Error::Section { kind: section::DECODING });
        }
        Ok(())
    }

    fn check_directory(&self) -> Result<(), Error> {
        let count = self.order.count();
        let directory = self.section(section::DIRECTORY);
        if u32_at(self.bytes, 76) != count || directory.len() != count as usize * ENTRY_BYTES {
            return Err(Error::Section { kind: section::DIRECTORY });
        }
        let weights = self.sections[section::WEIGHTS as usize];
        for index in 0..count {
            let entry = Entry::read(directory, &self.config, index, self.order.role_at(index), weights)?;
            if !self.is_finite(&entry) {
                return Err(Error::NotFinite { index });
            }
        }
        Ok(())
    }

    /// Whether every float of a tensor is finite, so that finite input can only overflow, never meet a NaN.
    fn is_finite(&self, entry: &Entry) -> bool {
        let floats = |offset: u32, count: u32| offset == 0 || self.view::<f32>(offset, count).iter().all(|x| x.is_finite());
        let words = (entry.value_bytes() / 4) as u32;
        floats(entry.scales, entry.rows)
            && floats(entry.bias, entry.rows)
            && floats(entry.in_scale, entry.columns)
            && match entry.dtype {
                Dtype::F32 => floats(entry.values, words),
                Dtype::F16 => self.view::<[u16; 2]>(entry.values, words).iter().flatten().all(|bits| bits & 0x7c00 != 0x7c00),
                Dtype::Int8 | Dtype::Int4 => true,
            }
    }
}

/// Reads the section table: known kinds at most once, aligned, behind the header and inside the image.
fn read_sections(bytes: &[u8]) -> Result<[(u32, u32); KINDS], Error> {
    let mut sections = [(0, 0); KINDS];
    let count = u32_at(bytes, 28);
    if count > SECTIONS_MAX {
        return Err(Error::Field { name: "sections", value: count });
    }
    for row in 0..count as usize {
        let at = SECTION_TABLE_AT + row * SECTION_ROW;
        let (kind, start, size) = (u32_at(bytes, at), u32_at(bytes, at + 4), u32_at(bytes, at + 8));
        let end = start as u64 + size as u64;
        if !start.is_multiple_of(64) || (start as usize) < HEADER_BYTES || end > bytes.len() as u64 {
            return Err(Error::Section { kind });
        }
        if let Some(slot) = sections.get_mut(kind as usize).filter(|_| kind != 0) {
            if *slot != (0, 0) {
                return Err(Error::Section { kind });
            }
            *slot = (start, end as u32);
        }
    }
    Ok(sections)
}

/// Where a section begins by an image's own word, known to the compiler; 0 where there is none.
pub(crate) const fn section_at(bytes: &[u8], kind: u32) -> u32 {
    let mut row = 0;
    while row < SECTIONS_MAX && row < u32_at(bytes, 28) {
        let at = SECTION_TABLE_AT + row as usize * SECTION_ROW;
        if u32_at(bytes, at) == kind {
            return u32_at(bytes, at + 4);
        }
        row += 1;
    }
    0
}

/// The format's version, for writers.
pub const VERSION: u16 = FORMAT_VERSION;
