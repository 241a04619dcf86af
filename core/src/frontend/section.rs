//! The front-end section: parameters and tables, checked once.

use super::fft;
use crate::error::Error;
use crate::image::bytes::{f32_at, u32_at};
use crate::image::section;
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

impl<'a> Frontend<'a> {
    /// Reads and checks a front-end section.
    ///
    /// # Errors
    /// [`Error::Section`] for one that contradicts itself or is cut.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        Self::read(bytes).ok_or(Error::Section { kind: section::FRONTEND })
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let word = |index: usize| u32_at(bytes, 4 * index) as usize;
        let flags = word(5);
        let (frame_len, bands, coefficients, weights) = (word(2), word(6), word(7), word(10));
        let small = word(1) <= LIMITS[0] && frame_len <= LIMITS[1] && word(4) <= LIMITS[2] && bands <= LIMITS[3] && coefficients <= bands;
        if !small || weights > 1 << 20 || flags > 7 || bytes.len() < HEADER_BYTES {
            return None;
        }
        let rest = bytes.get(HEADER_BYTES..)?;
        let (window, rest) = <[f32]>::ref_from_prefix_with_elems(rest, frame_len).ok()?;
        let (filters, rest) = <[[u16; 2]]>::ref_from_prefix_with_elems(rest, bands).ok()?;
        let (filter_at, rest) = <[u32]>::ref_from_prefix_with_elems(rest, bands).ok()?;
        let (weights, rest) = <[f32]>::ref_from_prefix_with_elems(rest, weights).ok()?;
        let (cosines, rest) = <[f32]>::ref_from_prefix_with_elems(rest, coefficients * bands).ok()?;
        let frontend = Frontend {
            sample_rate: u32_at(bytes, 0),
            samples: word(1),
            frame_len,
            hop: word(3),
            fft_len: word(4),
            spectrum: if flags & 1 == 0 { Spectrum::Magnitude } else { Spectrum::Power },
            centred: flags & 2 != 0,
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

    fn agrees(&self) -> bool {
        let finite = |values: &[f32]| values.iter().all(|x| x.is_finite());
        let bands = self.filters.iter().zip(self.filter_at);
        let inside = bands.into_iter().all(|(&[first, count], &at)| {
            first as usize + count as usize <= self.bins() && at as usize + count as usize <= self.weights.len()
        });
        self.sample_rate != 0
            && (1..=self.frame_len).contains(&self.hop)
            && self.frame_len != 0
            && self.bands != 0
            && self.frame_len <= self.fft_len
            && self.frame_len <= self.samples
            && fft::is_supported(self.fft_len)
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
