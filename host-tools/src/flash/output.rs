//! Writes the files of `atto flash`; refuses to overwrite other kinds of files.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use super::error::FlashError;
use super::uf2;
use crate::error::Error;
use crate::files;

/// Kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// UF2.
    Uf2,
    /// Intel HEX.
    Hex,
    /// Contiguous bytes.
    Bin,
}

impl FileKind {
    /// Refuses to overwrite a file of another kind. A binary file has no magic number; one with the same first bytes is taken for an older version.
    ///
    /// # Errors
    /// [`FlashError::Exists`]; [`Error::Io`] for an existing file that cannot be read.
    fn check(self, path: &Path, new: &[u8]) -> Result<(), Error> {
        let mut start = Vec::new();
        // Opening a pipe would block until its other end is opened.
        if path.is_file() {
            let file = File::open(path).map_err(Error::io(path))?;
            file.take(8).read_to_end(&mut start).map_err(Error::io(path))?;
        }
        let (is_same, kind) = match self {
            FileKind::Uf2 => (uf2::is_uf2(&start), "a UF2 file"),
            FileKind::Hex => (start.starts_with(b":"), "an Intel HEX file"),
            FileKind::Bin => (new.starts_with(&start[..start.len().min(4)]), "an older version of this binary file"),
        };
        if start.is_empty() || is_same { Ok(()) } else { Err(Error::file(path)(FlashError::Exists(kind))) }
    }
}

/// Writes a file whole.
///
/// # Errors
/// [`FlashError::Exists`] if another kind of file is there; [`Error::Io`], and no partial file remains then.
pub fn write_file(path: &Path, kind: FileKind, bytes: &[u8]) -> Result<(), Error> {
    kind.check(path, bytes)?;
    files::write_whole(path, |file| file.write_all(bytes).map_err(Error::io(path)))
}
