//! The error type of the host tools. Its text is one sentence that names the file, the cause and, where one exists, the remedy.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

/// A typed error of one module, such as [`PackError`](crate::pack::PackError), or a plain text.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// Failure of a host tool.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system cannot read or write a file.
    #[error("{}: {}", path.display(), describe(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The content of a file is invalid or does not fit the request.
    #[error("{}: {}", path.display(), one_line(&cause.to_string()))]
    File {
        /// The file.
        path: PathBuf,
        /// The cause, a sentence without the file's name.
        cause: Cause,
    },
    /// The engine refuses an image or a call on it.
    #[error("{}: {source}", path.display())]
    Engine {
        /// The image, or the file it was made from.
        path: PathBuf,
        /// Error of the engine.
        source: attoformer::Error,
    },
    /// The arena of a session cannot be allocated.
    #[error("{}: cannot allocate {bytes} bytes for the arena; a smaller context needs less", path.display())]
    Memory {
        /// The image, or the file it was made from.
        path: PathBuf,
        /// Bytes of the arena.
        bytes: usize,
    },
    /// The request itself is invalid, independently of any file.
    #[error("{}", one_line(&.0.to_string()))]
    Request(Cause),
}

impl From<crate::device::DeviceError> for Error {
    fn from(error: crate::device::DeviceError) -> Self {
        Error::Request(error.into())
    }
}

impl Error {
    /// Adds the file to an error of the operating system.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
        move |source| Error::Io { path: path.to_owned(), source }
    }

    /// Adds the file to the error of a module that reads or checks its content.
    pub fn file<C: Into<Cause>>(path: &Path) -> impl FnOnce(C) -> Error + use<'_, C> {
        move |cause| Error::File { path: path.to_owned(), cause: cause.into() }
    }

    /// Adds the image to an error of the engine.
    pub fn engine(path: &Path) -> impl FnOnce(attoformer::Error) -> Error + '_ {
        move |source| Error::Engine { path: path.to_owned(), source }
    }

    /// A request that cannot be met.
    pub fn request(cause: impl Into<Cause>) -> Error {
        Error::Request(cause.into())
    }
}

/// Longest message in characters.
const MESSAGE_MAX: usize = 1200;

/// Escapes control characters and bounds the length: a message can quote names from a file, and those can hold anything.
fn one_line(message: &str) -> String {
    let escaped = |character: char| {
        let control = character.is_control();
        control.then(|| character.escape_default()).into_iter().flatten().chain((!control).then_some(character))
    };
    let mut line = message.chars().flat_map(escaped);
    let start: String = line.by_ref().take(MESSAGE_MAX).collect();
    if line.next().is_some() { start + "..." } else { start }
}

/// Plain words for common errors of the operating system; its own text for the others.
fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory, not a file".to_owned(),
        io::ErrorKind::NotADirectory => "a component of the path is not a directory".to_owned(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full".to_owned(),
        io::ErrorKind::FileTooLarge => "the file would exceed the size limit of this process".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Error;

    #[test]
    fn a_message_is_one_line_whatever_the_file_holds() {
        let message = |what: &str| Error::file(Path::new("a.gguf"))(what).to_string();
        assert_eq!(message("the tensor a\nb\x1b[2J is missing"), "a.gguf: the tensor a\\nb\\u{1b}[2J is missing");
        assert_eq!(message("Zoë \"日本\" 'x'"), "a.gguf: Zoë \"日本\" 'x'");
        assert!(message(&"x".repeat(70_000)).len() < 1300);
        assert!(message(&"\0".repeat(70_000)).len() < 1300);
    }
}
