//! `atto-probe`: writes files to the flash of a chip through a debug probe. `atto flash` starts it; it is a program of its own because the libraries of
//! the probes take minutes to build.
//!
//! It reads one JSON object from standard input ([`request::Request`]), prints lines `progress DONE TOTAL` and messages on stderr, and ends with 0, or
//! with 1 and one line `error: ...`.

mod check;
mod error;
mod request;
mod write;

use std::process::ExitCode;

use error::ProbeError;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Checks the request against the chip, then writes unless that is all that was asked for.
fn run() -> Result<(), ProbeError> {
    let request = request::read(std::io::stdin().lock())?;
    let segments = request.read_segments()?;
    let (target, loader) = check::plan(&request.chip, &segments)?;
    if request.dry_run { check::dry_run(target, &loader) } else { write::write(target, &loader, request.probe.as_deref()) }
}
