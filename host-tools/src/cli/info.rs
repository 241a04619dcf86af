//! `atto info`.

use std::path::PathBuf;

use attoformer::image::Image;
use attoformer_tools::report::summary::ImageSummary;
use attoformer_tools::{Error, files};

/// Tell what an image holds
#[derive(clap::Args)]
pub struct Args {
    /// The image
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Checks the image and reports.
pub fn run(args: Args) -> Result<(), Error> {
    let bytes = files::map(&args.file)?;
    let facts = Image::new(&bytes).and_then(|image| ImageSummary::of_image(&image)).map_err(Error::engine(&args.file))?;
    if args.json { super::print_json(&facts) } else { super::print(&facts.to_string()) }
}
