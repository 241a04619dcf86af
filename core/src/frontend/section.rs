//! The front-end section: parameters and tables, checked once.

use super::fft;
use crate::error::Error;
use crate::format::field::{f32_at, u32_at};
use crate::format::section;
use crate::format::sections::section_offset;
use zerocopy::FromBytes;

/// What a bin of the spectrum holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spectrum {
    /// |X|.
    Magnitude,
    /// |X|^2.
    Power,
}

/// How sound becomes rows of features: a checked view of an image's section. Copying it copies references only.
#[derive(Clone, Copy, Debug)]
pub struct Frontend<'a> {
    /// Samples per second.
    pub sample_rate: u32,
    /// Samples of a clip.
    pub(super) samples: usize,
    /// Samples of a frame.
    pub(super) frame_len: usize,
    /// Samples from one frame to the next.
    pub(super) hop: usize,
    /// Length of the transform; a frame is filled up with zeros.
    pub(super) fft_len: usize,
    pub(super) spectrum: Spectrum,
    /// Frames lie around their sample, the clip is reflected at its ends.
    pub(super) centred: bool,
    /// Decimal instead of natural logarithms.
    pub(super) decimal: bool,
    /// Mel bands.
    pub(super) bands: usize,
    /// Coefficients of the cosine transform; 0 for the bands themselves.
    pub(super) coefficients: usize,
    /// Bands below it count as it.
    pub(super) log_floor: f32,
    /// How far below the loudest band a clip's values may lie; 0 for no limit and no scaling.
    pub(super) range: f32,
    /// `(frame_len)`.
    pub(super) window: &'a [f32],
    /// First bin and bins of each band: `(bands)`.
    pub(super) filters: &'a [[u16; 2]],
    /// Where each band's weights begin: `(bands)`.
    pub(super) filter_at: &'a [u32],
    /// Weights of all bands.
    pub(super) weights: &'a [f32],
    /// `(coefficients, bands)`.
    pub(super) cosines: &'a [f32],
}

/// Bytes before the tables.
const HEADER_BYTES: usize = 64;
/// Longest clip, frame and transform; most bands.
const LIMITS: [usize; 4] = [1 << 22, 1 << 14, 1 << 14, 1 << 10];
/// Most weights of all bands, and most values of all rows: 64 MiB.
const WEIGHTS_MAX: usize = 1 << 20;
const VALUES_MAX: u64 = 1 << 24;

/// Sizes of an image's front end, known to the compiler: those of a `static` buffer. All are zero where there is no front end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Samples of a clip.
    pub samples: usize,
    /// Rows of a clip.
    pub rows: usize,
    /// Columns of a row.
    pub features: usize,
    /// Values of the scratch buffer of [`Frontend::clip`].
    pub scratch: usize,
    /// Values of the buffer of [`super::Frames`].
    pub stream: usize,
}

impl Sizes {
    /// Reads the sizes out of an image.
    pub const fn of(image: &[u8]) -> Self {
        let at = section_offset(image, section::FRONTEND) as usize;
        match Counts::read(image, at) {
            Some(counts) if at != 0 => counts.sizes(),
            _ => Sizes { samples: 0, rows: 0, features: 0, scratch: 0, stream: 0 },
        }
    }
}

/// The whole numbers of a section, within limits that keep every size below 2^31.
struct Counts {
    samples: usize,
    frame_len: usize,
    hop: usize,
    fft_len: usize,
    flags: u32,
    bands: usize,
    coefficients: usize,
}

impl Counts {
    /// The section that begins at byte `at`.
    const fn read(bytes: &[u8], at: usize) -> Option<Self> {
        let counts = Counts {
            samples: word(bytes, at, 1) as usize,
            frame_len: word(bytes, at, 2) as usize,
            hop: word(bytes, at, 3) as usize,
            fft_len: word(bytes, at, 4) as usize,
            flags: word(bytes, at, 5),
            bands: word(bytes, at, 6) as usize,
            coefficients: word(bytes, at, 7) as usize,
        };
        if counts.agree() { Some(counts) } else { None }
    }

    const fn agree(&self) -> bool {
        let [samples, frame_len, fft_len, bands] = LIMITS;
        let small = self.samples <= samples && self.frame_len <= frame_len && self.fft_len <= fft_len && self.bands <= bands;
        let ordered = self.hop != 0
            && self.hop <= self.frame_len
            && self.frame_len <= self.samples
            && self.frame_len <= self.fft_len
            && self.bands != 0
            && self.coefficients <= self.bands;
        small && ordered && self.flags <= 7 && fft::is_supported(self.fft_len) && self.rows() as u64 * self.features() as u64 <= VALUES_MAX
    }

