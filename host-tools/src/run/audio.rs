//! Reads WAV files and computes the audio features that the front end of an image defines.

use std::borrow::Cow;
use std::path::Path;

use attoformer::Image;
use attoformer::frontend::Frontend;
use hound::{SampleFormat, WavReader};

use super::resample::resample;
use crate::error::Error;
use crate::files;

/// Lowest sample rate in Hz. Upsampling a lower rate would blow a short file up beyond memory.
const RATE_MIN: u32 = 1000;

/// An audio file or model that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// The image has no audio front end.
    #[error("this model does not read audio: the image has no audio front end")]
    NoFrontend,
    /// The file ends within its header.
    #[error("truncated: the file ends within its header; copy or convert it again")]
    TruncatedHeader,
    /// The file is no WAV file, or of an encoding that is not supported.
    #[error("not a readable WAV file ({0}); convert it first, for example with `sox IN -b 16 OUT`")]
    NotWav(hound::Error),
    /// The header states no channels or a rate that is too low.
    #[error("its header states {channels} channels and {rate} samples per second, which is not audio; convert it again")]
    Header {
        /// Stated channels.
        channels: usize,
        /// Stated sample rate in Hz.
        rate: u32,
    },
    /// The file has fewer samples than its header states.
    #[error("truncated or damaged: its header states {samples} samples, the file has fewer; copy or convert it again")]
    Truncated {
        /// Stated samples.
        samples: u32,
    },
    /// A float sample is infinite or NaN.
    #[error("sample {index} is {value}; convert it again")]
    NotFinite {
        /// Index of the sample.
        index: usize,
        /// Its value.
        value: f32,
    },
    /// The file has no samples.
    #[error("the file has no audio samples")]
    Empty,
    /// The ratio of both rates needs too large a resampling filter.
    #[error("cannot resample {from} Hz to {to} Hz; convert it first, for example with `sox IN -r {to} OUT`")]
    Rate {
        /// Rate of the file in Hz.
        from: u32,
        /// Rate of the model in Hz.
        to: u32,
    },
}

/// Reads a WAV file as samples from -1 to 1: mixed down to one channel, resampled to `rate` Hz. Sixteen-bit samples become exactly
/// `sample / 32768`.
///
/// # Errors
/// [`AudioError`] with the file.
pub fn read_wav(path: &Path, rate: u32) -> Result<Vec<f32>, Error> {
    let bytes = files::map(path)?;
    decode(&bytes, rate).map_err(Error::file(path))
}

fn decode(bytes: &[u8], rate: u32) -> Result<Vec<f32>, AudioError> {
    let bytes = without_odd_chunks(bytes);
    let reader = WavReader::new(&*bytes).map_err(|error| match error {
        hound::Error::IoError(_) => AudioError::TruncatedHeader,
        error => AudioError::NotWav(error),
    })?;
    let spec = reader.spec();
    let (channels, stated) = (usize::from(spec.channels), reader.len());
    if channels == 0 || spec.sample_rate < RATE_MIN {
        return Err(AudioError::Header { channels, rate: spec.sample_rate });
    }
    let samples = samples(reader).map_err(|_| AudioError::Truncated { samples: stated })?;
    if let Some(index) = samples.iter().position(|sample| !sample.is_finite()) {
        return Err(AudioError::NotFinite { index, value: samples[index] });
    }
    let mixed: Vec<f32> = samples.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32).collect();
    if mixed.is_empty() {
        return Err(AudioError::Empty);
    }
    resample(mixed, spec.sample_rate, rate).ok_or(AudioError::Rate { from: spec.sample_rate, to: rate })
}

/// Removes the chunks before the audio data that are neither it nor its format, if one of them has an odd length: the WAV reader does not skip
/// the padding byte that follows such a chunk.
fn without_odd_chunks(bytes: &[u8]) -> Cow<'_, [u8]> {
    let Some((riff, mut rest)) = bytes.split_at_checked(12).filter(|(riff, _)| riff.starts_with(b"RIFF")) else { return bytes.into() };
    let (mut format, mut odd) = (None, false);
    while let Some((header, body)) = rest.split_first_chunk::<8>() {
        let [_, _, _, _, length @ ..] = *header;
        let length = u32::from_le_bytes(length) as usize;
        if header.starts_with(b"data") {
            let Some(format) = format.filter(|_| odd) else { break };
            return [riff, format, rest].concat().into();
        }
        let Some(next) = body.get(length.saturating_add(length % 2)..) else { break };
        if header.starts_with(b"fmt ") {
            format = rest.get(..8 + length + length % 2);
        } else {
            odd |= length % 2 == 1;
        }
        rest = next;
    }
    bytes.into()
}

/// All samples, from -1 to 1.
fn samples(reader: WavReader<&[u8]>) -> hound::Result<Vec<f32>> {
    let spec = reader.spec();
    match spec.sample_format {
        SampleFormat::Float => reader.into_samples::<f32>().collect(),
        SampleFormat::Int => {
            let full_scale = (1u64 << (spec.bits_per_sample.clamp(1, 32) - 1)) as f32;
            reader.into_samples::<i32>().map(|sample| sample.map(|sample| sample as f32 / full_scale)).collect()
        }
    }
}

/// The audio front end of an image.
///
/// # Errors
/// [`AudioError::NoFrontend`] with the image.
pub fn frontend<'a>(image: &Image<'a>, path: &Path) -> Result<Frontend<'a>, Error> {
    image.frontend().ok_or_else(|| Error::file(path)(AudioError::NoFrontend))
}

/// Computes all features of a clip, `(rows, features)`.
pub fn features(frontend: &Frontend<'_>, samples: &[f32]) -> Vec<f32> {
    let mut scratch = vec![0.0; frontend.scratch_len()];
    let mut rows = vec![0.0; frontend.rows() * frontend.features()];
    frontend.clip(samples, &mut scratch, &mut rows).expect("both buffers have the size that the front end states");
    rows
}
