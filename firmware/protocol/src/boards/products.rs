//! Boards that can be bought. Sources: data sheets and reference manuals of the chips, schematics of the boards.

use super::{Board, Boot, Flash, Flasher, ModelFlash, Region, Sectors};

const KIB: u32 = 1 << 10;
const MIB: u32 = 1 << 20;

/// Raspberry Pi Pico: 2 MB of flash, 264 KB of RAM.
pub const PICO: Board = Board {
    name: "pico",
    title: "Raspberry Pi Pico (RP2040)",
    core: "Cortex-M0+",
    target: "thumbv6m-none-eabi",
    backend: None,
    layout: "portable",
    boot: Boot::Boot2,
    flash: Flash { start: 0x1000_0000, sectors: &[Sectors { bytes: 4 * KIB, count: 512 }] },
    mapped_at: 0,
    program: Region::new(0x1000_0000, 504 * KIB),
    vectors: None,
    models: ModelFlash {
        journal: 0x1007_e000,
        journal_sector: 4 * KIB,
        slots: [0x1008_0000, 0x1014_0000],
        slot_bytes: 768 * KIB,
        sector: 4 * KIB,
    },
    ram_bytes: 264 * KIB,
    arena: Region::new(0x2000_0000, 200 * KIB),
    link: "UART0 (GP0, GP1) at 115200 baud; USB CDC",
    usb: &[(0x2e8a, 0x000a)],
    flasher: Flasher::Probe("RP2040"),
    uf2_family: Some(0xe48b_ff56),
    tested_on: "rp2040js",
};

/// Raspberry Pi Pico 2 on its Arm cores: 4 MB of flash, 520 KB of RAM, of which the last 72 KB are for statics and stack.
pub const PICO2: Board = Board {
    name: "pico2",
    title: "Raspberry Pi Pico 2 (RP2350, Arm cores)",
    core: "Cortex-M33",
    target: "thumbv8m.main-none-eabihf",
    backend: Some("cortex-m-dsp"),
    layout: "cortex-m-dsp",
    boot: Boot::ImageDef,
    flash: Flash { start: 0x1000_0000, sectors: &[Sectors { bytes: 4 * KIB, count: 1024 }] },
    mapped_at: 0,
    program: Region::new(0x1000_0000, 504 * KIB),
    vectors: None,
    models: ModelFlash {
        journal: 0x1007_e000,
        journal_sector: 4 * KIB,
        slots: [0x1008_0000, 0x1024_0000],
        slot_bytes: 1792 * KIB,
        sector: 4 * KIB,
    },
    ram_bytes: 520 * KIB,
    arena: Region::new(0x2000_0000, 448 * KIB),
    link: "UART0 (GP0, GP1) at 115200 baud; USB CDC",
    usb: &[(0x2e8a, 0x0009)],
    flasher: Flasher::Probe("RP235x"),
    uf2_family: Some(0xe48b_ff59),
    tested_on: "built only",
};

/// Raspberry Pi Pico 2 on its RISC-V cores, with the same memory map.
pub const PICO2_RISCV: Board = Board {
    name: "pico2-riscv",
    title: "Raspberry Pi Pico 2 (RP2350, RISC-V cores)",
    core: "RV32IMAC (Hazard3)",
    target: "riscv32imac-unknown-none-elf",
    backend: None,
    layout: "portable",
    uf2_family: Some(0xe48b_ff5a),
    ..PICO2
};