    const fn centred(&self) -> bool {
        self.flags & 2 != 0
    }

    const fn rows(&self) -> usize {
        row_count(self.samples, self.frame_len, self.hop, self.centred())
    }

    const fn features(&self) -> usize {
        if self.coefficients == 0 { self.bands } else { self.coefficients }
    }

    const fn sizes(&self) -> Sizes {
        let scratch = scratch_len(self.fft_len, self.bands);
        let features = self.features();
        Sizes { samples: self.samples, rows: self.rows(), features, scratch, stream: scratch + self.frame_len + features }
    }
}

/// A word of the section that begins at byte `at`.
const fn word(bytes: &[u8], at: usize, index: usize) -> u32 {
    u32_at(bytes, at.saturating_add(4 * index))
}

/// Whole frames in a clip; centred ones begin before it.
pub(super) const fn row_count(samples: usize, frame_len: usize, hop: usize, centred: bool) -> usize {
    // A hop is never zero; the compiler is told so.
    let steps = if centred { samples } else { samples.saturating_sub(frame_len) }.checked_div(hop);
    match steps {
        Some(steps) if centred => steps,
        Some(steps) => steps + 1,
        None => 0,
    }
}

/// The table of turns, two transforms, the spectrum and the bands.
pub(super) const fn scratch_len(fft_len: usize, bands: usize) -> usize {
    3 * fft_len + (fft_len / 2 + 1) + bands
}

impl<'a> Frontend<'a> {
    /// Reads and checks a front-end section, which begins at a multiple of 4.
    ///
    /// # Errors
    /// [`Error::Section`] for one that contradicts itself or is cut.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        Self::read(bytes).ok_or(Error::Section { kind: section::FRONTEND })
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let counts = Counts::read(bytes, 0)?;
        let weights = u32_at(bytes, 40) as usize;
        if weights > WEIGHTS_MAX {
            return None;
        }
        let Counts { frame_len, bands, coefficients, flags, .. } = counts;
        let rest = bytes.get(HEADER_BYTES..)?;
        let (window, rest) = <[f32]>::ref_from_prefix_with_elems(rest, frame_len).ok()?;
        let (filters, rest) = <[[u16; 2]]>::ref_from_prefix_with_elems(rest, bands).ok()?;
        let (filter_at, rest) = <[u32]>::ref_from_prefix_with_elems(rest, bands).ok()?;
        let (weights, rest) = <[f32]>::ref_from_prefix_with_elems(rest, weights).ok()?;
        let (cosines, rest) = <[f32]>::ref_from_prefix_with_elems(rest, coefficients * bands).ok()?;
        let frontend = Frontend {
            sample_rate: u32_at(bytes, 0),
            samples: counts.samples,
            frame_len,
            hop: counts.hop,
            fft_len: counts.fft_len,
            spectrum: if flags & 1 == 0 { Spectrum::Magnitude } else { Spectrum::Power },
            centred: counts.centred(),
            decimal: flags & 4 != 0,
            bands,
            coefficients,
            log_floor: f32_at(bytes, 32),
            range: f32_at(bytes, 36),
            window,
            filters,
            filter_at,
            weights,
            cosines,
        };
        (rest.is_empty() && frontend.agrees()).then_some(frontend)
    }

    /// Whether the tables are finite and each band lies inside its own.
    fn agrees(&self) -> bool {
        let finite = |values: &[f32]| values.iter().all(|x| x.is_finite());
        let inside = self.filters.iter().zip(self.filter_at).all(|(&[first, count], &at)| {
            let (first, count, at) = (usize::from(first), usize::from(count), at as usize);
            first + count <= self.bins() && at.checked_add(count).is_some_and(|end| end <= self.weights.len())
        });
        self.sample_rate != 0
            && self.log_floor.is_normal()
            && self.log_floor > 0.0
            && (0.0..f32::INFINITY).contains(&self.range)
            && finite(self.window)
            && finite(self.weights)
            && finite(self.cosines)
            && inside
    }

    /// Bins of the spectrum.
    pub(super) const fn bins(&self) -> usize {
        self.fft_len / 2 + 1
    }
}
