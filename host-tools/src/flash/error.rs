//! Refusals of `atto flash`.

use std::path::PathBuf;

use attoformer_protocol::boards::{Board, Region};

/// An image, a firmware or a request that does not suit a board. The file is added by [`crate::Error::File`].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FlashError {
    /// The image is larger than a slot.
    #[error(
        "the image takes {bytes} bytes of flash, {} more than the {slot} bytes of a model slot of {board}; `atto pack --board {board}` makes one that fits",
        bytes - slot
    )]
    Slot {
        /// Name of the board.
        board: &'static str,
        /// Size of the image.
        bytes: u64,
        /// Size of a slot.
        slot: u64,
    },
    /// The arena is larger than the board's memory for it.
    #[error(
        "the model needs an arena of {need} bytes of RAM for its context of {context} tokens, {} more than the {have} bytes of {board}; {}",
        need - have,
        remedy(*largest)
    )]
    Arena {
        /// Name of the board.
        board: &'static str,
        /// Bytes needed.
        need: u64,
        /// Bytes that the board has.
        have: u64,
        /// Context of the model in tokens.
        context: u32,
        /// The largest context whose arena fits; `None` if none does.
        largest: Option<u32>,
    },
    /// The firmware lacks parts of the engine.
    #[error("the model needs the engine's features {missing}, which the firmware does not have ({built_in}); build the firmware with them")]
    Features {
        /// Missing features.
        missing: String,
        /// Features of the firmware.
        built_in: String,
    },
    /// The firmware is made for another board.
    #[error("this is the firmware of {found}, not of {board}; name the other one with --board or another file with --firmware")]
    OtherBoard {
        /// Board that was asked for.
        board: &'static str,
        /// Board that the firmware states.
        found: String,
    },
    /// The file is neither an ELF file nor UF2.
    #[error("the firmware is not a 32-bit little-endian ELF file or UF2 file: {0}")]
    NotFirmware(String),
    /// The firmware is made for another processor.
    #[error("the firmware is made for {found}, and {board} has {core}; use the firmware of this board")]
    Machine {
        /// Name of the board.
        board: &'static str,
        /// Core of the board.
        core: &'static str,
        /// Processor of the firmware.
        found: String,
    },
    /// The firmware has nothing to write.
    #[error("the firmware has no bytes for flash")]
    Empty,
    /// Two segments of the firmware occupy the same address.
    #[error("two segments of the firmware overlap: {} and {}", range(*.0), range(*.1))]
    Overlap(Region, Region),
    /// A segment reaches the end of the address space.
    #[error("a segment of the firmware at {0:#010x} reaches beyond the address space")]
    AddressSpace(u32),
    /// A segment is not where the board keeps its program.
    #[error("the firmware occupies {}, and the flash for programs of {} is {}", range(*segment), board, .regions.join(" and "))]
    Region {
        /// Name of the board.
        board: &'static str,
        /// The segment.
        segment: Region,
        /// Regions for programs.
        regions: Vec<String>,
    },
    /// The firmware does not fit the program's flash.
    #[error("the firmware takes {bytes} bytes of flash, {} more than the {have} bytes for programs of {board}", bytes - have)]
    ProgramSize {
        /// Name of the board.
        board: &'static str,
        /// Size of the firmware.
        bytes: u64,
        /// Size of the flash for it.
        have: u64,
    },
    /// The first bytes are not what the chip starts from.
    #[error("{board} cannot start this firmware: {what}")]
    Boot {
        /// Name of the board.
        board: &'static str,
        /// The missing part.
        what: &'static str,
    },
    /// A UF2 file is damaged.
    #[error("the UF2 file is damaged: block {block} {what}; make it again")]
    Uf2 {
        /// Index of the block.
        block: usize,
        /// The fault.
        what: &'static str,
    },
    /// A UF2 file is for other chips.
    #[error("the UF2 file has the family {found:#010x}, and {board} takes {expected}; use the firmware of this board")]
    Family {
        /// Name of the board.
        board: &'static str,
        /// Family of the file.
        found: u32,
        /// Family of the board's chip.
        expected: String,
    },
    /// The board's chip does not read UF2 files.
    #[error("{0} takes no UF2 files; use --hex or --bin")]
    NoUf2(&'static str),
    /// Files for Espressif chips are made by espflash.
    #[error(
        "{0} starts from an image of Espressif's format, which espflash makes of the firmware; use `atto flash` without --uf2, --hex and --bin, \
         or --model-only for the model alone"
    )]
    EspressifFile(&'static str),
    /// A contiguous file would be mostly padding.
    #[error("{gap} bytes are unused between {from:#010x} and {to:#010x}, too many to fill in a contiguous file; use --hex")]
    Gap {
        /// Unused bytes.
        gap: u64,
        /// Address before the gap.
        from: u32,
        /// Address after it.
        to: u32,
    },
    /// Nothing provides the firmware.
    #[error(
        "no firmware for {board}: there is no {}, and no checkout with {folder} at the current directory or above it; run the command in a checkout, \
         name a firmware with --firmware, or use --model-only",
        beside.display()
    )]
    NoFirmware {
        /// Name of the board.
        board: &'static str,
        /// Where a prebuilt one would be.
        beside: PathBuf,
        /// Folder of the board in a checkout.
        folder: String,
    },
    /// The firmware did not build.
    #[error("building the firmware failed: {0}; run `cargo build --release` in that folder to see why")]
    Build(String),
    /// Nothing writes the flash.
    #[error(
        "{program} is neither beside atto nor on the PATH, and nothing else writes the flash of {board}; {install}, or make a file with {files}"
    )]
    NoFlasher {
        /// Name of the board.
        board: &'static str,
        /// The missing program.
        program: &'static str,
        /// How to install it.
        install: &'static str,
        /// Options that make files.
        files: &'static str,
    },
    /// The board is emulated.
    #[error("{0} is emulated and has no flash to write; `cargo xtask emulate --board {0}` runs it, and --hex or --bin makes a file")]
    Emulated(&'static str),
    /// The program that writes the flash failed.
    #[error("{program} did not write the flash: {what}")]
    Flasher {
        /// The program.
        program: &'static str,
        /// Its last message.
        what: String,
    },
    /// The output exists and is something else.
    #[error("refusing to overwrite: the file exists and is not {0}; name another output")]
    Exists(&'static str),
}

/// How to make an arena smaller.
fn remedy(largest: Option<u32>) -> String {
    match largest {
        Some(largest) => format!("the largest --context that fits is {largest}"),
        None => "no --context makes it fit, so use a smaller model or a board with more RAM".to_owned(),
    }
}

/// A region as its addresses.
fn range(region: Region) -> String {
    format!("{:#010x} to {:#010x}", region.start, region.end())
}

impl FlashError {
    /// The refusal of a segment outside the program's flash.
    pub fn outside(board: &'static Board, segment: Region) -> Self {
        FlashError::Region { board: board.name, segment, regions: board.program_regions().map(range).collect() }
    }
}