/// nRF52840-DK: 1 MB of flash, 256 KB of RAM, of which the last 64 KB are for statics and stack.
pub const NRF52840_DK: Board = Board {
    name: "nrf52840-dk",
    title: "Nordic nRF52840-DK",
    core: "Cortex-M4F",
    target: "thumbv7em-none-eabihf",
    backend: None,
    layout: "cortex-m-dsp",
    boot: Boot::Vectors,
    flash: Flash { start: 0, sectors: &[Sectors { bytes: 4 * KIB, count: 256 }] },
    mapped_at: 0,
    program: Region::new(0, 312 * KIB),
    vectors: None,
    models: ModelFlash {
        journal: 0x0004_e000,
        journal_sector: 4 * KIB,
        slots: [0x0005_0000, 0x000a_8000],
        slot_bytes: 352 * KIB,
        sector: 4 * KIB,
    },
    ram_bytes: 256 * KIB,
    arena: Region::new(0x2000_0000, 192 * KIB),
    link: "UARTE0 through the debugger (P0.06, P0.08) at 115200 baud",
    usb: &[(0x1366, 0x1015), (0x1366, 0x1051), (0x1366, 0x1061)],
    flasher: Flasher::Probe("nRF52840_xxAA"),
    uf2_family: None,
    tested_on: "built only",
};

/// STM32F405 (Adafruit Feather, and the Netduino Plus 2 that QEMU emulates): 1 MB of flash in sectors of three sizes, 128 KB of RAM and 64 KB of CCM.
///
/// The journal takes two of the four small sectors, so the program is in two parts: vector table before it, code after it. Statics and stack take the
/// last 32 KB of the main RAM. The CCM is unused: QEMU 7.2 does not have it at its address, and one program runs on both.
pub const STM32F405: Board = Board {
    name: "stm32f405",
    title: "STM32F405 (Feather STM32F405)",
    core: "Cortex-M4F",
    target: "thumbv7em-none-eabihf",
    backend: None,
    layout: "cortex-m-dsp",
    boot: Boot::Vectors,
    flash: Flash {
        start: 0x0800_0000,
        sectors: &[Sectors { bytes: 16 * KIB, count: 4 }, Sectors { bytes: 64 * KIB, count: 1 }, Sectors { bytes: 128 * KIB, count: 7 }],
    },
    mapped_at: 0,
    program: Region::new(0x0800_c000, 208 * KIB),
    vectors: Some(Region::new(0x0800_0000, 16 * KIB)),
    models: ModelFlash {
        journal: 0x0800_4000,
        journal_sector: 16 * KIB,
        slots: [0x0804_0000, 0x080a_0000],
        slot_bytes: 384 * KIB,
        sector: 128 * KIB,
    },
    ram_bytes: 192 * KIB,
    arena: Region::new(0x2000_0000, 96 * KIB),
    link: "USART3 (PB10, PB11) or USART1 (PA9, PA10) at 115200 baud",
    usb: &[],
    flasher: Flasher::Probe("STM32F405RG"),
    uf2_family: None,
    tested_on: "QEMU (netduinoplus2)",
};

/// STM32H743 Nucleo: 2 MB of flash in two banks of eight sectors, 1 MB of RAM in several parts.
///
/// The first slot crosses from bank 1 to bank 2, whose addresses are contiguous. The arena is the AXI SRAM; statics and stack are in the DTCM.
pub const NUCLEO_H743: Board = Board {
    name: "nucleo-h743",
    title: "NUCLEO-H743ZI2",
    core: "Cortex-M7",
    target: "thumbv7em-none-eabihf",
    backend: None,
    layout: "cortex-m-dsp",
    boot: Boot::Vectors,
    flash: Flash { start: 0x0800_0000, sectors: &[Sectors { bytes: 128 * KIB, count: 16 }] },
    mapped_at: 0,
    program: Region::new(0x0800_0000, 256 * KIB),
    vectors: None,
    models: ModelFlash {
        journal: 0x0804_0000,
        journal_sector: 128 * KIB,
        slots: [0x0808_0000, 0x0814_0000],
        slot_bytes: 768 * KIB,
        sector: 128 * KIB,
    },
    ram_bytes: 1024 * KIB,
    arena: Region::new(0x2400_0000, 512 * KIB),
    link: "USART3 through the debugger (PD8, PD9) at 115200 baud",
    usb: &[(0x0483, 0x374e), (0x0483, 0x374f), (0x0483, 0x3753)],
    flasher: Flasher::Probe("STM32H743ZI"),
    uf2_family: None,
    tested_on: "built only",
};

