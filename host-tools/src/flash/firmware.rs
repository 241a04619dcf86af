//! Finds the firmware of a board: a prebuilt one beside the program, or one that is built from the checkout in which the program is run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use attoformer_protocol::boards::Board;
use serde::Deserialize;

use super::error::FlashError;
use crate::error::Error;

/// Folder of the boards in a checkout.
const BOARDS: &str = "firmware/boards";

/// The firmware of a board. Building it shows cargo's progress on stderr.
///
/// # Errors
/// [`FlashError::NoFirmware`], [`FlashError::Build`].
pub fn find(board: &'static Board) -> Result<PathBuf, Error> {
    let beside = prebuilt(board);
    if beside.is_file() {
        return Ok(beside);
    }
    let folder = format!("{BOARDS}/{}", board.name);
    let here = std::env::current_dir().map_err(Error::io(Path::new(".")))?;
    let built = here.ancestors().map(|root| root.join(&folder)).find(|folder| folder.join("Cargo.toml").is_file());
    match built {
        Some(folder) => build(board, &folder),
        None => Err(Error::request(FlashError::NoFirmware { board: board.name, beside, folder })),
    }
}

/// Path of a prebuilt firmware: release archives have one for each board.
fn prebuilt(board: &Board) -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.parent().unwrap_or(Path::new("")).join("firmware").join(format!("{}.elf", board.name))
}

/// A line of `cargo build --message-format=json`.
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Builds the firmware in the board's folder, whose configuration states target and linker, and returns the program of the board's name or the last.
fn build(board: &Board, folder: &Path) -> Result<PathBuf, Error> {
    let refuse = |what: String| Error::file(folder)(FlashError::Build(what));
    eprintln!("building the firmware of {} in {}", board.name, folder.display());
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(folder).args(["build", "--release", "--message-format", "json-render-diagnostics"]);
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| refuse(format!("cargo does not start ({error})")))?;
    if !output.status.success() {
        return Err(refuse(format!("cargo ended with {}", output.status)));
    }
    let programs: Vec<(String, PathBuf)> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok())
        .filter_map(|message| Some((message.target?.name, message.executable?)))
        .collect();
    let named = programs.iter().find(|(name, _)| name == board.name).or(programs.last());
    named.map(|(_, path)| path.clone()).ok_or_else(|| refuse("it has no program".to_owned()))
}
