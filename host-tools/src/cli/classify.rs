//! `atto classify`.

use std::path::PathBuf;

use attoformer::Image;
use attoformer_tools::engine::OpenImage;
use attoformer_tools::run::classify::{Prediction, logits_of_file, logits_of_text, predictions};
use attoformer_tools::{Error, files};
use serde::Serialize;

use super::args::KernelArgs;
use super::output::{print, print_json};

/// Classify an audio clip, a picture, rows of features or a text
#[derive(clap::Args)]
pub struct Args {
    /// Image
    file: PathBuf,
    /// Input file: X.wav, X.png, X.jpg, or rows of features as X.npy or X.csv
    #[arg(long, value_name = "FILE", required_unless_present = "text", conflicts_with = "text")]
    input: Option<PathBuf>,
    /// Input text
    #[arg(long, allow_hyphen_values = true)]
    text: Option<String>,
    /// Labels to show
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    #[command(flatten)]
    kernels: KernelArgs,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    labels: Vec<Prediction>,
}

/// Classifies and prints.
pub fn run(args: Args) -> Result<(), Error> {
    let refuse = |error| Error::engine(&args.file)(error);
    let bytes = files::map(&args.file)?;
    let image = Image::new(&bytes).map_err(refuse)?;
    let setup = args.kernels.setup()?;
    let mut arena = setup.arena(image.config(), &args.file)?;
    let mut session = setup.session(&image, &mut arena).map_err(refuse)?;
    let logits = match &args.input {
        Some(input) => {
            let (logits, excess) = logits_of_file(&mut session, OpenImage { image: &image, path: &args.file }, input)?;
            if excess > 0.0 {
                eprintln!("note: the audio exceeds the model's clip length; its last {excess:.2} s are ignored");
            }
            logits
        }
        None => {
            let (logits, truncated) = logits_of_text(&mut session, args.text.as_deref().unwrap_or_default()).map_err(refuse)?;
            if truncated > 0 {
                eprintln!("note: the text exceeds the context; its last {truncated} tokens are truncated");
            }
            logits
        }
    };
    let mut labels = predictions(&image, logits).map_err(refuse)?;
    labels.truncate(args.top as usize);
    if args.json {
        return print_json(&Report { labels });
    }
    let width = labels.iter().map(|prediction| prediction.label.chars().count()).max().unwrap_or(0);
    let lines: String = labels.iter().map(|prediction| format!("{:width$}  {:5.1} %\n", prediction.label, 100.0 * prediction.p)).collect();
    print(&lines)
}
