//! `atto train`.

use std::path::PathBuf;

use attoformer_tools::Error;

/// Train a small model (requires a build with the Cargo feature `train`)
#[derive(clap::Args)]
#[cfg_attr(not(feature = "train"), allow(dead_code, reason = "without training the arguments are only parsed"))]
pub struct Args {
    /// Training configuration in TOML
    #[arg(required_unless_present = "preset", conflicts_with = "preset")]
    config: Option<PathBuf>,
    /// Built-in configuration, such as tales
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Output folder, which `atto pack` reads
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Resume from the last checkpoint in the output folder
    #[arg(long)]
    resume: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Training that cannot start.
#[derive(Clone, Debug, thiserror::Error)]
enum TrainError {
    #[cfg(not(feature = "train"))]
    #[error(
        "this atto was built without training; build one with \
         `cargo build --release -p attoformer-tools --features train`"
    )]
    NotBuiltIn,
    #[cfg(feature = "train")]
    #[error("unknown preset {name:?}; available: {available}")]
    Preset { name: String, available: String },
}

/// Explains how to build an `atto` that trains.
#[cfg(not(feature = "train"))]
pub fn run(_: Args) -> Result<(), Error> {
    Err(Error::request(TrainError::NotBuiltIn))
}

/// Trains and reports.
#[cfg(feature = "train")]
pub fn run(args: Args) -> Result<(), Error> {
    use attoformer_train::TrainConfig;

    use super::output::{print, print_json};

    let config = match (&args.config, &args.preset) {
        (Some(path), _) => {
            let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
            TrainConfig::parse(&text).map_err(Error::file(path))?
        }
        (None, name) => {
            let name = name.clone().unwrap_or_default();
            TrainConfig::preset(&name)
                .ok_or_else(|| Error::request(TrainError::Preset { name, available: TrainConfig::PRESETS.join(", ") }))?
        }
    };
    let report = attoformer_train::train(&config, &args.output, args.resume).map_err(Error::request)?;
    if args.json {
        return print_json(&report);
    }
    print(&format!(
        "{} parameters, {} steps, {:.0} s, held-out perplexity {:.3}: {}\n",
        report.parameters,
        report.steps,
        report.seconds,
        report.held_out_perplexity,
        args.output.display()
    ))
}
