//! `atto sign`.

use std::path::PathBuf;

use attoformer_tools::{Error, sign};

use super::output::print;

/// Sign an image in place
#[derive(clap::Args)]
pub struct Args {
    /// Image
    file: PathBuf,
    /// Private key, an ed25519 key in PEM form as `atto keygen` and openssl write it
    #[arg(long)]
    key: PathBuf,
}

/// Signs the image, or replaces its signature.
pub fn run(args: Args) -> Result<(), Error> {
    let key = sign::read_private(&args.key)?;
    sign::sign(&args.file, &key)?;
    print(&format!("{}: signed\n", args.file.display()))
}
