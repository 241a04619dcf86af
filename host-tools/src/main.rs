//! `atto`: packs a trained transformer into an image, runs it and measures it.

mod cli;

use std::alloc::System;
use std::process::ExitCode;

use cap::Cap;

/// Without a limit, except for what a stranger's program does (`atto chat`'s templates).
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

fn main() -> ExitCode {
    cli::main(|bytes| MEMORY.set_limit(bytes).expect("little is allocated yet"))
}
