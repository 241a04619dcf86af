//! The packed model: checked once by [`Image::new`], trusted afterwards. `docs/image.md` describes the format.

mod checksum;
mod generation_config;
mod golden;
mod metadata;

pub use crate::format::section;
pub use crate::format::{
    Activation, Architecture, AttentionKind, Classifier, Config, Dtype, Entry, InputStem, KvType, Layout, MaskKind, NormKind,
    NormPlacement, Pooler, Pooling, PositionKind, Role,
};
pub use checksum::checksum;
pub use generation_config::GenerationConfig;
pub use golden::Golden;
pub use metadata::Metadata;

use crate::error::Error;
use crate::features::{self, Feature};
use crate::format::field::u32_at;
use crate::format::header::at;
use crate::format::sections::{Sections, payload_end};
use crate::format::{ENTRY_BYTES, HEADER_BYTES, TensorOrder, groups};
#[cfg(feature = "audio")]
use crate::frontend::Frontend;
#[cfg(feature = "pictures")]
use crate::frontend::pictures::Pictures;
use crate::memory::{Plan, arena_bytes};
use crate::tokenizer::Tokenizer;
use zerocopy::FromBytes;

/// Includes an image file as a constant `&'static [u8]` at the alignment that [`Image::new`] requires.
#[macro_export]
macro_rules! include_image {
    ($($path:tt)*) => {{
        #[repr(C, align(16))]
        struct Aligned<T: ?Sized>(T);
        const IMAGE: &Aligned<[u8]> = &Aligned(*include_bytes!($($path)*));
        &IMAGE.0
    }};
}

/// Checksum of a header, its own field taken as zero.
#[must_use]
pub fn header_checksum(header: &[u8]) -> u32 {
    let before = header.get(..at::HEADER_CHECKSUM).unwrap_or_default();
    let after = header.get(at::PAYLOAD_CHECKSUM..HEADER_BYTES).unwrap_or_default();
    checksum(&[before, &[0; 4], after])
}

/// Checksum of everything between the header and the signature, or the end of the image without one.
#[must_use]
pub fn payload_checksum(image: &[u8]) -> u32 {
    checksum(&[image.get(HEADER_BYTES..payload_end(image)).unwrap_or_default()])
}

/// A packed model in memory (flash, a mapped file), checked and ready to run. Copying it copies references only.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    bytes: &'a [u8],
    config: Config,
    order: TensorOrder,
    sections: Sections,
    /// The directory section, which every layer of every token looks up.
    directory: &'a [u8],
    golden: Golden<'a>,
    tokenizer: Option<Tokenizer<'a>>,
    #[cfg(feature = "audio")]
    frontend: Option<Frontend<'a>>,
    #[cfg(feature = "pictures")]
    pictures: Option<Pictures>,
    generation_config: Option<GenerationConfig<'a>>,
}

