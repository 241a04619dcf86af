//! The machines of `cargo xtask qemu` as boards with a link: their UART is a TCP port of the emulator, their flash is memory.

use super::{Board, Boot, Flash, Flasher, ModelFlash, Region, Sectors};

const KIB: u32 = 1 << 10;
const MIB: u32 = 1 << 20;
/// Sectors that the program erases.
const SECTOR: u32 = 4 * KIB;

/// Fields that all MPS2 boards with 8 MB of memory share: SSRAM 1 as flash, SSRAM 2 and 3 as RAM.
const MPS2: Board = Board {
    name: "mps2-an386",
    title: "Arm MPS2, AN386",
    core: "Cortex-M4F",
    target: "thumbv7em-none-eabihf",
    backend: None,
    layout: "cortex-m-dsp",
    boot: Boot::Vectors,
    flash: Flash { start: 0, sectors: &[Sectors { bytes: SECTOR, count: 1024 }] },
    mapped_at: 0,
    program: Region::new(0, 952 * KIB),
    vectors: None,
    models: slots(0x000f_0000, 0x0010_0000, 1536 * KIB),
    ram_bytes: 4 * MIB,
    arena: Region::new(0x2004_0000, 3840 * KIB),
    link: "UART0, a TCP port of the emulator",
    usb: &[],
    flasher: Flasher::Emulator,
    uf2_family: None,
    tested_on: "QEMU",
};

/// The same machine with ARMv6-M code: a stand-in for a Cortex-M0+.
pub const MPS2_AN385_M0: Board =
    Board { name: "mps2-an385-m0", title: "Arm MPS2, AN385, ARMv6-M code", core: "Cortex-M0+", target: "thumbv6m-none-eabi", ..MPS2_AN385 };
/// Cortex-M3.
pub const MPS2_AN385: Board =
    Board { name: "mps2-an385", title: "Arm MPS2, AN385", core: "Cortex-M3", target: "thumbv7m-none-eabi", layout: "portable", ..MPS2 };
/// Cortex-M4F.
pub const MPS2_AN386: Board = MPS2;
/// Cortex-M7.
pub const MPS2_AN500: Board = Board { name: "mps2-an500", title: "Arm MPS2, AN500", core: "Cortex-M7", ..MPS2 };
/// Cortex-M33, whose memory has other addresses (secure aliases).
pub const MPS2_AN505: Board = Board {
    name: "mps2-an505",
    title: "Arm MPS2, AN505",
    core: "Cortex-M33",
    target: "thumbv8m.main-none-eabihf",
    backend: Some("cortex-m-dsp"),
    flash: Flash { start: 0x1000_0000, sectors: &[Sectors { bytes: SECTOR, count: 1024 }] },
    program: Region::new(0x1000_0000, 952 * KIB),
    models: slots(0x100f_0000, 0x1010_0000, 1536 * KIB),
    arena: Region::new(0x3804_0000, 3840 * KIB),
    ..MPS2
};
/// Cortex-M55: code in the ITCM, models in the QSPI memory.
pub const MPS3_AN547: Board = Board {
    name: "mps3-an547",
    title: "Arm MPS3, AN547",
    core: "Cortex-M55",
    target: "thumbv8m.main-none-eabihf",
    backend: Some("cortex-m-dsp"),
    flash: Flash { start: 0x3800_0000, sectors: &[Sectors { bytes: SECTOR, count: 2048 }] },
    program: Region::new(0x1000_0000, 512 * KIB),
    models: slots(0x3800_0000, 0x3801_0000, 4 * MIB - 32 * KIB),
    arena: Region::new(0x3100_0000, 4 * MIB),
    ..MPS2
};
/// RV32IMAC: all in the machine's DRAM.
pub const RISCV32_VIRT: Board = Board {
    name: "riscv32-virt",
    title: "QEMU virt, RV32IMAC (as ESP32-C6)",
    core: "RV32IMAC",
    target: "riscv32imac-unknown-none-elf",
    layout: "portable",
    boot: Boot::FirstByte,
    flash: Flash { start: 0x8000_0000, sectors: &[Sectors { bytes: SECTOR, count: 0x3800 }] },
    program: Region::new(0x8000_0000, 952 * KIB),
    models: slots(0x800f_0000, 0x8010_0000, 24 * MIB),
    ram_bytes: 4 * MIB + 256 * KIB,
    arena: Region::new(0x8404_0000, 4 * MIB),
    ..MPS2
};
/// RV32IMC: without atomics.
pub const RISCV32IMC_VIRT: Board = Board {
    name: "riscv32imc-virt",
    title: "QEMU virt, RV32IMC (as ESP32-C3)",
    core: "RV32IMC",
    target: "riscv32imc-unknown-none-elf",
    ..RISCV32_VIRT
};
/// RV32IMAFC: with an FPU.
pub const RISCV32IMAFC_VIRT: Board = Board {
    name: "riscv32imafc-virt",
    title: "QEMU virt, RV32IMAFC (as ESP32-P4)",
    core: "RV32IMAFC",
    target: "riscv32imafc-unknown-none-elf",
    ..RISCV32_VIRT
};

/// Two slots after each other.
const fn slots(journal: u32, first: u32, slot_bytes: u32) -> ModelFlash {
    ModelFlash { journal, journal_sector: SECTOR, slots: [first, first + slot_bytes], slot_bytes, sector: SECTOR }
}
