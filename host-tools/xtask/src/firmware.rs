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

/// A cargo command inside the firmware workspace, building into `subfolder` of its target folder.
pub fn cargo_in_firmware(subcommand: &str, backend: Option<&str>) -> Command {
    let mut command = cargo();
    command.current_dir(root().join("firmware")).arg(subcommand);
    let dir = target_dir();
    match backend {
        // A flag of its own wants a folder of its own, or each change of machine would build everything again.
        Some(backend) => {
            command.env("RUSTFLAGS", format!("--cfg attoformer_backend=\"{backend}\""));
            command.arg("--target-dir").arg(dir.join(backend))
        }
        None => command.arg("--target-dir").arg(dir),
    };
    command
}

/// Builds a machine's program and returns the ELF file.
pub fn build(machine: &Machine) -> Result<PathBuf> {
    build_package(machine, "attoformer-boards", machine.program, &mut cargo_in_firmware("build", machine.backend))
}

/// Builds a machine's program with its whole log instead of errors alone.
pub fn build_logging(machine: &Machine) -> Result<PathBuf> {
    let mut command = cargo_in_firmware("build", machine.backend);
    build_package(machine, "attoformer-boards", machine.program, command.env("DEFMT_LOG", "info"))
}

/// Builds a machine's program that can send what heads look at.
pub fn build_looking(machine: &Machine) -> Result<PathBuf> {
    let mut command = cargo_in_firmware("build", machine.backend);
    build_package(machine, "attoformer-boards", machine.program, command.args(["--features", "attention"]))
}

/// Builds a demo with this image in it.
pub fn build_demo(machine: &Machine, program: &str, image: &Path) -> Result<PathBuf> {
    let image = image.canonicalize().with_context(|| format!("{} cannot be found", image.display()))?;
    let mut command = cargo_in_firmware("build", machine.backend);
    build_package(machine, "attoformer-demos", program, command.env("ATTO_IMAGE", image))
}

fn build_package(machine: &Machine, package: &str, program: &str, command: &mut Command) -> Result<PathBuf> {
    command.args(["--release", "--quiet", "--package", package, "--bin", program, "--target", machine.target]);
    run(command)?;
    let dir = machine.backend.map_or(target_dir(), |backend| target_dir().join(backend));
    let elf = dir.join(machine.target).join("release").join(program);
    if !elf.is_file() {
        bail!("the build left no program at {}", elf.display());
    }
    Ok(elf)
}
