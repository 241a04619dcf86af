//! Firmware files: what is read, and why a firmware is refused for a board.

mod common;
#[path = "common/firmware.rs"]
mod firmware;

use std::path::Path;
use std::process::Command;

use attoformer_protocol::boards::{self, Boot};
use attoformer_tools::flash::Program;
use firmware::{Firmware, RISCV, arm_attributes, riscv_attributes, vectors};

/// The sentence with which a board refuses a file; empty if it takes it.
fn refusal(board: &str, file: &[u8]) -> String {
    Program::read(boards::find(board).unwrap(), file).map_or_else(|error| error.to_string(), |_| String::new())
}

#[track_caller]
fn assert_refused(board: &str, firmware: &Firmware, words: &[&str]) {
    let sentence = refusal(board, &firmware.elf());
    assert!(words.iter().all(|word| sentence.contains(word)), "{board}: {sentence:?} lacks one of {words:?}");
}

#[test]
fn segments_are_read_by_physical_address() {
    let (firmware, board) = (Firmware::pico(), boards::find("pico").unwrap());
    let file = firmware.elf();
    let program = Program::read(board, &file).unwrap();
    let read: Vec<(u32, Vec<u8>)> = program.segments.iter().map(|segment| (segment.address, segment.bytes.to_vec())).collect();
    assert_eq!(read, firmware.segments);
    assert_eq!(program.statement.board.as_deref(), Some("pico"));
}

#[test]
fn every_board_takes_its_own_kind_of_firmware() {
    for (board, firmware) in [
        ("pico", Firmware::pico()),
        ("pico2", Firmware::rp2350(0x1021, 17)),
        ("nrf52840-dk", Firmware::cortex_m(0, 13)),
        ("stm32f405", Firmware::cortex_m(0x0800_0000, 13)),
        ("stm32f405", Firmware::cortex_m(0x0800_0000, 10)),
        ("b-u585i-iot02a", Firmware::cortex_m(0x0800_0000, 17)),
    ] {
        assert_eq!(refusal(board, &firmware.stating("").elf()), "", "{board}");
    }
    let riscv = |flags, isa| Firmware { machine: RISCV, attributes: riscv_attributes(isa), ..Firmware::rp2350(flags, 0) };
    assert_eq!(refusal("pico2-riscv", &riscv(0x1101, "rv32i2p1_m2p0_a2p1_c2p0_zmmul1p0").elf()), "");
    let esp = |isa| Firmware { machine: RISCV, attributes: riscv_attributes(isa), ..Firmware::cortex_m(0x4200_0020, 0) };
    assert_eq!(refusal("esp32-c3", &esp("rv32i2p1_m2p0_c2p0").elf()), "");
    assert_refused("esp32-c3", &esp("rv32i2p1_m2p0_a2p1_c2p0"), &["extension a", "RV32IMC"]);
}

#[test]
fn the_firmware_of_another_board_is_refused() {
    let pico = Firmware::pico();
    assert_refused("pico2", &pico.clone().stating(""), &["image definition", "RP2350"]);
    assert_refused("pico2", &pico, &["firmware of pico, not of pico2"]);
    assert_refused("nrf52840-dk", &pico.clone().stating(""), &["0x10000000 to 0x10000100", "0x00000000 to 0x0004e000"]);
    assert_refused("esp32-c6", &pico.stating(""), &["Arm", "RV32IMAC"]);
    assert_refused("pico", &Firmware::rp2350(0x1021, 17), &["ARMv8-M Mainline", "Cortex-M0+"]);
    assert_refused("stm32f405", &Firmware::cortex_m(0x0800_0000, 17), &["ARMv8-M Mainline", "Cortex-M4F"]);
    assert_refused("b-u585i-iot02a", &Firmware::cortex_m(0x0800_0000, 21), &["ARMv8.1-M", "Cortex-M33"]);
    assert_refused("stm32f405", &Firmware::cortex_m(0x0800_0000, 14), &["another profile"]);
    assert_refused("pico2", &Firmware::rp2350(0x1101, 17), &["other cores"]);
    assert_refused("pico2", &Firmware { machine: 62, ..Firmware::pico().stating("") }, &["ELF machine 62"]);
    // The STM32F405's journal is in the second sector, where firmware of chips with the same address of flash goes on.
    let mut long = Firmware::cortex_m(0x0800_0000, 13);
    long.segments[0].1.resize(20_000, 0);
    assert_refused("stm32f405", &long, &["0x08000000 to 0x08004e20", "0x08000000 to 0x08004000 and 0x0800c000 to 0x08040000"]);
    assert_eq!(refusal("nucleo-h743", &long.elf()), "");
}

