//! `cargo xtask release-check`: checks before a release that are too slow or too rare for `cargo xtask test`.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use xtask::{
    firmware::engine_features,
    process::{capture, cargo, is_installed, output, root, run as execute},
    tally::Tally,
};

use super::steps::{self, Arguments, Outcome, Step, single};

/// Targets whose documentation is published.
const DOC_TARGETS: [&str; 3] = ["x86_64-unknown-linux-gnu", "thumbv7em-none-eabihf", "riscv32imac-unknown-none-elf"];
/// Targets that build every feature alone: with and without an FPU, with and without atomics.
const FEATURE_TARGETS: [&str; 2] = ["thumbv7em-none-eabihf", "thumbv6m-none-eabi"];
/// File that names the git revision of the last release, for comparing the public API.
const BASELINE: &str = ".ci/semver-baseline";

const STEPS: [Step; 5] = [
    Step { name: "features", promise: "the engine builds with each feature alone, with none and with all", run: |_| features() },
    Step { name: "docs", promise: "the engine's documentation builds for each published target", run: |_| docs() },
    Step { name: "msrv", promise: "no code needs a newer Rust than rust-version states", run: |_| msrv() },
    Step { name: "publish", promise: "the publishable crates package and build from their packages", run: |_| single(publish()) },
    Step { name: "semver", promise: "the public API is compatible with the baseline revision", run: |_| semver() },
];

/// Runs the steps.
pub fn run(arguments: &Arguments) -> Result<()> {
    steps::run(&STEPS, arguments)
}

fn features() -> Result<Outcome> {
    let names = engine_features()?;
    let mut sets: Vec<Vec<&str>> = vec![Vec::new()];
    sets.extend(names.iter().map(|name| vec![name.as_str()]));
    sets.push(names.iter().map(String::as_str).chain(["defmt"]).collect());
    for target in FEATURE_TARGETS {
        for set in &sets {
            eprintln!("{target}: {}", if set.is_empty() { "no feature".to_owned() } else { set.join(", ") });
            let mut command = cargo();
            command.current_dir(root()).env("RUSTFLAGS", "-D warnings");
            command.args(["check", "--quiet", "--locked", "--package", "attoformer", "--target", target, "--no-default-features"]);
            execute(command.args(["--features", &set.join(",")]))?;
        }
    }
    Ok(Outcome::Passed(Tally { passed: (sets.len() * FEATURE_TARGETS.len()) as u32, ..Tally::default() }))
}

fn docs() -> Result<Outcome> {
    for target in DOC_TARGETS {
        let mut command = cargo();
        command.current_dir(root()).env("RUSTDOCFLAGS", "-D warnings");
        execute(command.args(["doc", "--quiet", "--locked", "--no-deps", "--package", "attoformer", "--target", target]))?;
    }
    Ok(Outcome::Passed(Tally { passed: DOC_TARGETS.len() as u32, ..Tally::default() }))
}

/// Builds with the toolchain of `rust-version` if it is installed; otherwise a lint compares every used item with that version.
fn msrv() -> Result<Outcome> {
    let version = rust_version()?;
    let installed = is_installed("rustup")
        && output(std::process::Command::new("rustup").args(["run", &version, "rustc", "--version"])).is_ok_and(|run| run.status.success());
    let crates = ["--package", "attoformer", "--package", "attoformer-tools"];
    if installed {
        let mut command = std::process::Command::new("rustup");
        command.current_dir(root()).args(["run", &version, "cargo", "check", "--quiet", "--locked"]);
        return single(execute(command.args(crates).args(["--target-dir", "target/msrv"])));
    }
    eprintln!("Rust {version} is not installed: the lint incompatible_msrv checks instead");
    let mut command = cargo();
    command.current_dir(root()).args(["clippy", "--quiet", "--locked", "--profile", "checked"]).args(crates);
    single(execute(command.args(["--", "-D", "clippy::incompatible_msrv"])))
}

fn rust_version() -> Result<String> {
    let mut command = cargo();
    command.current_dir(root()).args(["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: serde_json::Value = serde_json::from_str(&capture(&mut command)?)?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let version = packages.filter(|package| package["name"] == "attoformer").find_map(|package| package["rust_version"].as_str());
    version.map(str::to_owned).context("core/Cargo.toml states no rust-version")
}

fn publish() -> Result<()> {
    remove_unpacked()?;
    let mut command = cargo();
    command.current_dir(root()).args(["publish", "--workspace", "--dry-run", "--locked", "--allow-dirty", "--quiet"]);
    execute(&mut command)
}

/// Removes the engine as an earlier run unpacked it. Cargo keeps one unpacked copy of a version, so the tools would be checked against the old one.
/// Sources of crates from a registry have folders that begin with its host, those of a dry run with `-`.
fn remove_unpacked() -> Result<()> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let registries = home.map(|home| fs::read_dir(home.join("registry/src"))).into_iter().flatten().flatten().flatten();
    let of_dry_runs = registries.filter(|folder| folder.file_name().to_string_lossy().starts_with('-'));
    for package in of_dry_runs.flat_map(|folder| fs::read_dir(folder.path())).flatten().flatten() {
        if package.file_name().to_string_lossy().starts_with("attoformer") {
            fs::remove_dir_all(package.path()).with_context(|| format!("cannot remove {}", package.path().display()))?;
        }
    }
    Ok(())
}

fn semver() -> Result<Outcome> {
    if !is_installed("cargo-semver-checks") {
        return Ok(Outcome::Skipped("cargo-semver-checks is not installed (cargo install cargo-semver-checks)"));
    }
    let path: PathBuf = root().join(BASELINE);
    let baseline = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let Some(revision) = baseline.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')) else {
        bail!("{} names no git revision", path.display());
    };
    let mut command = cargo();
    command.current_dir(root()).args(["semver-checks", "--package", "attoformer", "--baseline-rev", revision]);
    single(execute(&mut command))
}
