//! `atto`: packs a trained transformer into an image, runs it and measures it.

mod cli;

use std::alloc::System;
use std::process::ExitCode;

use cap::Cap;

/// Allocator with a memory limit, which only the process that renders chat templates sets.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

fn main() -> ExitCode {
    cli::main(|bytes| MEMORY.set_limit(bytes).expect("fewer bytes are allocated yet"))
}
