//! Sound files, and the rows of features that an image's front end makes of them.

use std::path::Path;

use attoformer::Image;
use attoformer::frontend::Frontend;
use hound::{SampleFormat, WavReader};

use crate::error::Error;
use crate::files;

/// Reads a WAV file as samples from -1 to 1, its channels mixed down. Sixteen bits become `sample / 32768` exactly.
///
/// # Errors
/// One sentence that names the file: it is no WAV file, cut, empty, of another rate than `rate`, or holds values that are not finite.
pub fn read_wav(path: &Path, rate: u32) -> Result<Vec<f32>, Error> {
    let refuse = |what: String| Error::file(path)(what);
    let bytes = files::map(path)?;
    let reader = WavReader::new(&bytes[..]).map_err(|error| refuse(format!("it is no WAV file that can be read: {error}")))?;
    let form = reader.spec();
    if form.sample_rate != rate {
        let what = format!(
            "it has {} samples a second, the model reads {rate}: convert it, such as with `sox IN -r {rate} OUT`",
            form.sample_rate
        );
        return Err(refuse(what));
    }
    if form.channels == 0 {
        return Err(refuse("it has no channels".to_owned()));
    }
    let cut = |error: hound::Error| refuse(format!("it is cut or damaged: {error}"));
    let samples: Vec<f32> = match form.sample_format {
        SampleFormat::Float => reader.into_samples::<f32>().collect::<Result<_, _>>().map_err(cut)?,
        SampleFormat::Int => {
            let full = (1u64 << (form.bits_per_sample.clamp(1, 32) - 1)) as f32;
            reader.into_samples::<i32>().map(|sample| sample.map(|sample| sample as f32 / full)).collect::<Result<_, _>>().map_err(cut)?
        }
    };
    if let Some(at) = samples.iter().position(|sample| !sample.is_finite()) {
        return Err(refuse(format!("its sample {at} is {}", samples[at])));
    }
    let channels = usize::from(form.channels);
    let mixed: Vec<f32> = samples.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32).collect();
    if mixed.is_empty() {
        return Err(refuse("it holds no sound".to_owned()));
    }
    Ok(mixed)
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
