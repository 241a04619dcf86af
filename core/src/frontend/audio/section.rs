//! The image's front-end section: parameters and tables, checked once.

use super::fft;
use crate::error::Error;
use crate::format::field::{f32_at, u32_at};
use crate::format::section;
use crate::format::sections::section_offset;
use zerocopy::FromBytes;

/// The spectrum's scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spectrum {
    /// Magnitude, |X|.
    Magnitude,
    /// Power, |X|^2.
    Power,
}

/// An audio front end: a checked view of an image's section. Copying it copies references only.
#[derive(Clone, Copy, Debug)]
pub struct Frontend<'a> {
    /// Samples per second (Hz).
    pub sample_rate: u32,
    /// Samples of a clip.
    pub(super) samples: usize,
    /// Window length: samples of a frame.
    pub(super) frame_len: usize,
    /// Hop length: samples from one frame to the next.
    pub(super) hop_length: usize,
    /// Length of the FFT (n_fft); a frame is padded with zeros.
    pub(super) n_fft: usize,
    pub(super) spectrum: Spectrum,
    /// Whether frames are centred on their sample, with the clip reflected at its ends.
    pub(super) centred: bool,
    /// Whether logarithms are decimal instead of natural.
    pub(super) decimal: bool,
    /// Bands of the mel filterbank.
    pub(super) bands: usize,
    /// MFCC per frame; 0 for the log bands themselves.
    pub(super) coefficients: usize,
    /// Smaller bands are raised to it before the logarithm.
    pub(super) log_floor: f32,
    /// Largest distance of a clip's values below its maximum; 0 for no limit and no scaling.
    pub(super) range: f32,
    /// Window function (Hann), `(frame_len)`.
    pub(super) window: &'a [f32],
    /// First bin and number of bins of each mel filter, `(bands)`.
    pub(super) filters: &'a [[u16; 2]],
    /// Index of each filter's first weight, `(bands)`.
    pub(super) filter_at: &'a [u32],
    /// Weights of all mel filters.
    pub(super) weights: &'a [f32],
    /// DCT matrix, `(coefficients, bands)`.
    pub(super) cosines: &'a [f32],
}

/// Bytes before the tables.
const HEADER_BYTES: usize = 64;
/// Largest clip, frame, FFT length and number of bands.
const LIMITS: [usize; 4] = [1 << 22, 1 << 14, 1 << 14, 1 << 10];
/// Largest number of filter weights.
const WEIGHTS_MAX: usize = 1 << 20;
/// Largest number of values in all feature rows: 64 MiB.
const VALUES_MAX: u64 = 1 << 24;

/// Sizes of an image's audio front end, for `static` buffers: a `const fn` computes them. All are zero if the image has no audio front end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Samples of a clip.
    pub samples: usize,
    /// Feature rows of a clip.
    pub rows: usize,
    /// Columns of a feature row.
    pub features: usize,
    /// Length of the scratch buffer of [`Frontend::clip`].
    pub scratch: usize,
    /// Length of the buffer of [`super::Frames`].
    pub stream: usize,
}

impl Sizes {
    /// Reads the sizes from an image.
    #[must_use]
    pub const fn of(image: &[u8]) -> Self {
        let at = section_offset(image, section::FRONTEND) as usize;
        match Counts::read(image, at) {
            Some(counts) if at != 0 => counts.sizes(),
            _ => Sizes { samples: 0, rows: 0, features: 0, scratch: 0, stream: 0 },
        }
    }
}

/// The integer fields of a section, within limits that keep every size below 2^31.
struct Counts {
    samples: usize,
    frame_len: usize,
    hop_length: usize,
    n_fft: usize,
    flags: u32,
    bands: usize,
    coefficients: usize,
}

impl Counts {
    /// Parses the section that begins at byte `at`; `None` if a field is out of range.
    const fn read(bytes: &[u8], at: usize) -> Option<Self> {
        let counts = Counts {
            samples: word(bytes, at, 1) as usize,
            frame_len: word(bytes, at, 2) as usize,
            hop_length: word(bytes, at, 3) as usize,
            n_fft: word(bytes, at, 4) as usize,
            flags: word(bytes, at, 5),
            bands: word(bytes, at, 6) as usize,
            coefficients: word(bytes, at, 7) as usize,
        };
        if counts.is_consistent() { Some(counts) } else { None }
    }

    const fn is_consistent(&self) -> bool {
        let [samples, frame_len, n_fft, bands] = LIMITS;
        let small = self.samples <= samples && self.frame_len <= frame_len && self.n_fft <= n_fft && self.bands <= bands;
        let ordered = self.hop_length != 0
            && self.hop_length <= self.frame_len
            && self.frame_len <= self.samples
            && self.frame_len <= self.n_fft
            && self.bands != 0
            && self.coefficients <= self.bands;
        small && ordered && self.flags <= 7 && fft::is_supported(self.n_fft) && self.rows() as u64 * self.features() as u64 <= VALUES_MAX
    }

    const fn centred(&self) -> bool {
        self.flags & 2 != 0
    }

    const fn rows(&self) -> usize {
        row_count(self.samples, self.frame_len, self.hop_length, self.centred())
    }

    const fn features(&self) -> usize {
        if self.coefficients == 0 { self.bands } else { self.coefficients }
    }

    const fn sizes(&self) -> Sizes {
        let scratch = scratch_len(self.n_fft, self.bands);
        let features = self.features();
        Sizes { samples: self.samples, rows: self.rows(), features, scratch, stream: scratch + self.frame_len + features }
    }
}

/// A word of the section that begins at byte `at`.
const fn word(bytes: &[u8], at: usize, index: usize) -> u32 {
    u32_at(bytes, at.saturating_add(4 * index))
}

/// Number of whole frames in a clip. Centred ones start before it.
pub(super) const fn row_count(samples: usize, frame_len: usize, hop_length: usize, centred: bool) -> usize {
    // The hop length is never zero; the checked division tells the compiler so.
    let steps = if centred { samples } else { samples.saturating_sub(frame_len) }.checked_div(hop_length);
    match steps {
        Some(steps) if centred => steps,
        Some(steps) => steps + 1,
        None => 0,
    }
}

/// Values of the twiddle factors, two transforms, the spectrum and the mel bands.
pub(super) const fn scratch_len(n_fft: usize, bands: usize) -> usize {
    3 * n_fft + (n_fft / 2 + 1) + bands
}

impl<'a> Frontend<'a> {
    /// Parses and checks a front-end section at an address that is a multiple of 4.
    ///
    /// # Errors
    /// [`Error::Section`] if it contradicts itself or is truncated.
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
            hop_length: counts.hop_length,
            n_fft: counts.n_fft,
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
        (rest.is_empty() && frontend.is_consistent()).then_some(frontend)
    }

    /// Whether the tables are finite and each mel filter is within the spectrum and the weights.
    fn is_consistent(&self) -> bool {
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
        self.n_fft / 2 + 1
    }
}
