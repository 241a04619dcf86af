//! Standard output of the subcommands.

use std::io::{self, Write};

use attoformer_tools::Error;
use serde::Serialize;

/// Prints the JSON object of a command as one line.
pub fn print_json(value: &impl Serialize) -> Result<(), Error> {
    print(&(serde_json::to_string(value).expect("plain structs serialize") + "\n"))
}

/// Prints text and flushes. A reader that closed the pipe is no error.
pub fn print(text: &str) -> Result<(), Error> {
    print_unless_closed(text).map(|_| ())
}

/// Prints text and flushes; returns `false` if the reader closed the pipe.
pub fn print_unless_closed(text: &str) -> Result<bool, Error> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::Io { path: "stdout".into(), source: error }),
    }
}
