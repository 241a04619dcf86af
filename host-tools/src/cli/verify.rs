//! `atto verify`.

use std::path::PathBuf;

use attoformer_tools::{Error, sign};

use super::output::print;

/// Verify the signature of an image
#[derive(clap::Args)]
pub struct Args {
    /// Image
    file: PathBuf,
    /// Public key, an ed25519 key in PEM form as `atto keygen` and openssl write it
    #[arg(long)]
    key: PathBuf,
}

/// Verifies the signature.
pub fn run(args: Args) -> Result<(), Error> {
    let key = sign::read_public(&args.key)?;
    sign::verify(&args.file, &key)?;
    print(&format!("{}: the signature is valid\n", args.file.display()))
}
