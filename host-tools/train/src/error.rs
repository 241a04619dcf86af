//! What can go wrong, each as a sentence.

use std::path::{Path, PathBuf};

/// Why a training run, or reading one of its files, failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A configuration that makes no sense.
    #[error("the configuration cannot be used: {0}")]
    Config(String),
    /// A file that cannot be read or written.
    #[error("{path} cannot be read or written: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file that can be read but is not what it should be.
    #[error("the file is damaged or of another kind: {0}")]
    Format(String),
    /// The tokenizer cannot be trained on this corpus.
    #[error("no tokenizer could be trained: {0}")]
    Tokenizer(String),
    /// The tensor library reports a failure.
    #[error("a tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// The thread pool cannot be started.
    #[error("the threads could not be started: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

impl TrainError {
    /// Turns an I/O error into one that names the file.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

/// Lets `write` make a file beside `path` and then renames it, so that no reader ever sees half a file and none is left behind.
pub(crate) fn write_beside(path: &Path, write: impl FnOnce(&Path) -> Result<(), TrainError>) -> Result<(), TrainError> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = write(&part).and_then(|()| std::fs::rename(&part, path).map_err(TrainError::io(path)));
    if written.is_err() {
        // That the half file cannot be removed either would be no news.
        let _ = std::fs::remove_file(&part);
    }
    written
}

/// [`write_beside`] for bytes that are there.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    write_beside(path, |part| std::fs::write(part, bytes).map_err(TrainError::io(path)))
}
