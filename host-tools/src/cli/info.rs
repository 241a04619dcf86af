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
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Checks the image and prints its summary.
pub fn run(args: Args) -> Result<(), Error> {
    let bytes = files::map(&args.file)?;
    let summary = Image::new(&bytes).and_then(|image| ImageSummary::of_image(&image)).map_err(Error::engine(&args.file))?;
    if args.json { print_json(&summary) } else { print(&summary.to_string()) }
}
