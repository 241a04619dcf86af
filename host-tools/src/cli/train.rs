//! `atto train`.

use std::path::PathBuf;

use attoformer_tools::Error;

/// Train a small model (needs a build with the feature `train`)
#[derive(clap::Args)]
pub struct Args {
    /// The training configuration
    config: PathBuf,
    /// Folder to write to
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Go on from the last checkpoint in that folder
    #[arg(long)]
    resume: bool,
}

/// Trains, or says how to build an `atto` that can.
#[cfg(not(feature = "train"))]
pub fn run(args: Args) -> Result<(), Error> {
    let Args { config: _, output: _, resume: _ } = args;
    let how = "this atto was built without training: build it with `cargo build --release -p attoformer-tools --features train`";
    Err(Error::Request(how.to_owned()))
}
