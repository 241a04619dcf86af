//! Reads files through memory maps; writes them atomically.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::{Deref, DerefMut, Range};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memmap2::Mmap;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::error::Error;

/// A file that cannot be used as an input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// A folder was named.
    #[error("it is a directory, not a file")]
    Directory,
    /// A device, pipe or socket was named as an input.
    #[error("it is not a regular file")]
    NotRegular,
    /// A device, pipe or socket was named as an output.
    #[error("it is not a regular file; name another output")]
    OutputNotRegular,
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The text is not UTF-8.
    #[error("the text is not UTF-8: invalid byte at offset {offset}; convert the file to UTF-8")]
    NotUtf8 {
        /// Offset of the first invalid byte.
        offset: usize,
    },
    /// An output that must be new exists.
    #[error("refusing to overwrite: the file exists; name another output")]
    Exists,
    /// The output is one of the inputs.
    #[error("the output is the input itself; name another output")]
    OutputIsInput,
}

/// Maps a regular, non-empty file into memory.
///
/// # Errors
/// [`Error::Io`] if it cannot be opened, [`FileError`] if it is empty or not a regular file.
pub fn map(path: &Path) -> Result<Mmap, Error> {
    let metadata = std::fs::metadata(path).map_err(Error::io(path))?;
    let refuse = |error: FileError| Err(Error::file(path)(error));
    if metadata.is_dir() {
        return refuse(FileError::Directory);
    }
    if !metadata.is_file() {
        return refuse(FileError::NotRegular);
    }
    if metadata.len() == 0 {
        return refuse(FileError::Empty);
    }
    let file = File::open(path).map_err(Error::io(path))?;
    // SAFETY: the map is only read, as bytes of any value. If another process truncates the file meanwhile, this process
    // ends with SIGBUS; avoiding that would need a copy of every weights file.
    unsafe { Mmap::map(&file) }.map_err(Error::io(path))
}

/// Bytes of a file, mapped or in memory. Clones and parts share the file, which lives as long as any of them.
#[derive(Clone)]
pub struct FileBytes {
    file: Arc<FileContent>,
    range: Range<usize>,
}

enum FileContent {
    Mapped(Mmap),
    Memory(Vec<u8>),
}

impl FileBytes {
    /// Bytes that are released at a time, a multiple of the pages that a system maps at once around the one that is read.
    const RELEASED: usize = 1 << 16;
    /// Bytes of a step of [`FileBytes::steps`].
    const STEP: usize = 1 << 20;

    /// Maps a file, see [`map`].
    ///
    /// # Errors
    /// Those of [`map`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        map(path).map(|map| FileBytes { range: 0..map.len(), file: Arc::new(FileContent::Mapped(map)) })
    }

    /// These bytes of the file, as a value that keeps the file mapped. `part` is a slice of `self`.
    pub fn part(&self, part: &[u8]) -> Self {
        let start = self.range.start + (part.as_ptr() as usize).saturating_sub(self.as_ptr() as usize);
        debug_assert!(part.is_empty() || self.as_ptr_range().contains(&part.as_ptr()), "the part is inside the file");
        FileBytes { file: self.file.clone(), range: start..start + part.len() }
    }

    /// Calls `read` with all bytes, a step at a time, and releases each step.
    pub fn steps(&self, mut read: impl FnMut(&[u8])) {
        for step in self.chunks(Self::STEP) {
            read(step);
            self.part(step).release();
        }
    }

    /// SHA-256 of the bytes.
    pub fn sha256(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        self.steps(|bytes| hash.update(bytes));
        hash.finalize().into()
    }

    /// Lets the system take back the memory of these bytes; they are read from the file again when they are needed.
    pub fn release(&self) {
        #[cfg(unix)]
        if let FileContent::Mapped(map) = &*self.file {
            let start = self.range.start / Self::RELEASED * Self::RELEASED;
            let end = self.range.end.next_multiple_of(Self::RELEASED).min(map.len());
            // SAFETY: the map is shared with a file and only read, so dropped pages are read from the file again with the same bytes. A failure
            // changes nothing but the memory in use.
            let _ = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, end - start) };
        }
    }
}

impl From<Vec<u8>> for FileBytes {
    fn from(bytes: Vec<u8>) -> Self {
        FileBytes { range: 0..bytes.len(), file: Arc::new(FileContent::Memory(bytes)) }
    }
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let bytes: &[u8] = match &*self.file {
            FileContent::Mapped(map) => map,
            FileContent::Memory(bytes) => bytes,
        };
        &bytes[self.range.clone()]
    }
}

/// Reads a UTF-8 text.
///
/// # Errors
/// Those of [`map`], and [`FileError::NotUtf8`].
pub fn text(path: &Path) -> Result<String, Error> {
    let bytes = map(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| Error::file(path)(FileError::NotUtf8 { offset: error.valid_up_to() }))?;
    Ok(text.to_owned())
}

/// The file that a write to `path` replaces: the target of a symbolic link. Refuses directories, devices and pipes.
fn write_target(path: &Path) -> Result<PathBuf, Error> {
    let Ok(real) = path.canonicalize() else { return Ok(path.to_owned()) };
    if real.is_dir() {
        return Err(Error::Io { path: path.to_owned(), source: io::ErrorKind::IsADirectory.into() });
    }
    if real.is_file() { Ok(real) } else { Err(Error::file(path)(FileError::OutputNotRegular)) }
}

