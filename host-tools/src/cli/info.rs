//! `atto info`.

use std::path::PathBuf;

use attoformer::image::Image;
use attoformer_tools::report::summary::ImageSummary;
use attoformer_tools::{Error, files};

use super::output::{print, print_json};

/// Show information about an image
#[derive(clap::Args)]
pub struct Args {
    /// Image
    file: PathBuf,
    /// Print only the Cargo features of the engine crate that the image needs, ready for Cargo.toml
    #[arg(long)]
    features: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Checks the image and prints its summary or its features.
pub fn run(args: Args) -> Result<(), Error> {
    let bytes = files::map(&args.file)?;
    let summary = Image::new(&bytes).and_then(|image| ImageSummary::of_image(&image)).map_err(Error::engine(&args.file))?;
    match (args.json, args.features) {
        (true, _) => print_json(&summary),
        // The debug format of a list of names is a TOML array.
        (false, true) => print(&format!("features = {:?}\n", summary.features)),
        (false, false) => print(&summary.to_string()),
    }
}
