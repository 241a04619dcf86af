//! Sounds and pictures of a folder as calibration samples, and generated sounds.

use std::path::{Path, PathBuf};

use attoformer::frontend::Frontend;
use attoformer::image::Config;

use super::super::error::PackError;
use super::super::frontend;
use super::samples::Input;
use super::sound;
use crate::error::Error;
use crate::files::AlignedBytes;
use crate::import::Checkpoint;
use crate::report::progress::Progress;
use crate::run::audio;
#[cfg(not(feature = "pictures"))]
use crate::run::classify::InputError;
#[cfg(feature = "pictures")]
use crate::run::pictures;

/// Rows of all samples together, about; more files are thinned out evenly.
const ROWS: usize = 12_288;
/// Samples at least and at most.
const SAMPLES: [usize; 2] = [4, 96];

/// Number of samples of a model whose samples all have `rows` rows.
fn count(rows: usize) -> usize {
    (ROWS / rows.max(1)).clamp(SAMPLES[0], SAMPLES[1])
}

/// Rows of one sample.
fn rows(config: &Config) -> usize {
    if config.has_cross() { config.encoder_context as usize } else { config.context as usize }
}

/// Kind of the files that a model reads; `None` for a model of tokens.
pub fn file_kind(checkpoint: &Checkpoint) -> Option<&'static str> {
    match (&checkpoint.audio, &checkpoint.pictures) {
        (Some(_), _) => Some(".wav"),
        (_, Some(_)) => Some(".png or .jpg"),
        _ => None,
    }
}

/// Features of the files of a folder in the order of their names. Files that cannot be read are reported and skipped.
///
/// # Errors
/// [`PackError::Folder`] if no file can be read.
pub fn of_folder(checkpoint: &Checkpoint, folder: &Path, progress: &Progress) -> Result<Vec<Input>, PackError> {
    let extensions: &[&str] = if checkpoint.audio.is_some() { &["wav"] } else { &["png", "jpg", "jpeg"] };
    let files = files(folder, extensions).unwrap_or_default();
    let (wanted, mut samples) = (count(rows(&checkpoint.config)), Vec::new());
    let section = checkpoint.audio.as_ref().map(section);
    for (index, path) in files.iter().enumerate() {
        // Evenly spread over the folder.
        if files.len() > wanted && index * wanted / files.len() == (index + 1) * wanted / files.len() {
            continue;
        }
        let features = match (&section, &checkpoint.pictures) {
            (Some(section), _) => features_of_sound(checkpoint, section, path),
            #[cfg(feature = "pictures")]
            (None, Some(front_end)) => pictures::read(path, front_end),
            #[cfg(not(feature = "pictures"))]
            (None, Some(_)) => Err(Error::file(path)(InputError::NotBuiltIn)),
            (None, None) => continue,
        };
        match features {
            Ok(features) => samples.push(Input::Features(features)),
            Err(error) => progress.note(&format!("note: skipped as calibration: {error}")),
        }
    }
    let kind = file_kind(checkpoint).unwrap_or_default();
    if samples.is_empty() { Err(PackError::Folder { folder: folder.to_owned(), kind }) } else { Ok(samples) }
}

/// The files of a folder with one of these extensions, sorted by name.
fn files(folder: &Path, extensions: &[&str]) -> std::io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let has_extension = |path: &PathBuf| {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        extension.is_some_and(|extension| extensions.contains(&extension.as_str()))
    };
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).filter(has_extension).collect();
    files.sort();
    Ok(files)
}

fn section(parameters: &crate::import::preprocess::audio::AudioFrontend) -> AlignedBytes {
    let mut section = Vec::new();
    frontend::section(parameters, &mut section);
    AlignedBytes::copy_of(&section)
}

fn features_of_sound(checkpoint: &Checkpoint, section: &[u8], path: &Path) -> Result<Vec<f32>, Error> {
    let front_end = Frontend::new(section).map_err(Error::engine(&checkpoint.path))?;
    Ok(audio::features(&front_end, &audio::read_wav(path, front_end.sample_rate)?))
}

/// Features of generated sounds; none for a model that does not read sound.
///
/// # Errors
/// [`PackError::Rejected`] if the engine refuses the front end.
pub fn of_generated_sound(checkpoint: &Checkpoint) -> Result<Vec<Input>, PackError> {
    let Some(parameters) = &checkpoint.audio else { return Ok(Vec::new()) };
    let section = section(parameters);
    let front_end = Frontend::new(&section).map_err(PackError::Rejected)?;
    let (window, windows) = (front_end.samples(), count(rows(&checkpoint.config)));
    // Every kind of sound is in every long window; a short window is of one kind.
    let is_mixed = windows < sound::KINDS;
    let part = if is_mixed { window.div_ceil(sound::KINDS) } else { window };
    let parts = if is_mixed { windows } else { windows.div_ceil(sound::KINDS) };
    let clips = sound::clips(front_end.sample_rate, parts * part);
    let part_of = |index: usize| clips.iter().map(move |clip| &clip[index * part..][..part]);
    let samples: Vec<Vec<i16>> = match is_mixed {
        true => (0..windows).map(|index| part_of(index).flatten().copied().take(window).collect()).collect(),
        false => (0..parts).flat_map(|index| part_of(index).map(<[i16]>::to_vec)).collect(),
    };
    let features = |samples: Vec<i16>| {
        let samples: Vec<f32> = samples.iter().map(|&sample| f32::from(sample) / 32768.0).collect();
        Input::Features(audio::features(&front_end, &samples))
    };
    Ok(samples.into_iter().map(features).collect())
}
