//! Errors of training.

use std::path::{Path, PathBuf};

/// A training run or one of its files that failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// An invalid configuration.
    #[error("invalid configuration: {0}")]
    Config(String),
    /// A file that cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// A file with invalid content.
    #[error("invalid file: {0}")]
    Format(String),
    /// The tokenizer cannot be trained on this corpus.
    #[error("cannot train a tokenizer: {0}")]
    Tokenizer(String),
    /// The tensor library fails.
    #[error("a tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// The thread pool cannot be started.
    #[error("cannot start the threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

impl TrainError {
    /// Adds the file to an error of the operating system.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

/// Writes `path` atomically: `write` creates a temporary file, which is renamed on success and removed on failure.
pub(crate) fn write_beside(path: &Path, write: impl FnOnce(&Path) -> Result<(), TrainError>) -> Result<(), TrainError> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = write(&part).and_then(|()| std::fs::rename(&part, path).map_err(TrainError::io(path)));
    if written.is_err() {
        // The first error is the one to report.
        let _ = std::fs::remove_file(&part);
    }
    written
}

/// Writes bytes atomically, see [`write_beside`].
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    write_beside(path, |part| std::fs::write(part, bytes).map_err(TrainError::io(path)))
}