/// Refuses an output that is the same file as an input.
///
/// # Errors
/// [`FileError::OutputIsInput`] if both paths lead to one file.
pub fn check_distinct(output: &Path, input: &Path) -> Result<(), Error> {
    match (output.canonicalize(), input.canonicalize()) {
        (Ok(output_path), Ok(input_path)) if output_path == input_path => Err(Error::file(output)(FileError::OutputIsInput)),
        _ => Ok(()),
    }
}

/// Writes `path` atomically: a temporary file in the same folder is renamed once all bytes are on the disk. [`end_interrupted`] removes it.
///
/// # Errors
/// The error of `write`, or [`Error::Io`]. The temporary file is removed then, and an existing file keeps its content.
pub fn write_whole<T>(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<T, Error>) -> Result<T, Error> {
    let path = &write_target(path)?;
    write_temporary(path, ANYONE, write, |file| file.persist(path).map(drop).map_err(|error| Error::io(path)(error.error)))
}

/// Writes a file that does not exist yet, atomically. A private one can be read by its owner alone.
///
/// # Errors
/// [`FileError::Exists`], or [`Error::Io`]. Nothing is left then.
pub fn write_new(path: &Path, private: bool, bytes: &[u8]) -> Result<(), Error> {
    let write = |file: &mut BufWriter<&File>| file.write_all(bytes).map_err(Error::io(path));
    write_temporary(path, if private { OWNER } else { ANYONE }, write, |file| {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::file(path)(FileError::Exists),
            _ => Error::io(path)(error),
        };
        file.persist_noclobber(path).map(drop).map_err(|error| failed(error.error))
    })
}

/// Permissions of a new file, from which the system takes those of the umask.
const ANYONE: u32 = 0o666;
/// Permissions of a file for its owner alone.
const OWNER: u32 = 0o600;

/// Writes a temporary file in the folder of `path`; `finish` gives it its name.
fn write_temporary<T>(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut BufWriter<&File>) -> Result<T, Error>,
    finish: impl FnOnce(NamedTempFile) -> Result<(), Error>,
) -> Result<T, Error> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(".atto.partial");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = mode;
    let (file, _unfinished) = Unfinished::create(|| builder.tempfile_in(folder)).map_err(Error::io(path))?;
    let mut writer = BufWriter::new(file.as_file());
    let result = write(&mut writer)?;
    writer.flush().and_then(|()| file.as_file().sync_all()).map_err(Error::io(path))?;
    drop(writer);
    finish(file)?;
    Ok(result)
}

/// Temporary files of unfinished writes.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// An entry of [`UNFINISHED`], which is removed when this is dropped.
struct Unfinished(PathBuf);

impl Unfinished {
    /// Enters the file that `create` creates.
    fn create(create: impl FnOnce() -> io::Result<NamedTempFile>) -> io::Result<(NamedTempFile, Self)> {
        // Under the lock, so that no file is created while the process ends.
        let mut unfinished = Self::all();
        let file = create()?;
        unfinished.insert(file.path().to_owned());
        let entry = Unfinished(file.path().to_owned());
        Ok((file, entry))
    }

    fn all() -> MutexGuard<'static, BTreeSet<PathBuf>> {
        UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        Self::all().remove(&self.0);
    }
}

/// Removes the temporary files of unfinished writes and ends the process: what an interrupted program does.
pub fn end_interrupted() -> ! {
    /// 128 and the number of SIGINT, as shells report it.
    const INTERRUPTED: i32 = 130;
    let unfinished = Unfinished::all();
    for path in &*unfinished {
        // The process ends anyway.
        let _ = std::fs::remove_file(path);
    }
    std::process::exit(INTERRUPTED)
}

/// Heap bytes aligned to 64, as images and arenas require.
pub struct AlignedBytes {
    // The vector never grows, so its elements never move and the start stays valid.
    buffer: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBytes {
    const ALIGN: usize = 64;

    /// Allocates `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        let buffer = vec![0; len + Self::ALIGN - 1];
        let start = buffer.as_ptr().align_offset(Self::ALIGN);
        AlignedBytes { buffer, start, len }
    }

    /// Allocates `len` zeros; `None` if the system cannot provide them.
    pub fn try_zeroed(len: usize) -> Option<Self> {
        // Only an infallible allocation gets zeroed pages for free, so a fallible one, which touches no page, is tried first.
        let padded = len.checked_add(Self::ALIGN)?;
        Vec::<u8>::new().try_reserve_exact(padded).ok()?;
        Some(Self::zeroed(len))
    }

    /// Copies `bytes`.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut aligned = Self::zeroed(bytes.len());
        aligned.copy_from_slice(bytes);
        aligned
    }
}

/// Aligns the bytes of a vector where they are, without a second copy.
impl From<Vec<u8>> for AlignedBytes {
    fn from(mut buffer: Vec<u8>) -> Self {
        let len = buffer.len();
        buffer.resize(len + Self::ALIGN - 1, 0);
        let start = buffer.as_ptr().align_offset(Self::ALIGN);
        buffer.copy_within(..len, start);
        AlignedBytes { buffer, start, len }
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