impl<'a> Image<'a> {
    /// Validates everything that the bytes declare about themselves, and parses every section once. The image runs without further checks.
    ///
    /// Bytes after the image's stated end are ignored, so a whole flash region may be given.
    ///
    /// # Errors
    /// The first fault found, as a value that names it.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        if !(bytes.as_ptr() as usize).is_multiple_of(16) {
            return Err(Error::Misaligned);
        }
        let config = Config::parse(bytes)?;
        let total = u32_at(bytes, at::TOTAL_BYTES) as usize;
        if total < HEADER_BYTES {
            return Err(Error::Field { name: "total_bytes", value: total as u32 });
        }
        let bytes = bytes.get(..total).ok_or(Error::TooShort { need: total, have: bytes.len() })?;
        if header_checksum(bytes) != u32_at(bytes, at::HEADER_CHECKSUM) {
            return Err(Error::HeaderChecksum);
        }
        let sections = Sections::parse(bytes)?;
        if payload_checksum(bytes) != u32_at(bytes, at::PAYLOAD_CHECKSUM) {
            return Err(Error::PayloadChecksum);
        }
        let mut image = Image {
            bytes,
            config,
            order: TensorOrder::new(&config),
            sections,
            directory: section_of(bytes, &sections, section::DIRECTORY),
            golden: Golden::EMPTY,
            tokenizer: None,
            #[cfg(feature = "audio")]
            frontend: None,
            #[cfg(feature = "pictures")]
            pictures: None,
            generation_config: None,
        };
        image.check_arena()?;
        image.check_features()?;
        image.check_rotary()?;
        image.check_directory()?;
        image.check_labels()?;
        image.parse_sections()?;
        Ok(image)
    }

    /// Parses the sections whose views the image keeps.
    fn parse_sections(&mut self) -> Result<(), Error> {
        self.golden = Golden::parse(self.section(section::GOLDEN), &self.config)?;
        #[cfg(feature = "audio")]
        {
            self.frontend = parse_frontend(self.section(section::FRONTEND), &self.config)?;
        }
        #[cfg(feature = "pictures")]
        {
            self.pictures = parse_pictures(self.section(section::PICTURES), &self.config)?;
        }
        self.generation_config = match self.section(section::GENERATION) {
            [] => None,
            bytes => Some(GenerationConfig::parse(bytes, self.config.vocab).ok_or(Error::Section { kind: section::GENERATION })?),
        };
        self.tokenizer = match self.section(section::TOKENIZER) {
            [] => None,
            bytes => Some(Tokenizer::new(bytes, self.config.vocab)?),
        };
        Ok(())
    }

    /// Bytes of arena for the packed context and the default block, known to the compiler: the size of a `static`.
    ///
    /// 0 for bytes that do not begin with a valid header; [`Image::new`] then returns the reason.
    #[must_use]
    pub const fn arena_bytes(bytes: &[u8]) -> usize {
        match Config::parse(bytes) {
            Ok(config) => arena_bytes(&config, Plan::packed(&config)),
            Err(_) => 0,
        }
    }

    /// The model's shape.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The image's own bytes, without those that may follow it in memory.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The version of the model, a number of the packer's choice; 0 unless it stated one.
    #[must_use]
    pub fn model_version(&self) -> u32 {
        u32_at(self.bytes, at::MODEL_VERSION)
    }

    /// Whether the image ends with a signature. The engine does not verify it.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.sections.range(section::SIGNATURE) != (0, 0)
    }

    /// Bytes of one section, empty when it is absent.
    #[must_use]
    pub fn section(&self, kind: u32) -> &'a [u8] {
        section_of(self.bytes, &self.sections, kind)
    }

    /// The tokenizer packed with the model.
    ///
    /// # Errors
    /// [`Error::NoTokenizer`] when the image has none.
    pub fn tokenizer(&self) -> Result<Tokenizer<'a>, Error> {
        self.tokenizer.ok_or(Error::NoTokenizer)
    }

    /// Name and provenance.
    ///
    /// # Errors
    /// [`Error::Metadata`] when the section is absent or unreadable.
    pub fn metadata(&self) -> Result<Metadata<'a>, Error> {
        postcard::from_bytes(self.section(section::METADATA)).map_err(|_| Error::Metadata)
    }

    /// The golden vector.
    #[must_use]
    pub fn golden(&self) -> Golden<'a> {
        self.golden
    }

    /// Frequencies of the rotary pairs in fractions of a turn per token, as (low, high) words.
    pub(crate) fn rotary(&self) -> &'a [[u32; 2]] {
        self.view(self.sections.range(section::ROTARY).0, self.config.rotary_dim() / 2)
    }

    /// Names of a classifier's labels, in the order of its outputs; empty for an image without names.
    pub fn labels(&self) -> impl Iterator<Item = &'a str> {
        // By bytes: the iterator over the lines of a text can reach a panic where it is not inlined.
        let labels = self.section(section::LABELS);
        let lines = labels.strip_suffix(b"\n").unwrap_or(labels).split(|&byte| byte == b'\n');
        lines.filter(|_| !labels.is_empty()).filter_map(|line| core::str::from_utf8(line).ok())
    }

    /// The front end that turns sound into rows of features; `None` for an image that does not read sound.
    #[cfg(feature = "audio")]
    #[must_use]
    pub fn frontend(&self) -> Option<Frontend<'a>> {
        self.frontend
    }

    /// The front end that turns a picture into rows of features; `None` for an image that does not read pictures.
    #[cfg(feature = "pictures")]
    #[must_use]
    pub fn pictures(&self) -> Option<Pictures> {
        self.pictures
    }

    /// Decoder prompt and suppressed tokens of a transcription model; `None` for an image without them.
    #[must_use]
    pub fn generation_config(&self) -> Option<GenerationConfig<'a>> {
        self.generation_config
    }

    /// A directory entry by role and layer (any layer for a role outside the layers).
    #[must_use]
    pub fn entry(&self, role: Role, layer: u32) -> Option<Entry> {
        let (index, of_layer) = self.order.find(role, layer)?;
        Entry::parse(self.directory, index as usize * ENTRY_BYTES, role, of_layer)
    }

    /// All tensors in directory order.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        (0..self.order.count()).filter_map(|index| {
            let (role, layer) = self.order.role_at(index);
            Entry::parse(self.directory, index as usize * ENTRY_BYTES, role, layer)
        })
    }

    /// The Cargo features of the engine that the image needs, each once.
    pub fn features(&self) -> impl Iterator<Item = Feature> + '_ {
        Feature::ALL.into_iter().filter(|feature| {
            let weights = || self.entries().filter(|entry| !entry.role.is_always_f32()).map(|entry| features::of_weights(&entry));
            self.shape_features().any(|needed| needed == *feature) || weights().any(|needed| needed == *feature)
        })
    }

    /// Features that shape and sections need.
    fn shape_features(&self) -> impl Iterator<Item = Feature> + '_ {
        let sections = [section::FRONTEND, section::PICTURES, section::TOKENIZER];
        features::of_config(&self.config).chain(sections.into_iter().filter_map(|kind| features::of_section(kind, self.section(kind))))
    }

    /// Checks that this program was built with the parts that shape and sections need.
    fn check_features(&self) -> Result<(), Error> {
        self.shape_features().try_for_each(built_in)
    }

    /// `count` elements from `offset` on; empty where the image does not hold them.
    pub(crate) fn view<T: FromBytes + zerocopy::Immutable>(&self, offset: u32, count: u32) -> &'a [T] {
        self.bytes
            .get(offset as usize..)
            .and_then(|rest| <[T]>::ref_from_prefix_with_elems(rest, count as usize).ok())
            .map_or(&[], |(view, _)| view)
    }

    fn check_arena(&self) -> Result<(), Error> {
        let stated = u32_at(self.bytes, at::ARENA_BYTES);
        match u32::try_from(arena_bytes(&self.config, Plan::packed(&self.config))) {
            Ok(implied) if implied == stated => Ok(()),
            // The header cannot state an arena beyond 4 GiB.
            implied => Err(Error::ArenaMismatch { stated, implied: implied.unwrap_or(u32::MAX) }),
        }
    }

    fn check_rotary(&self) -> Result<(), Error> {
        let want = match self.config.positions {
            PositionKind::Rotary => self.config.rotary_dim() as usize / 2 * 8,
            _ => return Ok(()),
        };
        if self.section(section::ROTARY).len() == want { Ok(()) } else { Err(Error::Section { kind: section::ROTARY }) }
    }

    /// Checks that labels are text, with a name for each output.
    fn check_labels(&self) -> Result<(), Error> {
        let labels = self.section(section::LABELS);
        let named = core::str::from_utf8(labels).is_ok_and(|text| text.lines().count() == self.config.labels as usize);
        if labels.is_empty() || named { Ok(()) } else { Err(Error::Section { kind: section::LABELS }) }
    }

    fn check_directory(&self) -> Result<(), Error> {
        let count = self.order.count();
        if u32_at(self.bytes, at::TENSORS) != count || self.directory.len() != count as usize * ENTRY_BYTES {
            return Err(Error::Section { kind: section::DIRECTORY });
        }
        let weights = self.sections.range(section::WEIGHTS);
        for index in 0..count {
            let entry = Entry::checked(self.directory, &self.config, index, self.order.role_at(index), weights)?;
            if !entry.role.is_always_f32() {
                built_in(features::of_weights(&entry))?;
            }
            if !self.is_finite(&entry) {
                return Err(Error::NotFinite { index });
            }
            if !self.group_scales_are_exact(&entry) {
                return Err(Error::Tensor { index, what: "an int4 group scale is -128, beyond the -127 to 127 of exact sums" });
            }
        }
        Ok(())
    }

    /// Whether every group scale of an int4 tensor is within -127..=127, the range for which integer sums are exact. 0 is valid: the group
    /// is zeros.
    fn group_scales_are_exact(&self, entry: &Entry) -> bool {
        let count = entry.rows.wrapping_mul(groups(entry.columns, entry.group));
        let scales = if entry.group_scales == 0 { &[] } else { self.view::<i8>(entry.group_scales, count) };
        scales.chunks(CHUNK).all(|scales| scales.iter().fold(true, |all, &scale| all & (scale != i8::MIN)))
    }

    /// Whether every float of a tensor is finite, so that finite input can only overflow, never meet a NaN.
    fn is_finite(&self, entry: &Entry) -> bool {
        // In chunks without an early exit, so that the compiler vectorizes them: a large float image is checked in a fraction of its checksum's time.
        let finite = |floats: &[f32]| floats.iter().fold(true, |all, x| all & x.is_finite());
        let finite_halves = |halves: &[[u16; 2]]| halves.iter().flatten().fold(true, |all, bits| all & (bits & 0x7c00 != 0x7c00));
        let floats = |offset: u32, count: u32| offset == 0 || self.view::<f32>(offset, count).chunks(CHUNK).all(finite);
        let words = (entry.value_bytes() / 4) as u32;
        floats(entry.scales, entry.rows)
            && floats(entry.bias, entry.rows)
            && floats(entry.in_scale, entry.columns)
            && match entry.dtype {
                Dtype::F32 => floats(entry.values, words),
                Dtype::F16 => self.view::<[u16; 2]>(entry.values, words).chunks(CHUNK).all(finite_halves),
                Dtype::Int8 | Dtype::Int4 => true,
            }
    }
}