/// B-U585I-IOT02A: 2 MB of flash in pages of 8 KB, 768 KB of RAM in one piece, of which the first 128 KB are for statics and stack.
pub const B_U585I_IOT02A: Board = Board {
    name: "b-u585i-iot02a",
    title: "B-U585I-IOT02A (STM32U585)",
    core: "Cortex-M33",
    target: "thumbv8m.main-none-eabihf",
    backend: Some("cortex-m-dsp"),
    layout: "cortex-m-dsp",
    boot: Boot::Vectors,
    flash: Flash { start: 0x0800_0000, sectors: &[Sectors { bytes: 8 * KIB, count: 256 }] },
    mapped_at: 0,
    program: Region::new(0x0800_0000, 496 * KIB),
    vectors: None,
    models: ModelFlash {
        journal: 0x0807_c000,
        journal_sector: 8 * KIB,
        slots: [0x0808_0000, 0x0814_0000],
        slot_bytes: 768 * KIB,
        sector: 8 * KIB,
    },
    ram_bytes: 784 * KIB,
    arena: Region::new(0x2002_0000, 640 * KIB),
    link: "USART1 through the debugger (PA9, PA10) at 115200 baud",
    usb: &[(0x0483, 0x374e), (0x0483, 0x374f), (0x0483, 0x3753)],
    flasher: Flasher::Probe("STM32U585AI"),
    uf2_family: None,
    tested_on: "built only",
};

/// Espressif's table of partitions ends before the first application, which starts at a page of the memory map.
const ESP_PROGRAM: Region = Region::new(0x0001_0000, 1920 * KIB);
const ESP_MODELS: ModelFlash =
    ModelFlash { journal: 0x001f_0000, journal_sector: 4 * KIB, slots: [0x0020_0000, 0x0030_0000], slot_bytes: MIB, sector: 4 * KIB };

/// ESP32-C3 with 4 MB of flash: 400 KB of RAM, of which 16 KB are the cache.
///
/// The boot loader maps the program alone. The second half of the 8 MB window of data (its MMU table has 128 entries of 64 KB, shared with code) is
/// free for the models: the firmware enters them there with the ROM's functions.
pub const ESP32_C3: Board = Board {
    name: "esp32-c3",
    title: "ESP32-C3 with 4 MB of flash",
    core: "RV32IMC",
    target: "riscv32imc-unknown-none-elf",
    backend: None,
    layout: "portable",
    boot: Boot::Espressif,
    flash: Flash { start: 0, sectors: &[Sectors { bytes: 4 * KIB, count: 1024 }] },
    mapped_at: 0x3c40_0000,
    program: ESP_PROGRAM,
    vectors: None,
    models: ESP_MODELS,
    ram_bytes: 400 * KIB,
    arena: Region::new(0x3fc9_8000, 160 * KIB),
    link: "USB serial (built into the chip)",
    usb: &[(0x303a, 0x1001)],
    flasher: Flasher::Espflash("esp32c3"),
    uf2_family: None,
    tested_on: "built only",
};

/// ESP32-C6 with 4 MB of flash: 512 KB of RAM. Its window for code and data has 256 pages of 64 KB, of which the upper half is free for the models.
pub const ESP32_C6: Board = Board {
    name: "esp32-c6",
    title: "ESP32-C6 with 4 MB of flash",
    core: "RV32IMAC",
    target: "riscv32imac-unknown-none-elf",
    mapped_at: 0x4280_0000,
    ram_bytes: 512 * KIB,
    arena: Region::new(0x4082_0000, 256 * KIB),
    flasher: Flasher::Espflash("esp32c6"),
    ..ESP32_C3
};
