//! `atto completions`.

use attoformer_tools::Error;
use clap_complete::Shell;

use super::output::print;

/// Print a completion script for a shell
#[derive(clap::Args)]
pub struct Args {
    /// Shell
    shell: Shell,
}

/// Generates the script of `command` and prints it.
pub fn run(args: Args, command: &mut clap::Command) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "atto", &mut script);
    print(&String::from_utf8_lossy(&script))
}
