//! `atto classify`.

use std::path::{Path, PathBuf};

use attoformer::Image;
use attoformer::image::header::Front;
use attoformer_tools::classify::{Guess, guesses};
use attoformer_tools::engine::{Setup, kernels_named};
use attoformer_tools::{Error, features, files, sound};
use serde::Serialize;

/// Tell what an input is: a sound, rows of features, or a text
#[derive(clap::Args)]
pub struct Args {
    /// The image
    file: PathBuf,
    /// The input: X.wav, or rows of features as X.npy or X.csv
    #[arg(long, value_name = "X.(wav|npy|csv)", required_unless_present = "text", conflicts_with = "text")]
    input: Option<PathBuf>,
    /// A text, for models that read one
    #[arg(long, allow_hyphen_values = true)]
    text: Option<String>,
    /// Labels to show
    #[arg(long, default_value_t = 5, value_name = "N")]
    top: usize,
    /// The loops to run, such as scalar or avx2 [default: the fastest of this CPU]
    #[arg(long, value_name = "NAME")]
    kernels: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    labels: Vec<Guess>,
}

/// Classifies and prints.
pub fn run(args: Args) -> Result<(), Error> {
    let refuse = |error| Error::engine(&args.file)(error);
    let bytes = files::map(&args.file)?;
    let image = Image::new(&bytes).map_err(refuse)?;
    let setup = Setup { kernels: kernels_named(args.kernels.as_deref())?, ..Setup::default() };
    let mut arena = setup.arena(image.config(), &args.file)?;
    let mut session = setup.session(&image, &mut arena).map_err(refuse)?;
    let logits = match (&args.input, &args.text) {
        (Some(input), _) if image.config().front == Front::Tokens => {
            let what = format!("{} reads texts: give one with --text", args.file.display());
            return Err(Error::file(input)(what));
        }
        (Some(input), _) => session.encode_features(&rows(&image, &args.file, input)?),
        (None, text) => {
            let tokenizer = image.tokenizer().map_err(refuse)?;
            let mut tokens = vec![0; image.config().context as usize];
            let count = tokenizer.encode_with_specials(text.as_deref().unwrap_or_default(), &mut tokens).map_err(refuse)?.tokens;
            session.encode(&tokens[..count])
        }
    }
    .map_err(refuse)?;
    let mut labels = guesses(&image, logits).map_err(refuse)?;
    labels.truncate(args.top);
    if args.json {
        return super::print_json(&Report { labels });
    }
    let width = labels.iter().map(|guess| guess.label.chars().count()).max().unwrap_or(0);
    let lines: String = labels.iter().map(|guess| format!("{:width$}  {:5.1} %\n", guess.label, 100.0 * guess.p)).collect();
    super::print(&lines)
}

/// The input's rows of features.
fn rows(image: &Image, file: &Path, input: &Path) -> Result<Vec<f32>, Error> {
    let width = image.config().features as usize;
    match input.extension().and_then(|extension| extension.to_str()) {
        Some("wav") => {
            let frontend = sound::frontend(image, file)?;
            Ok(sound::features(&frontend, &sound::read_wav(input, frontend.sample_rate)?))
        }
        Some("npy") => features::read_npy(input, width),
        Some("csv") => features::read_csv(input, width),
        _ => Err(Error::file(input)("its name ends neither in .wav nor in .npy or .csv".to_owned())),
    }
}