#[test]
fn a_firmware_that_cannot_start_is_refused() {
    for bit in [0, 7, 900, 2047] {
        let mut damaged = Firmware::pico();
        damaged.segments[0].1[bit / 8] ^= 1 << (bit % 8);
        assert_refused("pico", &damaged, &["boot code", "checksum"]);
    }
    let mut without_boot = Firmware::pico();
    without_boot.segments.remove(0);
    assert_refused("pico", &without_boot, &["boot code"]);
    for start in [vectors(0x1000_9000), [0xff; 8].to_vec(), [0; 8].to_vec()] {
        let mut stray = Firmware::pico();
        stray.segments[1].1 = start;
        assert_refused("pico", &stray, &["vector table"]);
    }
    let mut no_code = Firmware::pico();
    no_code.segments.clear();
    assert_refused("pico", &no_code, &["no bytes"]);
}

#[test]
fn overlapping_and_endless_segments_are_refused() {
    let mut firmware = Firmware::pico();
    firmware.segments.push((0x1000_0300, vec![0]));
    assert_refused("pico", &firmware, &["overlap", "0x10000200 to 0x100005e9", "0x10000300 to 0x10000301"]);
    firmware.segments[4].0 = u32::MAX;
    assert_refused("pico", &firmware, &["0xffffffff", "address space"]);
}

#[test]
fn files_that_are_no_firmware_are_refused() {
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let elf = Firmware::pico().elf();
    for file in [&b"ATTO"[..], b"\x7fELF", &own, &elf[..60], &elf[..elf.len() - 200], b"", &[0; 600]] {
        assert!(refusal("pico", file).contains("not a 32-bit little-endian ELF file or UF2 file"), "{:?}", refusal("pico", file));
    }
}

#[test]
fn damaged_attributes_do_not_hide_the_firmware() {
    let whole = arm_attributes(12);
    for length in 0..whole.len() {
        let firmware = Firmware { attributes: whole[..length].to_vec(), ..Firmware::pico() };
        assert_eq!(refusal("pico", &firmware.elf()), "", "{length}");
    }
}

/// Compiles a program with a vector table for a target and returns its ELF file, which is not made by this project.
fn compiled(folder: &Path, target: &str, flash: u32) -> Vec<u8> {
    let source = folder.join("main.rs");
    let program = format!(
        "#![no_std] #![no_main]\n#[panic_handler] fn panic(_: &core::panic::PanicInfo) -> ! {{ loop {{}} }}\n\
         #[unsafe(no_mangle)] pub extern \"C\" fn reset() -> ! {{ loop {{}} }}\n\
         #[repr(C)] pub struct Vectors(usize, extern \"C\" fn() -> !);\n\
         #[unsafe(no_mangle)] #[unsafe(link_section = \".vectors\")] pub static VECTORS: Vectors = Vectors({:#x}, reset);\n",
        firmware::STACK
    );
    let script = format!(
        "ENTRY(reset)\nSECTIONS {{ .text {flash:#x} : {{ KEEP(*(.vectors)) *(.text*) *(.rodata*) }} /DISCARD/ : {{ *(.ARM.exidx*) *(.eh_frame*) }} }}\n"
    );
    std::fs::write(&source, program).unwrap();
    std::fs::write(folder.join("link.ld"), script).unwrap();
    let output = Command::new("rustc")
        .current_dir(folder)
        .args(["--edition", "2024", "--target", target, "-C", "panic=abort", "-C", "link-arg=-Tlink.ld", "-o", "program", "main.rs"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(folder.join("program")).unwrap()
}

/// Programs that the Rust compiler makes are classified by their real attributes. Its targets are those of `cargo xtask setup`.
#[test]
fn compiled_programs_are_classified_by_their_processor() {
    let folder = tempfile::tempdir().unwrap();
    let targets = [
        "thumbv6m-none-eabi",
        "thumbv7em-none-eabihf",
        "thumbv8m.main-none-eabihf",
        "riscv32imc-unknown-none-elf",
        "riscv32imac-unknown-none-elf",
    ];
    for (rank, target) in targets.into_iter().enumerate() {
        for board in boards::BOARDS.iter().filter(|board| matches!(board.boot, Boot::Vectors | Boot::Espressif)) {
            // Emulated machines have targets that only they need.
            let Some(own) = targets.iter().position(|target| *target == board.target) else { continue };
            let file = compiled(folder.path(), target, board.program_regions().next().unwrap().start);
            let runs = (rank < 3) == (own < 3) && rank <= own;
            let sentence = refusal(board.name, &file);
            assert_eq!(sentence.is_empty(), runs, "{target} on {}: {sentence}", board.name);
            assert!(runs || sentence.contains("the firmware is made for"), "{target} on {}: {sentence}", board.name);
        }
    }
}
