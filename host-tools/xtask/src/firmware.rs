//! Building the program for a machine.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    machines::Machine,
    process::{cargo, root, run},
};

/// Where the firmware is built: its own folder, so that it never waits for a build of the host tools.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => PathBuf::from(dir).join("firmware"),
        None => root().join("firmware/target"),
    }
}

/// The folder of one kind of build: a flag or a feature of its own wants a folder of its own, or each change would build everything again, and a
/// program could be replaced between its build and its run.
fn folder(kinds: [Option<&str>; 2]) -> PathBuf {
    kinds.into_iter().flatten().fold(target_dir(), |folder, kind| folder.join(kind))
}

/// A cargo command inside the firmware workspace, for this backend.
pub fn cargo_in_firmware(subcommand: &str, backend: Option<&str>) -> Command {
    cargo_for(subcommand, backend, None)
}

/// The same, for a kind of build beside the usual one.
fn cargo_for(subcommand: &str, backend: Option<&str>, kind: Option<&str>) -> Command {
    let mut command = cargo();
    command.current_dir(root().join("firmware")).arg(subcommand).arg("--target-dir").arg(folder([backend, kind]));
    if let Some(backend) = backend {
        command.env("RUSTFLAGS", format!("--cfg attoformer_backend=\"{backend}\""));
    }
    command
}

/// Builds a machine's program and returns the ELF file.
pub fn build(machine: &Machine) -> Result<PathBuf> {
    build_package(machine, "attoformer-boards", machine.program, None, |_| {})
}

/// Builds a machine's program with its whole log instead of errors alone.
pub fn build_logging(machine: &Machine) -> Result<PathBuf> {
    build_package(machine, "attoformer-boards", machine.program, Some("logging"), |command| {
        command.env("DEFMT_LOG", "info");
    })
}

/// Builds a machine's program that can send what heads look at.
pub fn build_looking(machine: &Machine) -> Result<PathBuf> {
    build_package(machine, "attoformer-boards", machine.program, Some("looking"), |command| {
        command.args(["--features", "attention"]);
    })
}

/// Builds a demo with this image in it.
pub fn build_demo(machine: &Machine, program: &str, image: &Path) -> Result<PathBuf> {
    let image = image.canonicalize().with_context(|| format!("{} cannot be found", image.display()))?;
    build_package(machine, "attoformer-demos", program, None, |command| {
        command.env("ATTO_IMAGE", image);
    })
}

fn build_package(machine: &Machine, package: &str, program: &str, kind: Option<&str>, add: impl FnOnce(&mut Command)) -> Result<PathBuf> {
    let mut command = cargo_for("build", machine.backend, kind);
    add(&mut command);
    command.args(["--release", "--quiet", "--package", package, "--bin", program, "--target", machine.target]);
    run(&mut command)?;
    let elf = folder([machine.backend, kind]).join(machine.target).join("release").join(program);
    if !elf.is_file() {
        bail!("the build left no program at {}", elf.display());
    }
    Ok(elf)
}
