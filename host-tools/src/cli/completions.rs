//! `atto completions`.

use attoformer_tools::Error;
use clap::CommandFactory;
use clap_complete::Shell;

/// Write completions for a shell to stdout
#[derive(clap::Args)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Generates and prints.
pub fn run(args: Args) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "atto", &mut script);
    super::print(&String::from_utf8_lossy(&script))
}
