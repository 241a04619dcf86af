//! `atto train`.

use std::path::PathBuf;

use attoformer_tools::Error;

/// Train a small model (in a build with the feature `train`)
#[derive(clap::Args)]
#[cfg_attr(not(feature = "train"), allow(dead_code, reason = "without training the arguments are only checked"))]
pub struct Args {
    /// What to train, in TOML
    #[arg(required_unless_present = "preset", conflicts_with = "preset")]
    config: Option<PathBuf>,
    /// A configuration by name, such as tales
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Folder to write to, which `atto pack` reads
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Go on from the last checkpoint in that folder
    #[arg(long)]
    resume: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Says how to build an `atto` that can train.
#[cfg(not(feature = "train"))]
pub fn run(_: Args) -> Result<(), Error> {
    let how = "this atto was built without training; cargo build --release -p attoformer-tools --features train makes one that can";
    Err(Error::request(how.to_owned()))
}

/// Trains and reports.
#[cfg(feature = "train")]
pub fn run(args: Args) -> Result<(), Error> {
    use attoformer_train::TrainConfig;

    let config = match (&args.config, &args.preset) {
        (Some(path), _) => {
            let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
            TrainConfig::parse(&text).map_err(|error| Error::file(path)(error.to_string()))?
        }
        (None, name) => {
            let name = name.as_deref().unwrap_or_default();
            let known = TrainConfig::PRESETS.join(", ");
            TrainConfig::preset(name).ok_or_else(|| Error::request(format!("there is no preset {name}, only {known}")))?
        }
    };
    let report = attoformer_train::train(&config, &args.output, args.resume).map_err(|error| Error::request(error.to_string()))?;
    if args.json {
        return super::print_json(&report);
    }
    super::print(&format!(
        "{} parameters, {} steps, {:.0} s, held-out perplexity {:.3}: {}\n",
        report.parameters,
        report.steps,
        report.seconds,
        report.held_out_perplexity,
        args.output.display()
    ))
}
