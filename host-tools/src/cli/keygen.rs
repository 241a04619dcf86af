//! `atto keygen`.

use std::path::PathBuf;

use attoformer_tools::{Error, sign};

use super::output::print;

/// Make a key pair for signing images
#[derive(clap::Args)]
pub struct Args {
    /// File of the private key, which must not exist; the public key is written beside it, with .pub after its name
    #[arg(short, long, value_name = "KEY")]
    output: PathBuf,
}

/// Writes both keys.
pub fn run(args: Args) -> Result<(), Error> {
    sign::write_pair(&args.output)?;
    let (private, public) = (args.output.display(), sign::public_path(&args.output));
    print(&format!(
        "{private}: private key, for `atto sign`; keep it secret\n{}: public key, for `atto verify` and devices\n",
        public.display()
    ))
}
