//! Features of a clip or a frame: power or magnitude spectrum, mel filterbank, logarithm, DCT.

use super::fft::{self, Complex};
use super::section::{Frontend, Spectrum, row_count, scratch_len};
use crate::error::Error;
use crate::numeric::{dot, ln, log10, sqrt};
use crate::slices::{prefix_mut, rows, rows_mut};

/// Samples of a sound, from -1 to 1.
pub trait Samples {
    /// Number of samples.
    fn count(&self) -> usize;

    /// The sample at `index`; 0 after the last one.
    fn at(&self, index: usize) -> f32;
}

impl Samples for [i16] {
    fn count(&self) -> usize {
        self.len()
    }

    fn at(&self, index: usize) -> f32 {
        self.get(index).map_or(0.0, |&sample| sample as f32 * (1.0 / 32_768.0))
    }
}

impl Samples for [f32] {
    fn count(&self) -> usize {
        self.len()
    }

    fn at(&self, index: usize) -> f32 {
        self.get(index).copied().unwrap_or(0.0)
    }
}

impl Frontend<'_> {
    /// Length of the scratch buffer: the twiddle factors, two transforms, the spectrum and the mel bands.
    #[must_use]
    pub const fn scratch_len(&self) -> usize {
        scratch_len(self.n_fft, self.bands)
    }

    /// Feature rows of a clip. Every clip is cut, or padded with silence, to the same number of samples.
    #[must_use]
    pub const fn rows(&self) -> usize {
        row_count(self.samples, self.frame_len, self.hop_length, self.centred)
    }

    /// Samples of a clip.
    #[must_use]
    pub const fn samples(&self) -> usize {
        self.samples
    }

    /// Columns of a feature row.
    #[must_use]
    pub const fn features(&self) -> usize {
        if self.coefficients == 0 { self.bands } else { self.coefficients }
    }

    /// Computes all feature rows of a clip, `(rows, features)`.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] if `scratch` is shorter than [`Frontend::scratch_len`], or `out` than all rows.
    pub fn clip<S: Samples + ?Sized>(&self, samples: &S, scratch: &mut [f32], out: &mut [f32]) -> Result<(), Error> {
        let need = self.rows() * self.features();
        if out.len() < need {
            return Err(Error::BufferTooSmall { need, have: out.len() });
        }
        let out = prefix_mut(out, need);
        let mut scratch = self.prepare(scratch)?;
        for (row, start) in rows_mut(out, self.features()).zip((0..).step_by(self.hop_length.max(1))) {
            self.frame(|index| self.sample(samples, start + index), &mut scratch, row);
        }
        self.normalize_clip(out);
        Ok(())
    }

    /// The sample at `index` of the padded clip. A centred frame starts half a frame earlier; the clip is reflected at its ends.
    fn sample<S: Samples + ?Sized>(&self, samples: &S, index: usize) -> f32 {
        let index = if self.centred { index.abs_diff(self.frame_len / 2) } else { index };
        let index = if index < self.samples { index } else { (2 * self.samples).saturating_sub(index + 2) };
        samples.at(index)
    }

    /// Divides the scratch buffer and fills in the twiddle factors.
    pub(super) fn prepare<'s>(&self, scratch: &'s mut [f32]) -> Result<Scratch<'s>, Error> {
        let small = Error::BufferTooSmall { need: self.scratch_len(), have: scratch.len() };
        let (twiddles, rest) = scratch.split_at_mut_checked(self.n_fft).ok_or(small)?;
        let (frame, rest) = rest.split_at_mut_checked(self.n_fft).ok_or(small)?;
        let (spare, rest) = rest.split_at_mut_checked(self.n_fft).ok_or(small)?;
        let (spectrum, rest) = rest.split_at_mut_checked(self.bins()).ok_or(small)?;
        let bands = rest.get_mut(..self.bands).ok_or(small)?;
        let twiddles = twiddles.as_chunks_mut().0;
        fft::fill_twiddles(self.n_fft, twiddles);
        Ok(Scratch { twiddles, frame: frame.as_chunks_mut().0, spare: spare.as_chunks_mut().0, spectrum, bands })
    }

    /// Computes one frame's features; `sample` returns its samples by their index in the frame.
    pub(super) fn frame(&self, sample: impl Fn(usize) -> f32, scratch: &mut Scratch<'_>, row: &mut [f32]) {
        let Scratch { twiddles, frame, spare, spectrum, bands } = scratch;
        let values = frame.as_flattened_mut();
        values.fill(0.0);
        let mut any = 0;
        for (index, (value, &weight)) in values.iter_mut().zip(self.window).enumerate() {
            *value = sample(index) * weight;
            any |= value.to_bits() << 1;
        }
        let logs = if self.coefficients == 0 { &mut *row } else { &mut **bands };
        if any == 0 {
            // Digital silence, most of a short clip's 30 seconds: the transform would result in these bits.
            logs.fill(self.log(0.0));
            return self.discrete_cosine_transform(bands, row);
        }
        fft::real(frame, spare, twiddles, |bin, [re, im]| {
            if let Some(value) = spectrum.get_mut(bin) {
                let power = re * re + im * im;
                *value = if self.spectrum == Spectrum::Power { power } else { sqrt(power) };
            }
        });
        for ((log, &[first, count]), &at) in logs.iter_mut().zip(self.filters).zip(self.filter_at) {
            let weights = self.weights.get(at as usize..at as usize + count as usize).unwrap_or_default();
            let band = dot(spectrum.get(first as usize..first as usize + count as usize).unwrap_or_default(), weights);
            *log = self.log(band);
        }
        self.discrete_cosine_transform(bands, row);
    }

    /// The logarithm of a band. One that overflowed to NaN counts as the floor.
    fn log(&self, band: f32) -> f32 {
        let band = if band > self.log_floor { band } else { self.log_floor };
        if self.decimal { log10(band) } else { ln(band) }
    }

    /// The MFCC of a row by the DCT of its log bands; nothing without coefficients.
    fn discrete_cosine_transform(&self, bands: &[f32], row: &mut [f32]) {
        for (out, cosines) in row.iter_mut().zip(rows(self.cosines, self.bands)) {
            *out = dot(bands, cosines);
        }
    }

    /// Whisper's last step over a whole clip: values more than `range` below the clip's maximum are raised to that, then all are scaled (Radford et
    /// al. 2022).
    fn normalize_clip(&self, out: &mut [f32]) {
        if self.range == 0.0 {
            return;
        }
        let loudest = out.iter().fold(f32::MIN, |max, &x| if x > max { x } else { max });
        let floor = loudest - self.range;
        out.iter_mut().for_each(|x| *x = ((if *x > floor { *x } else { floor }) + 4.0) / 4.0);
    }
}

/// The parts of a scratch buffer.
#[derive(Debug)]
pub(super) struct Scratch<'s> {
    twiddles: &'s mut [Complex],
    frame: &'s mut [Complex],
    spare: &'s mut [Complex],
    spectrum: &'s mut [f32],
    bands: &'s mut [f32],
}
