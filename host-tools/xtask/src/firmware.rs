//! Builds firmware for the emulated machines.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use attoformer_protocol::boards::Board;

use crate::{
    machines::Machine,
    process::{capture, cargo, root, run},
    tokens_image,
};

/// Package and profile of the boards' programs.
const BOARDS: (&str, &str) = ("attoformer-boards", "release");
/// Package of the demos.
const DEMOS: &str = "attoformer-demos";
/// The demo that takes token ids.
const TOKENS: &str = "tokens";
/// Flags of the smallest demo: at opt-level z, inlining functions of a few instructions makes the program a fifth smaller.
const SMALLEST_FLAGS: &str = "-C llvm-args=-inline-threshold=50";

/// Target folder of the firmware workspace. It is not the host's, so the two builds never wait for each other.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => PathBuf::from(dir).join("firmware"),
        None => root().join("firmware/target"),
    }
}

/// Target folder of a backend and a variant. Flags and features of their own get a folder of their own: otherwise each change would rebuild
/// everything, and a program could be replaced between its build and its run.
fn folder(parts: [Option<&str>; 2]) -> PathBuf {
    parts.into_iter().flatten().fold(target_dir(), |folder, part| folder.join(part))
}

/// A cargo command in the firmware workspace with this kernel set.
pub fn cargo_in_firmware(subcommand: &str, backend: Option<&str>) -> Command {
    cargo_for(subcommand, backend, None)
}

fn cargo_for(subcommand: &str, backend: Option<&str>, variant: Option<&str>) -> Command {
    let mut command = cargo();
    command.current_dir(root().join("firmware")).arg(subcommand).arg("--target-dir").arg(folder([backend, variant]));
    if let Some(backend) = backend {
        command.env("RUSTFLAGS", format!("--cfg attoformer_backend=\"{backend}\""));
    }
    command
}

/// Builds a machine's program and returns the ELF file.
pub fn build(machine: &Machine) -> Result<PathBuf> {
    build_package(machine, BOARDS, machine.program, None, |_| {})
}

/// Builds a machine's program that serves the link.
pub fn build_link(machine: &Machine) -> Result<PathBuf> {
    build_package(machine, BOARDS, &format!("{}-link", machine.program), None, |_| {})
}

/// Builds the firmware of a board that can be bought, in its own folder, and returns the ELF file.
pub fn build_board(board: &Board) -> Result<PathBuf> {
    let folder = root().join("firmware/boards").join(board.name);
    let mut command = cargo();
    // The folder's configuration states the target and what the linker needs.
    command.current_dir(&folder).args(["build", "--release", "--locked", "--quiet", "--target-dir"]).arg(target_dir());
    run(&mut command).with_context(|| format!("cannot build the firmware of {}", board.name))?;
    let elf = target_dir().join(board.target).join("release").join(board.name);
    if !elf.is_file() {
        bail!("the build produced no program at {}", elf.display());
    }
    Ok(elf)
}

/// Builds a machine's program with all log levels instead of errors alone.
pub fn build_with_logs(machine: &Machine) -> Result<PathBuf> {
    build_package(machine, BOARDS, machine.program, Some("logs"), |command| {
        command.env("DEFMT_LOG", "info");
    })
}

/// Builds a machine's program that can send attention weights.
pub fn build_with_attention(machine: &Machine) -> Result<PathBuf> {
    build_package(machine, BOARDS, machine.program, Some("attention"), |command| {
        command.args(["--features", "attention"]);
    })
}

/// Builds a demo with this image in it. `features` is a feature set of the demos, `engine` adds single features of the engine.
pub fn build_demo(machine: &Machine, program: &str, image: &Path, features: &str, engine: &[&str]) -> Result<PathBuf> {
    let mut image = image.canonicalize().with_context(|| format!("cannot find {}", image.display()))?;
    if program == TOKENS {
        image = without_tokenizer(&image)?;
    }
    build_package(machine, (DEMOS, demo_profile(program)), program, None, |command| {
        if program == TOKENS {
            command.env("RUSTFLAGS", SMALLEST_FLAGS);
        }
        command.env("ATTO_IMAGE", image).args(["--no-default-features", "--features", features]);
        for feature in engine {
            command.args(["--features", &format!("attoformer/{feature}")]);
        }
    })
}

/// Writes a copy of an image without its tokenizer, which a program without that feature of the engine refuses, and returns its path.
fn without_tokenizer(image: &Path) -> Result<PathBuf> {
    let bytes = fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
    let bytes = tokens_image::without_tokenizer(&bytes).with_context(|| image.display().to_string())?;
    let path = target_dir().join("tokens.atto");
    fs::create_dir_all(target_dir()).with_context(|| format!("cannot create {}", target_dir().display()))?;
    // Unchanged files keep their time, so that cargo does not build the program again.
    if fs::read(&path).ok().as_ref() != Some(&bytes) {
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(path)
}

/// Profile of a demo: opt-level z for the smallest, s for the others.
pub fn demo_profile(program: &str) -> &'static str {
    if program == TOKENS { "smallest" } else { "small" }
}

/// Names of the engine's Cargo features that decide which images can be opened.
pub fn engine_features() -> Result<Vec<String>> {
    let mut command = cargo();
    command.current_dir(root().join("core")).args(["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: serde_json::Value = serde_json::from_str(&capture(&mut command)?).context("`cargo metadata` did not print JSON")?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let features = packages.filter(|package| package["name"] == "attoformer").filter_map(|package| package["features"].as_object());
    Ok(features.flat_map(|features| features.keys()).filter(|name| !matches!(name.as_str(), "default" | "defmt")).cloned().collect())
}

fn build_package(
    machine: &Machine,
    (package, profile): (&str, &str),
    program: &str,
    variant: Option<&str>,
    add: impl FnOnce(&mut Command),
) -> Result<PathBuf> {
    let mut command = cargo_for("build", machine.backend, variant);
    add(&mut command);
    command.args(["--profile", profile, "--locked", "--quiet", "--package", package, "--bin", program, "--target", machine.target]);
    run(&mut command)?;
    let elf = folder([machine.backend, variant]).join(machine.target).join(profile).join(program);
    if !elf.is_file() {
        bail!("the build produced no program at {}", elf.display());
    }
    Ok(elf)
}
