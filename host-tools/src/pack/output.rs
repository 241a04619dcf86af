//! Checks and writes the output file of the packer.

use std::io::{Read, Write};
use std::path::Path;

use super::assemble::Packed;
use super::error::OutputError;
use crate::error::Error;
use crate::files;

/// Refuses to overwrite anything but an older image: checkpoints, tokenizers and texts often share its folder.
///
/// # Errors
/// `OutputError::NotAnImage` if another kind of file exists at `path`.
pub fn check_output(path: &Path) -> Result<(), Error> {
    let mut start = Vec::new();
    // Opening a pipe would block until its other end is opened.
    if path.is_file() {
        let file = std::fs::File::open(path).map_err(Error::io(path))?;
        file.take(4).read_to_end(&mut start).map_err(Error::io(path))?;
    }
    if !start.is_empty() && start != *b"ATTO" {
        return Err(Error::file(path)(OutputError::NotAnImage));
    }
    Ok(())
}

/// Compares the size of an image with the flash budget.
///
/// # Errors
/// `OutputError::Budget` if the image is larger.
pub fn check_budget(path: &Path, packed: &Packed, budget: Option<u64>) -> Result<(), Error> {
    let bytes = packed.image.len() as u64;
    match budget {
        Some(budget) if bytes > budget => Err(Error::file(path)(OutputError::Budget { bytes, budget })),
        _ => Ok(()),
    }
}

/// Writes an image atomically.
///
/// # Errors
/// [`Error::Io`]; no partial file remains then.
pub fn write(path: &Path, packed: &Packed) -> Result<(), Error> {
    files::write_whole(path, |file| file.write_all(&packed.image).map_err(Error::io(path)))
}
