//! `atto info`.

use std::path::PathBuf;

use attoformer::image::Image;
use attoformer_protocol::boards::Board;
use attoformer_tools::flash::fit::Fit;
use attoformer_tools::report::summary::ImageSummary;
use attoformer_tools::{Error, files};

use super::boards;
use super::output::{print, print_json};

/// Show information about an image
#[derive(clap::Args)]
pub struct Args {
    /// Image
    file: PathBuf,
    /// Print only the Cargo features of the engine crate that the image needs, ready for Cargo.toml
    #[arg(long)]
    features: bool,
    /// Say whether the image fits a board, see `atto boards`
    #[arg(long, value_name = "NAME", value_parser = boards::parse)]
    board: Option<&'static Board>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// The report of `--json`.
#[derive(serde::Serialize)]
struct Report {
    #[serde(flatten)]
    summary: ImageSummary,
    #[serde(skip_serializing_if = "Option::is_none")]
    board: Option<Fit>,
}

/// Checks the image and prints its summary or its features.
pub fn run(args: Args) -> Result<(), Error> {
    let bytes = files::map(&args.file)?;
    let image = Image::new(&bytes).map_err(Error::engine(&args.file))?;
    let summary = ImageSummary::of_image(&image).map_err(Error::engine(&args.file))?;
    let board = args.board.map(|board| Fit::new(board, &image));
    match (args.json, args.features) {
        (true, _) => print_json(&Report { summary, board }),
        // The debug format of a list of names is a TOML array.
        (false, true) => print(&format!("features = {:?}\n", summary.features)),
        (false, false) => print(&format!("{summary}{}", board.map_or(String::new(), |fit| fit.to_string()))),
    }
}