/// Elements that are checked without an early exit.
const CHUNK: usize = 256;

/// Checks that this program was built with a feature.
fn built_in(feature: Feature) -> Result<(), Error> {
    if feature.is_built_in() { Ok(()) } else { Err(Error::NotBuiltIn { feature: feature.name() }) }
}

fn section_of<'a>(bytes: &'a [u8], sections: &Sections, kind: u32) -> &'a [u8] {
    let (start, end) = sections.range(kind);
    bytes.get(start as usize..end as usize).unwrap_or_default()
}

/// Parses the audio front end, whose rows must have the model's width.
#[cfg(feature = "audio")]
fn parse_frontend<'a>(bytes: &'a [u8], config: &Config) -> Result<Option<Frontend<'a>>, Error> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let frontend = Frontend::new(bytes)?;
    if frontend.features() == config.features as usize { Ok(Some(frontend)) } else { Err(Error::Section { kind: section::FRONTEND }) }
}

/// Parses the picture front end, whose rows must have the model's width and fit its context.
#[cfg(feature = "pictures")]
fn parse_pictures(bytes: &[u8], config: &Config) -> Result<Option<Pictures>, Error> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let pictures = Pictures::new(bytes)?;
    let rows = pictures.rows() + usize::from(config.class_token);
    let fits = pictures.features() == config.features as usize && rows <= config.context as usize;
    if fits { Ok(Some(pictures)) } else { Err(Error::Section { kind: section::PICTURES }) }
}
