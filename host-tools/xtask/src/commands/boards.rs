//! `cargo xtask boards`: builds the firmware of every board, and measures it.
//!
//! The HALs of real boards take minutes each, so this is not a part of `cargo xtask test`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use attoformer_protocol::boards::{BOARDS, Board, Flasher};
use attoformer_protocol::job::{Generate, Prompt, Sampling, Source, Task};
use serde::Serialize;
use xtask::{
    answer::Report,
    emulator, firmware,
    footprint::Footprint,
    machines,
    process::{cargo, root, run as execute},
};

use super::setup;

/// The machine that measures the arena.
const MEASURES: &str = "mps2-an386";
/// The model whose arena is measured.
const MODEL: &str = "models/tales/tales.atto";

/// Feature sets of a board's firmware: name, and arguments of cargo.
const SETS: [(&str, &[&str]); 2] = [("default", &[]), ("tales", &["--no-default-features", "--features", "tales"])];

#[derive(clap::Args)]
pub struct Arguments {
    /// Build only these boards; `atto boards` and `cargo xtask qemu --help` list them
    names: Vec<String>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// One program.
#[derive(Serialize)]
struct Row {
    board: &'static str,
    target: &'static str,
    features: &'static str,
    /// Bytes of flash that it takes.
    flash: u64,
    /// Bytes of flash that it may take.
    flash_region: u32,
    /// Bytes of statics.
    statics: u64,
    /// Bytes of RAM left for the stack.
    stack: u64,
    /// Bytes of RAM for the arena.
    arena: u32,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    if let Some(name) = arguments.names.iter().find(|name| !BOARDS.iter().any(|board| board.name == **name)) {
        let names: Vec<&str> = BOARDS.iter().map(|board| board.name).collect();
        bail!("unknown board {name}; the boards are {}", names.join(", "));
    }
    let chosen: Vec<&Board> =
        BOARDS.iter().filter(|board| arguments.names.is_empty() || arguments.names.iter().any(|name| name == board.name)).collect();
    setup::for_targets(chosen.iter().map(|board| board.target))?;
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for board in chosen {
        match measure(board) {
            Ok(measured) => rows.extend(measured),
            Err(error) => failed.push(format!("{}: {error:#}", board.name)),
        }
    }
    let arena = arena_of_model()?;
    if arguments.json {
        println!("{}", serde_json::json!({ "rows": rows, "arena_tales": arena }));
    } else {
        print(&rows);
        println!("arena for {MODEL}: {arena} bytes");
    }
    if !failed.is_empty() {
        bail!("{}", failed.join("\n"));
    }
    Ok(())
}

fn print(rows: &[Row]) {
    println!("{:<18} {:<9} {:>8} {:>8} {:>8} {:>8} {:>9}", "board", "features", "flash", "of", "statics", "stack", "arena");
    for row in rows {
        println!(
            "{:<18} {:<9} {:>8} {:>8} {:>8} {:>8} {:>9}",
            row.board, row.features, row.flash, row.flash_region, row.statics, row.stack, row.arena
        );
    }
}

/// Builds a board's programs, one after the other, since they have one path.
fn measure(board: &'static Board) -> Result<Vec<Row>> {
    let row = |features, elf: &Path| {
        let Footprint { flash, statics, stack } = Footprint::read(elf)?;
        let flash_region = board.program_regions().map(|region| region.bytes).sum();
        Ok(Row { board: board.name, target: board.target, features, flash, flash_region, statics, stack, arena: board.arena.bytes })
    };
    if board.flasher == Flasher::Emulator {
        let machine = machines::find(board.name).with_context(|| format!("no machine {}", board.name))?;
        eprintln!("boards: {}", board.name);
        return Ok(vec![row(SETS[0].0, &firmware::build_link(&machine)?)?]);
    }
    SETS.iter().map(|(features, arguments)| row(features, &build(board, features, arguments)?)).collect()
}

/// Builds the firmware of a board that can be bought, in its own folder, whose configuration states target and kernels, and returns the ELF file.
fn build(board: &Board, features: &str, arguments: &[&str]) -> Result<PathBuf> {
    eprintln!("boards: {} with {features}", board.name);
    let mut command = cargo();
    command.current_dir(root().join("firmware/boards").join(board.name)).args(["build", "--release", "--locked", "--quiet"]);
    execute(command.args(arguments).arg("--target-dir").arg(firmware::target_dir()))?;
    let elf = firmware::target_dir().join(board.target).join("release").join(board.name);
    if !elf.is_file() {
        bail!("the build produced no program at {}", elf.display());
    }
    Ok(elf)
}

/// Bytes of the arena that the model needs, as a 32-bit processor plans them.
fn arena_of_model() -> Result<u32> {
    let machine = machines::find(MEASURES).with_context(|| format!("no machine {MEASURES}"))?;
    let elf = firmware::build(&machine)?;
    let task = Task::Generate(Generate {
        source: Source::Nothing,
        prompt: Prompt::Text("Once"),
        generate: 1,
        context: None,
        block: None,
        chunk: None,
        arena_bytes: None,
        sampling: Sampling { temperature: 0.0, top_k: 0, top_p: 1.0, seed: 0 },
        logits: false,
    });
    let mut report = Report::new(machine.name);
    emulator::run(&machine, &elf, Some(&root().join(MODEL)), &[], task, |frame| {
        report.add(frame);
        Ok(())
    })?;
    Ok(report.ram_bytes_arena)
}
