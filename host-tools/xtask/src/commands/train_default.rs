//! `cargo xtask train-default`: the committed default model, made again from its generator and seed.

use std::path::PathBuf;

use anyhow::Result;
use xtask::process::{cargo, root, run as execute};

#[derive(clap::Args)]
pub struct Arguments {
    /// Where the model goes; the committed one is replaced unless another folder is named
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Go on from the last checkpoint there
    #[arg(long)]
    resume: bool,
    /// Only pack the model that is there
    #[arg(long)]
    pack_only: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let folder = arguments.output.clone().unwrap_or_else(|| root().join("models/tales"));
    if !arguments.pack_only {
        let mut train = atto(&["--features", "train"]);
        train.args(["train", "--preset", "tales", "-o"]).arg(&folder);
        execute(train.args(arguments.resume.then_some("--resume")))?;
    }
    let mut pack = atto(&[]);
    pack.arg("pack").arg(folder.join("model.bin")).arg("--tokenizer").arg(folder.join("tokenizer.bin"));
    execute(pack.arg("-o").arg(folder.join("tales.atto")))
}

/// `atto`, built with these flags; what it is told follows.
fn atto(flags: &[&str]) -> std::process::Command {
    let mut command = cargo();
    command.current_dir(root()).args(["run", "--quiet", "--release", "--package", "attoformer-tools", "--bin", "atto"]).args(flags);
    command.arg("--");
    command
}
