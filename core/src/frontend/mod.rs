//! Sound to rows of features: mel-frequency cepstra (Davis and Mermelstein 1980) and log-mel spectra, frame by frame, with the same bits on
//! every target.
//!
//! All tables that need a logarithm or a cosine of their own (window, mel filters, cosine transform) are made by the packer and lie in the image's
//! front-end section; `docs/image.md` says how.

pub mod fft;
pub mod pictures;
mod section;
mod stream;

pub use section::{Frontend, Sizes, Spectrum};
pub use stream::Frames;

use crate::error::Error;
use crate::numeric::{dot, ln, log10, sqrt};
use crate::slices::{prefix_mut, rows, rows_mut};
use fft::Complex;

/// A sound's samples, from -1 to 1.
pub trait Samples {
    /// Number of samples.
    fn count(&self) -> usize;

    /// The sample at this place; 0 outside.
    fn at(&self, place: usize) -> f32;
}

impl Samples for [i16] {
    fn count(&self) -> usize {
        self.len()
    }

    fn at(&self, place: usize) -> f32 {
        self.get(place).map_or(0.0, |&sample| sample as f32 * (1.0 / 32_768.0))
    }
}

impl Samples for [f32] {
    fn count(&self) -> usize {
        self.len()
    }

    fn at(&self, place: usize) -> f32 {
        self.get(place).copied().unwrap_or(0.0)
    }
}

impl Frontend<'_> {
    /// Values that a scratch buffer needs: the table of turns, two transforms, the spectrum and the bands.
    pub const fn scratch_len(&self) -> usize {
        section::scratch_len(self.fft_len, self.bands)
    }

    /// Rows of a clip: every clip is cut, or filled up with silence, to one length.
    pub const fn rows(&self) -> usize {
        section::row_count(self.samples, self.frame_len, self.hop, self.centred)
    }

    /// Samples of a clip.
    pub const fn samples(&self) -> usize {
        self.samples
    }

    /// Columns of a row.
    pub const fn features(&self) -> usize {
        if self.coefficients == 0 { self.bands } else { self.coefficients }
    }

    /// All rows of a clip, `(rows, features)`.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] when `scratch` has less than [`Frontend::scratch_len`] values, or `out` less than all rows.
    pub fn clip<S: Samples + ?Sized>(&self, samples: &S, scratch: &mut [f32], out: &mut [f32]) -> Result<(), Error> {
        let wanted = self.rows() * self.features();
        if out.len() < wanted {
            return Err(Error::BufferTooSmall { need: wanted, have: out.len() });
        }
        let out = prefix_mut(out, wanted);
        let mut scratch = self.prepare(scratch)?;
        for (row, start) in rows_mut(out, self.features()).zip((0..).step_by(self.hop.max(1))) {
            self.frame(|place| self.sample(samples, start + place), &mut scratch, row);
        }
        self.finish(out);
        Ok(())
    }

    /// The sample that stands at `place` of the padded clip: a centred frame begins half a frame earlier, where the clip is reflected.
    fn sample<S: Samples + ?Sized>(&self, samples: &S, place: usize) -> f32 {
        let place = if self.centred { place.abs_diff(self.frame_len / 2) } else { place };
        let place = if place < self.samples { place } else { (2 * self.samples).saturating_sub(place + 2) };
        samples.at(place)
    }

    /// Cuts the scratch buffer into its parts and fills the table of turns.
    fn prepare<'s>(&self, scratch: &'s mut [f32]) -> Result<Scratch<'s>, Error> {
        let have = scratch.len();
        let small = Error::BufferTooSmall { need: self.scratch_len(), have };
        let (turns, rest) = scratch.split_at_mut_checked(self.fft_len).ok_or(small)?;
        let (frame, rest) = rest.split_at_mut_checked(self.fft_len).ok_or(small)?;
        let (spare, rest) = rest.split_at_mut_checked(self.fft_len).ok_or(small)?;
        let (spectrum, rest) = rest.split_at_mut_checked(self.bins()).ok_or(small)?;
        let bands = rest.get_mut(..self.bands).ok_or(small)?;
        let turns = turns.as_chunks_mut().0;
        fft::turns(self.fft_len, turns);
        Ok(Scratch { turns, frame: frame.as_chunks_mut().0, spare: spare.as_chunks_mut().0, spectrum, bands })
    }

    /// One frame's features; `sample` gives its samples by their place in the frame.
    fn frame(&self, sample: impl Fn(usize) -> f32, scratch: &mut Scratch<'_>, row: &mut [f32]) {
        let Scratch { turns, frame, spare, spectrum, bands } = scratch;
        let values = frame.as_flattened_mut();
        values.fill(0.0);
        let mut any = 0;
        for (place, (value, &weight)) in values.iter_mut().zip(self.window).enumerate() {
            *value = sample(place) * weight;
            any |= value.to_bits() << 1;
        }
        let logs = if self.coefficients == 0 { &mut *row } else { &mut **bands };
        if any == 0 {
            // Digital silence, most of a short clip's 30 seconds: what the transform would come to.
            logs.fill(self.log(0.0));
            return self.cosine_transform(bands, row);
        }
        fft::real(frame, spare, turns, |bin, [re, im]| {
            if let Some(place) = spectrum.get_mut(bin) {
                let power = re * re + im * im;
                *place = if self.spectrum == Spectrum::Power { power } else { sqrt(power) };
            }
        });
        for ((log, &[first, count]), &at) in logs.iter_mut().zip(self.filters).zip(self.filter_at) {
            let weights = self.weights.get(at as usize..at as usize + count as usize).unwrap_or_default();
            let band = dot(spectrum.get(first as usize..first as usize + count as usize).unwrap_or_default(), weights);
            *log = self.log(band);
        }
        self.cosine_transform(bands, row);
    }

    /// A band's logarithm; what overflowed to no number counts as the floor.
    fn log(&self, band: f32) -> f32 {
        let band = if band > self.log_floor { band } else { self.log_floor };
        if self.decimal { log10(band) } else { ln(band) }
    }

    /// The coefficients of a row, where the front end has them.
    fn cosine_transform(&self, bands: &[f32], row: &mut [f32]) {
        for (out, cosines) in row.iter_mut().zip(rows(self.cosines, self.bands)) {
            *out = dot(bands, cosines);
        }
    }

    /// Whisper's last step over a whole clip: nothing lies further below the loudest band than a range, then all is scaled (Radford et al. 2022).
    fn finish(&self, out: &mut [f32]) {
        if self.range == 0.0 {
            return;
        }
        let loudest = out.iter().fold(f32::MIN, |max, &x| if x > max { x } else { max });
        let floor = loudest - self.range;
        out.iter_mut().for_each(|x| *x = ((if *x > floor { *x } else { floor }) + 4.0) / 4.0);
    }
}

/// A scratch buffer in its parts.
struct Scratch<'s> {
    turns: &'s mut [Complex],
    frame: &'s mut [Complex],
    spare: &'s mut [Complex],
    spectrum: &'s mut [f32],
    bands: &'s mut [f32],
}
