//! Starts the program that writes a board's flash: `atto-probe` for chips with a debug probe, `espflash` for Espressif's.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use attoformer_protocol::boards::{Board, Flasher};
use serde::Serialize;

use super::error::FlashError;
use super::plan::Plan;
use crate::error::Error;
use crate::report::progress::Progress;

/// The program that is part of this project, in a crate of its own because it takes minutes to build.
const PROBE: &str = "atto-probe";
/// Espressif's program.
const ESPFLASH: &str = "espflash";

/// The program that writes a board's flash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    name: &'static str,
    path: PathBuf,
    chip: &'static str,
    /// The debug probe, where several are connected.
    probe: Option<String>,
}

/// Finds the program for a board, beside this program or on the PATH. `probe` selects one of several debug probes.
///
/// # Errors
/// [`FlashError::NoFlasher`], [`FlashError::Emulated`].
pub fn find(board: &'static Board, probe: Option<&str>) -> Result<Tool, Error> {
    let (name, chip, install) = match board.flasher {
        Flasher::Probe(chip) => (PROBE, chip, "build it with `cargo install --path host-tools/probe`"),
        Flasher::Espflash(chip) => (ESPFLASH, chip, "install it with `cargo install espflash`"),
        Flasher::Emulator => return Err(Error::request(FlashError::Emulated(board.name))),
    };
    let files = match board.flasher {
        Flasher::Espflash(_) => "--model-only and --bin",
        _ if board.uf2_family.is_some() => "--uf2, --hex or --bin",
        _ => "--hex or --bin",
    };
    let refuse = || Error::request(FlashError::NoFlasher { board: board.name, program: name, install, files });
    program(name).map(|path| Tool { name, path, chip, probe: probe.map(str::to_owned) }).ok_or_else(refuse)
}

/// A program beside this one or on the PATH.
fn program(name: &str) -> Option<PathBuf> {
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let beside = std::env::current_exe().ok().and_then(|own| own.parent().map(Path::to_owned));
    let path = std::env::var_os("PATH").unwrap_or_default();
    beside.into_iter().chain(std::env::split_paths(&path)).map(|folder| folder.join(&file)).find(|path| path.is_file())
}

/// The request that `atto-probe` reads.
#[derive(Serialize)]
struct Request<'a> {
    chip: &'a str,
    dry_run: bool,
    probe: Option<&'a str>,
    segments: Vec<Piece>,
}

/// A file with the bytes from an address on.
#[derive(Serialize)]
struct Piece {
    address: u32,
    file: PathBuf,
}

impl Tool {
    /// Writes firmware and model. `firmware` is the file that the plan's program was read from.
    ///
    /// # Errors
    /// [`FlashError::Flasher`] with the last message of the program, [`Error::Io`] for its input files.
    pub fn write(&self, plan: &Plan<'_>, firmware: Option<&Path>) -> Result<(), Error> {
        let folder = tempfile::tempdir().map_err(Error::io(Path::new("a temporary folder")))?;
        if self.name == PROBE { self.probe(plan, folder.path(), false) } else { self.espflash(plan, firmware, folder.path()) }
    }

    /// Lets `atto-probe` check the plan against the chip's memory map and flash algorithms; espflash has no such check.
    ///
    /// # Errors
    /// Those of [`Tool::write`].
    pub fn check(&self, plan: &Plan<'_>) -> Result<(), Error> {
        let folder = tempfile::tempdir().map_err(Error::io(Path::new("a temporary folder")))?;
        if self.name == PROBE { self.probe(plan, folder.path(), true) } else { Ok(()) }
    }

    fn probe(&self, plan: &Plan<'_>, folder: &Path, dry_run: bool) -> Result<(), Error> {
        let mut segments = Vec::new();
        for (index, segment) in plan.segments().iter().enumerate() {
            let file = folder.join(format!("{index}.bin"));
            std::fs::write(&file, segment.bytes).map_err(Error::io(&file))?;
            segments.push(Piece { address: segment.address, file });
        }
        let request = Request { chip: self.chip, dry_run, probe: self.probe.as_deref(), segments };
        self.run(&[], &serde_json::to_vec(&request).expect("plain structs serialize"))
    }

