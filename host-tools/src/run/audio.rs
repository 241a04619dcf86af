//! Sound files, and the rows of features that an image's front end makes of them.

use std::borrow::Cow;
use std::path::Path;

use attoformer::Image;
use attoformer::frontend::Frontend;
use hound::{SampleFormat, WavReader};

use crate::error::Error;
use crate::files;
use crate::run::resample::resample;

/// Fewer samples a second hold no sound; made more, a short file would fill the memory.
const RATE_MIN: u32 = 1000;

/// Reads a WAV file as samples from -1 to 1, its channels mixed down, resampled to `rate` where it has another. Sixteen bits become
/// `sample / 32768` exactly.
///
/// # Errors
/// One sentence that names the file: it is no WAV file, cut, empty, of a rate that cannot be converted, or holds values that are not finite.
pub fn read_wav(path: &Path, rate: u32) -> Result<Vec<f32>, Error> {
    let refuse = |what: String| Error::file(path)(what);
    let bytes = files::map(path)?;
    let bytes = essential(&bytes);
    let reader = WavReader::new(&*bytes).map_err(|error| refuse(unreadable(&error)))?;
    let form = reader.spec();
    let (channels, stated) = (usize::from(form.channels), reader.len());
    if channels == 0 || form.sample_rate < RATE_MIN {
        let what = format!("its header says {channels} channels, {} samples a second", form.sample_rate);
        return Err(refuse(format!("{what}, which is no sound: convert it again")));
    }
    let samples = samples(reader);
    let Ok(samples) = samples else {
        return Err(refuse(format!(
            "it is cut or damaged: its header says {stated} samples, which are not there: copy or convert it again"
        )));
    };
    if let Some(at) = samples.iter().position(|sample| !sample.is_finite()) {
        return Err(refuse(format!("its sample {at} is {}", samples[at])));
    }
    let mixed: Vec<f32> = samples.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32).collect();
    if mixed.is_empty() {
        return Err(refuse("it holds no sound".to_owned()));
    }
    resample(mixed, form.sample_rate, rate).ok_or_else(|| {
        let remedy = format!("convert it first, such as with `sox IN -r {rate} OUT`");
        refuse(format!("its {} samples a second cannot be made {rate} here: {remedy}", form.sample_rate))
    })
}

/// Without the chunks before the sound that are neither it nor its format: the crate goes astray behind one of an odd length, which a byte
/// follows that its length does not count.
fn essential(bytes: &[u8]) -> Cow<'_, [u8]> {
    let Some((riff, mut rest)) = bytes.split_at_checked(12).filter(|(riff, _)| riff.starts_with(b"RIFF")) else { return bytes.into() };
    let (mut format, mut odd) = (None, false);
    while let Some((header, behind)) = rest.split_first_chunk::<8>() {
        let [_, _, _, _, length @ ..] = *header;
        let length = u32::from_le_bytes(length) as usize;
        if header.starts_with(b"data") {
            let Some(format) = format.filter(|_| odd) else { break };
            return [riff, format, rest].concat().into();
        }
        let Some(next) = behind.get(length.saturating_add(length % 2)..) else { break };
        if header.starts_with(b"fmt ") {
            format = rest.get(..8 + length + length % 2);
        } else {
            odd |= length % 2 == 1;
        }
        rest = next;
    }
    bytes.into()
}

/// Why a file is no WAV file that can be read, and what helps.
fn unreadable(error: &hound::Error) -> String {
    match error {
        hound::Error::IoError(_) => "it is cut: it ends within its header: copy or convert it again".to_owned(),
        error => format!("it is no WAV file that can be read ({error}): convert it first, such as with `sox IN -b 16 OUT`"),
    }
}

/// All samples, from -1 to 1.
fn samples(reader: WavReader<&[u8]>) -> hound::Result<Vec<f32>> {
    let form = reader.spec();
    match form.sample_format {
        SampleFormat::Float => reader.into_samples::<f32>().collect(),
        SampleFormat::Int => {
            let full = (1u64 << (form.bits_per_sample.clamp(1, 32) - 1)) as f32;
            reader.into_samples::<i32>().map(|sample| sample.map(|sample| sample as f32 / full)).collect()
        }
    }
}

/// An image's front end.
///
/// # Errors
/// One sentence that names the image: it does not read sound.
pub fn frontend<'a>(image: &Image<'a>, path: &Path) -> Result<Frontend<'a>, Error> {
    image.frontend().ok_or_else(|| Error::file(path)("it does not read sound: it has no front end".to_owned()))
}

/// All rows of features of a clip, `(rows, features)`.
pub fn features(frontend: &Frontend<'_>, samples: &[f32]) -> Vec<f32> {
    let mut scratch = vec![0.0; frontend.scratch_len()];
    let mut rows = vec![0.0; frontend.rows() * frontend.features()];
    frontend.clip(samples, &mut scratch, &mut rows).expect("both buffers have the size that the front end states");
    rows
}
