//! The boards: memory, link and flasher of each. Addresses agree with `memory.x` in the board's folder, which a test compares.

/// A region of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Address of the first byte.
    pub start: u32,
    /// Bytes.
    pub bytes: u32,
}

impl Region {
    /// A region.
    #[must_use]
    pub const fn new(start: u32, bytes: u32) -> Self {
        Self { start, bytes }
    }

    /// Address after the last byte.
    #[must_use]
    pub const fn end(self) -> u32 {
        self.start + self.bytes
    }
}

/// The model's part of a flash: a journal of two sectors, and two slots of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelFlash {
    /// Address of the journal's first sector; the second follows it.
    pub journal: u32,
    /// Bytes of a sector of the journal.
    pub journal_sector: u32,
    /// Addresses of the slots.
    pub slots: [u32; 2],
    /// Bytes of a slot, a multiple of its sectors.
    pub slot_bytes: u32,
    /// Bytes of a sector of a slot.
    pub sector: u32,
}

/// The program that writes a board's flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flasher {
    /// A probe, through probe-rs: the chip's name there.
    Probe(&'static str),
    /// The chip's ROM over a serial port, through espflash: the chip's name there.
    Espflash(&'static str),
    /// An emulator: nothing is flashed.
    Emulator,
}

/// A board.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Board {
    /// Name that `--board` accepts, and of its folder in `firmware/boards`.
    pub name: &'static str,
    /// Product and chip.
    pub title: &'static str,
    /// Processor core.
    pub core: &'static str,
    /// Compiler target of its firmware.
    pub target: &'static str,
    /// Kernel set, if the target alone does not imply it (`--cfg attoformer_backend="…"`).
    pub backend: Option<&'static str>,
    /// Layout of weights that its kernels read fastest.
    pub layout: &'static str,
    /// Flash of the program.
    pub program: Region,
    /// Flash of models.
    pub models: ModelFlash,
    /// RAM for the arena and the input of a request.
    pub arena: Region,
    /// Its link to a host, in words.
    pub link: &'static str,
    /// USB vendor and product ids under which its link appears on a host.
    pub usb: &'static [(u16, u16)],
    /// How its flash is written.
    pub flasher: Flasher,
    /// UF2 family of its chip, if its boot ROM takes UF2 files.
    pub uf2_family: Option<u32>,
    /// Where its firmware has run.
    pub tested_on: &'static str,
}

/// All boards.
pub const BOARDS: &[Board] = &[PICO];

const KIB: u32 = 1 << 10;

/// Raspberry Pi Pico: 2 MB of flash, 264 KB of RAM.
pub const PICO: Board = Board {
    name: "pico",
    title: "Raspberry Pi Pico (RP2040)",
    core: "Cortex-M0+",
    target: "thumbv6m-none-eabi",
    backend: None,
    layout: "portable",
    program: Region::new(0x1000_0000, 504 * KIB),
    models: ModelFlash {
        journal: 0x1007_e000,
        journal_sector: 4 * KIB,
        slots: [0x1008_0000, 0x1014_0000],
        slot_bytes: 768 * KIB,
        sector: 4 * KIB,
    },
    arena: Region::new(0x2000_0000, 200 * KIB),
    link: "UART0 (GP0, GP1) at 115200 baud; USB CDC",
    usb: &[(0x2e8a, 0x000a)],
    flasher: Flasher::Probe("RP2040"),
    uf2_family: Some(0xe48b_ff56),
    tested_on: "rp2040js",
};

/// Finds the board of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Board> {
    BOARDS.iter().find(|board| board.name == name)
}
