//! `atto classify`.

use std::path::PathBuf;

use attoformer::Image;
use attoformer_tools::engine::{OpenImage, Setup, select_kernels};
use attoformer_tools::run::classify::{Prediction, logits_of_file, logits_of_text, predictions};
use attoformer_tools::{Error, files};
use serde::Serialize;

/// Tell what an input is: a sound, a picture, rows of features, or a text
#[derive(clap::Args)]
pub struct Args {
    /// The image
    file: PathBuf,
    /// The input: X.wav, X.png, X.jpg, or rows of features as X.npy or X.csv
    #[arg(long, value_name = "FILE", required_unless_present = "text", conflicts_with = "text")]
    input: Option<PathBuf>,
    /// A text, for models that read one
    #[arg(long, allow_hyphen_values = true)]
    text: Option<String>,
    /// Labels to show
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// The loops to run, such as scalar or avx2 [default: the fastest of this CPU]
    #[arg(long, value_name = "NAME")]
    kernels: Option<String>,
    /// Print one JSON object
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
    let setup = Setup { kernels: select_kernels(args.kernels.as_deref())?, ..Setup::default() };
    let mut arena = setup.arena(image.config(), &args.file)?;
    let mut session = setup.session(&image, &mut arena).map_err(refuse)?;
    let subject = OpenImage { image: &image, path: &args.file };
    let logits = match &args.input {
        Some(input) => {
            let (logits, unheard) = logits_of_file(&mut session, subject, input)?;
            if unheard > 0.0 {
                eprintln!("note: the sound is longer than the clips of the model; its last {unheard:.2} s are left out");
            }
            logits
        }
        None => {
            let (logits, left_out) = logits_of_text(&mut session, args.text.as_deref().unwrap_or_default()).map_err(refuse)?;
            if left_out > 0 {
                eprintln!("note: the text is longer than the context; its last {left_out} tokens are left out");
            }
            logits
        }
    };
    let mut labels = predictions(&image, logits).map_err(refuse)?;
    labels.truncate(args.top as usize);
    if args.json {
        return super::print_json(&Report { labels });
    }
    let width = labels.iter().map(|prediction| prediction.label.chars().count()).max().unwrap_or(0);
    let lines: String = labels.iter().map(|prediction| format!("{:width$}  {:5.1} %\n", prediction.label, 100.0 * prediction.p)).collect();
    super::print(&lines)
}
