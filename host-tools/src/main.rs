//! `atto`: packs a trained transformer into an image, runs it and measures it.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
