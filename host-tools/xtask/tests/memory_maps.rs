//! The table of boards states what the linker scripts and configurations in `firmware/boards` do: a row that differs would let `atto flash` write over a
//! program.

use std::collections::BTreeMap;
use std::fs;

use attoformer_protocol::boards::{self, BOARDS, Board, Boot, Flasher, Region};
use xtask::process::root;

/// Boards that can be bought.
fn products() -> impl Iterator<Item = &'static Board> {
    BOARDS.iter().filter(|board| board.flasher != Flasher::Emulator)
}

#[track_caller]
fn read(path: &str) -> String {
    let path = root().join("firmware/boards").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A number of a linker script: `0x100`, `504K`, `1M`, and differences of them.
fn number(text: &str) -> u32 {
    let term = |text: &str| {
        let text = text.trim().trim_end_matches(';').trim();
        let (digits, unit) = match text.strip_suffix('K') {
            Some(digits) => (digits, 1 << 10),
            None => text.strip_suffix('M').map_or((text, 1), |digits| (digits, 1 << 20)),
        };
        let value = match digits.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => digits.parse(),
        };
        value.unwrap_or_else(|_| panic!("{text} is not a number")) * unit
    };
    let mut terms = text.split('-').map(term);
    terms.next().map_or(0, |first| terms.fold(first, |sum, term| sum - term))
}

/// Regions and symbols of a linker script.
struct Script {
    regions: BTreeMap<String, Region>,
    text: String,
}

impl Script {
    #[track_caller]
    fn read(path: &str) -> Self {
        let text = read(path);
        let region = |line: &str| {
            let (name, rest) = line.split_once(": ORIGIN =")?;
            let (start, bytes) = rest.split_once(", LENGTH =")?;
            Some((name.trim().to_owned(), Region::new(number(start), number(bytes))))
        };
        Self { regions: text.lines().filter_map(region).collect(), text }
    }

    fn symbol(&self, name: &str) -> Option<u32> {
        self.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = ")).map(number)
    }

    #[track_caller]
    fn assert_arena(&self, board: &Board) {
        let arena = (self.symbol("_arena_start"), self.symbol("_arena_end"));
        assert_eq!(arena, (Some(board.arena.start), Some(board.arena.end())), "{}", board.name);
    }
}

#[test]
fn linker_scripts_agree_with_the_table() {
    for board in products().filter(|board| board.boot != Boot::Espressif) {
        let script = Script::read(&format!("{}/memory.x", board.name));
        script.assert_arena(board);
        let (flash, ram) = (script.regions["FLASH"], script.regions["RAM"]);
        // What precedes the program proper: boot code, or the definition of the image.
        let first = script.regions.values().map(|region| region.start).filter(|start| board.flash.region().contains(*start, 1)).min();
        assert_eq!(first, Some(board.vectors.unwrap_or(board.program).start), "{}", board.name);
        assert_eq!(flash.end(), board.program.end(), "{}", board.name);
        if board.vectors.is_some() {
            assert_eq!(script.symbol("_stext"), Some(board.program.start), "{}", board.name);
        }
        assert!(!ram.overlaps(board.arena), "{}: statics and stack overlap the arena", board.name);
        assert!(ram.bytes + board.arena.bytes <= board.ram_bytes, "{}", board.name);
    }
}

#[test]
fn partitions_and_arenas_of_espressif_boards_agree_with_the_table() {
    for board in products().filter(|board| board.boot == Boot::Espressif) {
        Script::read(&format!("{}/memory_arena.x", board.name)).assert_arena(board);
        let partitions = read(&format!("{}/partitions.csv", board.name));
        let rows: BTreeMap<&str, Region> = partitions
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split(',').map(str::trim).collect::<Vec<_>>())
            .map(|row| (row[0], Region::new(number(row[3]), number(row[4]))))
            .collect();
        assert_eq!((rows["program"], rows["models"]), (board.program, board.flash_models()), "{}", board.name);
    }
}

/// `cargo build` and `cargo run` in a board's folder use the compiler target, the kernels and the chip that the table states.
#[test]
fn configurations_agree_with_the_table() {
    for board in products() {
        let config = read(&format!("{}/.cargo/config.toml", board.name));
        assert!(config.contains(&format!("target = \"{}\"", board.target)), "{}", board.name);
        let backend = board.backend.map(|backend| format!("attoformer_backend=\\\"{backend}\\\""));
        assert_eq!(config.contains("attoformer_backend"), backend.is_some(), "{}", board.name);
        assert!(backend.is_none_or(|backend| config.contains(&backend)), "{}", board.name);
        let runner = match board.flasher {
            // probe-rs does not start the RISC-V cores of an RP2350.
            Flasher::Probe(_) if board.name == boards::PICO2_RISCV.name => "picotool load".to_owned(),
            Flasher::Probe(chip) => format!("probe-rs run --chip {chip}\""),
            Flasher::Espflash(chip) => format!("espflash flash --monitor --chip {chip} --partition-table partitions.csv"),
            Flasher::Emulator => continue,
        };
        assert!(config.contains(&runner), "{}: {runner}", board.name);
        let package = read(&format!("{}/Cargo.toml", board.name));
        assert!(package.contains(&format!("name = \"attoformer-{}\"", board.name)), "{}", board.name);
        assert!(package.contains(&format!("[[bin]]\nname = \"{}\"", board.name)), "{}", board.name);
    }
}