    /// The model first: the program starts when it is written, and finds the model then.
    fn espflash(&self, plan: &Plan<'_>, firmware: Option<&Path>, folder: &Path) -> Result<(), Error> {
        let model = folder.join("model.bin");
        std::fs::write(&model, plan.image).map_err(Error::io(&model))?;
        let at = format!("{:#x}", plan.model().address);
        self.run(&["write-bin", "--chip", self.chip, &at, &text(&model)], &[])?;
        let Some(firmware) = firmware else { return Ok(()) };
        let table = folder.join("partitions.csv");
        std::fs::write(&table, partitions(plan.board)).map_err(Error::io(&table))?;
        self.run(&["flash", "--chip", self.chip, "--partition-table", &text(&table), &text(firmware)], &[])
    }

    /// Runs the program, shows its progress lines as a bar and passes its other messages on. Its stdout must not mix with that of this program.
    fn run(&self, arguments: &[&str], input: &[u8]) -> Result<(), Error> {
        let refuse = |what: String| Error::request(FlashError::Flasher { program: self.name, what });
        let cannot = |error: std::io::Error| refuse(format!("{} ({error})", self.path.display()));
        let mut command = Command::new(&self.path);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(cannot)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that ends without reading states why on stderr.
            let _ = stdin.write_all(input);
        }
        let mut last = String::new();
        let mut bar: Option<(Progress, u64)> = None;
        for line in child.stderr.take().map(BufReader::new).into_iter().flat_map(|lines| lines.lines().map_while(Result::ok)) {
            match progress(&line) {
                Some((done, total)) => {
                    let (bar, shown) = bar.get_or_insert_with(|| (Progress::new("bytes", total), 0));
                    bar.advance(done.saturating_sub(*shown));
                    *shown = done.max(*shown);
                }
                None => {
                    // The last line is the reason of a failure, which the error states.
                    if !line.starts_with("error: ") {
                        eprintln!("{}: {line}", self.name);
                    }
                    last = line;
                }
            }
        }
        drop(bar);
        let status = child.wait().map_err(cannot)?;
        if status.success() {
            return Ok(());
        }
        Err(refuse(if last.is_empty() { format!("it ended with {status}") } else { last.trim_start_matches("error: ").to_owned() }))
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A line `progress DONE TOTAL` of `atto-probe`.
fn progress(line: &str) -> Option<(u64, u64)> {
    let (done, total) = line.strip_prefix("progress ")?.split_once(' ')?;
    Some((done.parse().ok()?, total.parse().ok()?))
}

/// Espressif's table of partitions for a board: the application, the journal and the slots.
fn partitions(board: &Board) -> String {
    let models = board.models;
    let rows = [
        ("nvs", "data", "nvs", 0x9000, 0x6000),
        ("phy_init", "data", "phy", 0xf000, 0x1000),
        ("factory", "app", "factory", board.program.start, board.program.bytes),
        ("journal", "data", "0x40", models.journal, 2 * models.journal_sector),
        ("slot0", "data", "0x41", models.slots[0], models.slot_bytes),
        ("slot1", "data", "0x41", models.slots[1], models.slot_bytes),
    ];
    rows.iter().map(|(name, kind, subtype, at, bytes)| format!("{name}, {kind}, {subtype}, {at:#x}, {bytes:#x}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::{partitions, progress};
    use attoformer_protocol::boards::ESP32_C3;

    #[test]
    fn progress_lines_are_told_from_messages() {
        assert_eq!(progress("progress 12 40"), Some((12, 40)));
        assert_eq!(progress("progress is slow"), None);
        assert_eq!(progress("error: no probe"), None);
    }

    /// Application partitions start at multiples of 64 KB, and no partition begins before the table's end (0x9000).
    #[test]
    fn partitions_of_espressif_chips_follow_each_other() {
        let number = |text: &str| u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).unwrap();
        let mut end = 0x9000;
        for row in partitions(&ESP32_C3).lines() {
            let cells: Vec<&str> = row.split(',').collect();
            let (at, bytes) = (number(cells[3]), number(cells[4]));
            assert!(at >= end && (cells[1].trim() != "app" || at % 0x1_0000 == 0), "{row}");
            end = at + bytes;
        }
        assert!(end <= ESP32_C3.flash.region().end());
    }
}
