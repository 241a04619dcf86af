//! Trains a model: `cargo run --release --example train -- --preset tales -o DIR [--resume]`,
//! or with the path of a TOML configuration instead of the preset.

use std::path::PathBuf;
use std::process::ExitCode;

use attoformer_train::{TrainConfig, train};

const USAGE: &str = "usage: train (--preset NAME | CONFIG.toml) -o DIR [--resume]";

fn main() -> ExitCode {
    let Some((config, out, resume)) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match config.and_then(|config| train(&config, &out, resume).map_err(|e| e.to_string())) {
        Ok(report) => {
            println!("{report:#?}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Option<(Result<TrainConfig, String>, PathBuf, bool)> {
    let (mut config, mut out, mut resume) = (None, None, false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--resume" => resume = true,
            "-o" => out = Some(PathBuf::from(args.next()?)),
            "--preset" => config = Some(preset(&args.next()?)),
            path => config = Some(read(path)),
        }
    }
    Some((config?, out?, resume))
}

fn preset(name: &str) -> Result<TrainConfig, String> {
    let known = TrainConfig::PRESETS.join(", ");
    TrainConfig::preset(name).ok_or_else(|| format!("unknown preset {name}; available: {known}"))
}

fn read(path: &str) -> Result<TrainConfig, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    TrainConfig::parse(&text).map_err(|e| format!("{path}: {e}"))
}
