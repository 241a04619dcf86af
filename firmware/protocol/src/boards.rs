//! The boards: memory, link and flasher of each. Addresses agree with `memory.x` in the board's folder, which a test compares.

mod emulated;
mod products;

pub use emulated::{
    MPS2_AN385, MPS2_AN385_M0, MPS2_AN386, MPS2_AN500, MPS2_AN505, MPS3_AN547, RISCV32_VIRT, RISCV32IMAFC_VIRT, RISCV32IMC_VIRT,
};
pub use products::{B_U585I_IOT02A, ESP32_C3, ESP32_C6, NRF52840_DK, NUCLEO_H743, PICO, PICO2, PICO2_RISCV, STM32F405};

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

    /// Whether the region contains `bytes` bytes from `address` on.
    #[must_use]
    pub const fn contains(self, address: u32, bytes: u32) -> bool {
        address >= self.start && bytes <= self.bytes && address - self.start <= self.bytes - bytes
    }

    /// Whether both regions have a byte in common.
    #[must_use]
    pub const fn overlaps(self, other: Region) -> bool {
        self.start < other.end() && other.start < self.end()
    }
}

/// Sectors of one size, one after the other. A sector is the smallest part of a flash that can be erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sectors {
    /// Bytes of one sector.
    pub bytes: u32,
    /// Number of sectors.
    pub count: u32,
}

/// A flash: an address and its sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flash {
    /// Address of the first byte.
    pub start: u32,
    /// All sectors from there on.
    pub sectors: &'static [Sectors],
}

impl Flash {
    /// All of the flash.
    #[must_use]
    pub fn region(self) -> Region {
        Region::new(self.start, self.sectors.iter().map(|run| run.bytes * run.count).sum())
    }

    /// The sector that contains an address, if it is in the flash.
    #[must_use]
    pub fn sector(self, address: u32) -> Option<Region> {
        let mut start = self.start;
        for run in self.sectors {
            let end = start + run.bytes * run.count;
            if (start..end).contains(&address) {
                return Some(Region::new(address - (address - start) % run.bytes, run.bytes));
            }
            start = end;
        }
        None
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

impl ModelFlash {
    /// Both sectors of the journal.
    #[must_use]
    pub const fn journal_region(self) -> Region {
        Region::new(self.journal, 2 * self.journal_sector)
    }

    /// Both slots.
    #[must_use]
    pub const fn slot_regions(self) -> [Region; 2] {
        [Region::new(self.slots[0], self.slot_bytes), Region::new(self.slots[1], self.slot_bytes)]
    }
}

/// How a chip finds its program, so that the program of another chip can be recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// Cortex-M: a vector table at the start of the flash.
    Vectors,
    /// RP2040: 256 bytes of second-stage boot code with a checksum, then the vector table.
    Boot2,
    /// RP2350: an image definition (a block with markers) in the first 4 KB, for Arm or RISC-V cores.
    ImageDef,
    /// Emulated RISC-V: the processor starts at the first byte.
    FirstByte,
    /// Espressif: a boot loader reads an image of its own format, which espflash makes of an ELF file.
    Espressif,
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
    /// How the chip finds its program.
    pub boot: Boot,
    /// The flash that holds program, journal and models.
    pub flash: Flash,
    /// Added to an address of flash, this is where the processor reads it: 0 where flash has one address. On Espressif chips addresses of flash are
    /// offsets in the flash chip, and the firmware maps pages of 64 KB to this window.
    pub mapped_at: u32,
    /// Flash of the program.
    pub program: Region,
    /// Flash of the vector table, where the program does not begin with it.
    pub vectors: Option<Region>,
    /// Flash of models.
    pub models: ModelFlash,
    /// RAM of the chip in bytes.
    pub ram_bytes: u32,
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

/// All boards. The emulated machines of `cargo xtask qemu` follow the products.
pub const BOARDS: &[Board] = &[
    PICO,
    PICO2,
    PICO2_RISCV,
    NRF52840_DK,
    STM32F405,
    NUCLEO_H743,
    B_U585I_IOT02A,
    ESP32_C3,
    ESP32_C6,
    MPS2_AN385_M0,
    MPS2_AN385,
    MPS2_AN386,
    MPS2_AN500,
    MPS2_AN505,
    MPS3_AN547,
    RISCV32IMC_VIRT,
    RISCV32_VIRT,
    RISCV32IMAFC_VIRT,
];

/// Finds the board of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Board> {
    BOARDS.iter().find(|board| board.name == name)
}

/// The one of several boards that is built for a compiler target; the first if none is.
#[must_use]
pub fn for_target(boards: &'static [Board], target: &str) -> &'static Board {
    boards.iter().find(|board| board.target == target).or_else(|| boards.first()).unwrap_or(&MPS2_AN386)
}

impl Board {
    /// The flash of journal and slots, with what lies between them.
    #[must_use]
    pub const fn flash_models(&self) -> Region {
        let [first, second] = self.models.slots;
        let last = if first > second { first } else { second };
        Region::new(self.models.journal, last + self.models.slot_bytes - self.models.journal)
    }

    /// The regions of flash that a program may occupy.
    pub fn program_regions(&self) -> impl Iterator<Item = Region> + '_ {
        self.vectors.into_iter().chain([self.program])
    }
}
