//! Why a command failed: one sentence that names the file and the cause.

use std::io;
use std::path::{Path, PathBuf};

/// A failure of a host tool. Its text is one sentence.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {}", path.display(), sentence(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file's content is not what it should be.
    #[error("{}: {}", path.display(), one_line(what))]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The engine refused an image, or a call on it.
    #[error("{}: {source}", path.display())]
    Engine {
        /// The image, or the file it was made from.
        path: PathBuf,
        /// What the engine said.
        source: attoformer::Error,
    },
    /// A session needs more memory than there is.
    #[error("{}: it needs {bytes} bytes of memory, which are not to be had; a smaller context needs less", path.display())]
    Memory {
        /// The image, or the file it was made from.
        path: PathBuf,
        /// Bytes of the arena.
        bytes: usize,
    },
    /// What was asked for cannot be done.
    #[error("{0}")]
    Request(String),
}

impl Error {
    /// A system error with the file it is about.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
        move |source| Error::Io { path: path.to_owned(), source }
    }

    /// A wrong content with the file it is in.
    pub fn file(path: &Path) -> impl FnOnce(String) -> Error + '_ {
        move |what| Error::File { path: path.to_owned(), what }
    }

    /// An engine's error with the image it is about.
    pub fn engine(path: &Path) -> impl FnOnce(attoformer::Error) -> Error + '_ {
        move |source| Error::Engine { path: path.to_owned(), source }
    }
}

/// Characters of a sentence at most.
const LONGEST: usize = 1200;

/// A sentence that may quote a file, whose names can hold anything: without line ends and other control characters, and not of any length.
fn one_line(sentence: &str) -> String {
    let escaped = |character: char| {
        let control = character.is_control();
        control.then(|| character.escape_default()).into_iter().flatten().chain((!control).then_some(character))
    };
    let mut line = sentence.chars().flat_map(escaped);
    let start: String = line.by_ref().take(LONGEST).collect();
    if line.next().is_some() { start + "..." } else { start }
}

/// The common system errors in words; the others as the system puts them.
fn sentence(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "no permission".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory, not a file".to_owned(),
        io::ErrorKind::NotADirectory => "a part of the path is not a directory".to_owned(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "the disk is full".to_owned(),
        io::ErrorKind::FileTooLarge => "the file would grow beyond the limit set for it".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Error;

    #[test]
    fn what_a_file_holds_cannot_break_its_sentence() {
        let said = |what: &str| Error::file(Path::new("a.gguf"))(what.to_owned()).to_string();
        assert_eq!(said("the tensor a\nb\x1b[2J is missing"), "a.gguf: the tensor a\\nb\\u{1b}[2J is missing");
        assert_eq!(said("Zoë \"日本\" 'x'"), "a.gguf: Zoë \"日本\" 'x'");
        assert!(said(&"x".repeat(70_000)).len() < 1300);
        assert!(said(&"\0".repeat(70_000)).len() < 1300);
    }
}
