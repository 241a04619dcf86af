//! Reading files in place, and writing them whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::error::Error;

/// Maps a regular, non-empty file.
///
/// # Errors
/// [`Error::Io`] when it cannot be opened, [`Error::File`] when it is empty or not a regular file.
pub fn map(path: &Path) -> Result<Mmap, Error> {
    let metadata = std::fs::metadata(path).map_err(Error::io(path))?;
    let refuse = |what: &str| Err(Error::File { path: path.to_owned(), what: what.to_owned() });
    if metadata.is_dir() {
        return refuse("it is a directory, not a file");
    }
    if !metadata.is_file() {
        return refuse("it is not a regular file");
    }
    if metadata.len() == 0 {
        return refuse("it is empty");
    }
    let file = File::open(path).map_err(Error::io(path))?;
    // SAFETY: the map is only read, as bytes that may hold anything. Another process that shortens the file meanwhile
    // ends this one with SIGBUS; a copy of every weights file is the price of avoiding that, and is not paid here.
    unsafe { Mmap::map(&file) }.map_err(Error::io(path))
}

/// Reads a text.
///
/// # Errors
/// Those of [`map`], and [`Error::File`] with the place of the first byte that is not UTF-8.
pub fn text(path: &Path) -> Result<String, Error> {
    let bytes = map(path)?;
    let text =
        std::str::from_utf8(&bytes).map_err(|error| Error::file(path)(format!("it is not UTF-8 from byte {} on", error.valid_up_to())))?;
    Ok(text.to_owned())
}

/// Where a file that is written to `path` goes: behind a link where there is one. Folders, devices and pipes are refused.
fn place_of(path: &Path) -> Result<PathBuf, Error> {
    let Ok(real) = path.canonicalize() else { return Ok(path.to_owned()) };
    if real.is_dir() {
        return Err(Error::Io { path: path.to_owned(), source: io::ErrorKind::IsADirectory.into() });
    }
    if real.is_file() { Ok(real) } else { Err(Error::file(path)("it is not a regular file: name another output".to_owned())) }
}

/// Refuses an output that is the same file as an input.
///
/// # Errors
/// [`Error::File`] when both paths lead to one file.
pub fn check_distinct(output: &Path, input: &Path) -> Result<(), Error> {
    match (output.canonicalize(), input.canonicalize()) {
        (Ok(output_at), Ok(input_at)) if output_at == input_at => {
            Err(Error::file(output)("it is the input itself: name another output".to_owned()))
        }
        _ => Ok(()),
    }
}

/// Writes `path` through a new file beside it, which takes its name only when all bytes are on the disk.
///
/// # Errors
/// What `write` returns, or [`Error::Io`]; nothing is left behind then, and a file that was there before is as it was.
pub fn write_whole<T>(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<T, Error>) -> Result<T, Error> {
    let path = &place_of(path)?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(".atto.partial");
    #[cfg(unix)]
    {
        // A temporary file is private; a finished one gets the permissions that any new file gets.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let file = builder.tempfile_in(folder).map_err(Error::io(path))?;
    let mut writer = BufWriter::new(file.as_file());
    let result = write(&mut writer)?;
    writer.flush().and_then(|()| file.as_file().sync_all()).map_err(Error::io(path))?;
    drop(writer);
    file.persist(path).map_err(|error| Error::Io { path: path.to_owned(), source: error.error })?;
    Ok(result)
}

/// Bytes on the heap that start at a multiple of 64, as images and arenas want.
pub struct AlignedBytes {
    // A Vec's elements never move while it is not grown, so the start is found once.
    buffer: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBytes {
    const ALIGN: usize = 64;

    /// `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        let buffer = vec![0; len + Self::ALIGN - 1];
        let start = buffer.as_ptr().align_offset(Self::ALIGN);
        AlignedBytes { buffer, start, len }
    }

    /// `len` zeros, if the system has that many.
    pub fn try_zeroed(len: usize) -> Option<Self> {
        // Asked for once in a way that may fail and touches no page, because only the way that may not fail gives zeros for free.
        let padded = len.checked_add(Self::ALIGN)?;
        Vec::<u8>::new().try_reserve_exact(padded).ok()?;
        Some(Self::zeroed(len))
    }

    /// A copy of `bytes`.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut aligned = Self::zeroed(bytes.len());
        aligned.copy_from_slice(bytes);
        aligned
    }
}

impl Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[self.start..self.start + self.len]
    }
}

impl DerefMut for AlignedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.start + self.len]
    }
}
