//! The program of the ESP32-C3 and the ESP32-C6.
#![no_std]
#![no_main]

mod board;
#[cfg_attr(chip = "c3", path = "chip/c3.rs")]
#[cfg_attr(chip = "c6", path = "chip/c6.rs")]
mod chip;
mod fault;
mod flash;
mod usb;

use attoformer_app::{ABOUT_BYTES, Parts, about, serve};
use attoformer_board::{flash::ModelFlash, memory};
use attoformer_protocol::boards::Board;

/// The board's row of the table.
const BOARD: &Board = &chip::BOARD;

// The description that the boot loader checks.
esp_bootloader_esp_idf::esp_app_desc!();

#[unsafe(link_section = ".attoformer")]
#[used]
static ABOUT: [u8; ABOUT_BYTES] = about(BOARD.name);

#[esp_hal::main]
fn main() -> ! {
    let (board, mut usb) = board::start();
    // SAFETY: `main` runs once; the controller maps the flash to where the table states it; memory_arena.x keeps the arena outside every section.
    let (flash, arena) = unsafe { (ModelFlash::new(flash::Controller::start(), BOARD), memory::arena()) };
    serve(Parts { board, lines: &mut [&mut usb], flash, arena, about: BOARD, key: None })
}
