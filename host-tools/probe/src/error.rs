//! Reasons why nothing was written.

use std::error::Error;
use std::path::PathBuf;

/// Failure of a request, as one sentence.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Standard input is not a request.
    #[error("standard input is not a request of `atto flash`: {0}")]
    Request(String),
    /// A file of the request cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// probe-rs does not know the chip.
    #[error("probe-rs does not know the chip {chip}: {cause}")]
    Chip {
        /// Name of the chip.
        chip: String,
        /// Reason.
        cause: String,
    },
    /// A segment is not in the chip's flash.
    #[error("{bytes} bytes at {address:#010x} cannot be written to the flash of {chip}: {cause}")]
    Segment {
        /// Name of the chip.
        chip: String,
        /// Address of the segment.
        address: u64,
        /// Its size.
        bytes: usize,
        /// Reason.
        cause: String,
    },
    /// Nothing is connected.
    #[error(
        "no debug probe is connected, or this user may not open it; connect one, or see https://probe.rs/docs/getting-started/probe-setup/"
    )]
    NoProbe,
    /// More than one probe is connected.
    #[error("several debug probes are connected; choose one with --probe: {0}")]
    SeveralProbes(String),
    /// The probe cannot be used.
    #[error("cannot open the debug probe: {0}")]
    Open(String),
    /// The chip does not answer, or is another one.
    #[error("the debug probe does not reach a {chip}: {cause}; check the board's power, and that it is the board named")]
    Attach {
        /// Name of the chip.
        chip: String,
        /// Reason.
        cause: String,
    },
    /// Erasing, writing or verifying failed.
    #[error("writing the flash of {chip} failed: {cause}; the board may hold a part of the new program, so write it again")]
    Flash {
        /// Name of the chip.
        chip: String,
        /// Reason.
        cause: String,
    },
}

/// An error with its causes as one line.
pub fn chain(error: &dyn Error) -> String {
    let one_line = |error: &dyn Error| error.to_string().split_whitespace().collect::<Vec<&str>>().join(" ");
    let mut texts = vec![one_line(error)];
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(one_line(error));
        cause = error.source();
    }
    texts.dedup();
    texts.join(": ").trim_end_matches('.').to_owned()
}
